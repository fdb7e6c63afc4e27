"""Stores as a crash leaves them."""

from __future__ import annotations

import shutil
from pathlib import Path


def as_after_a_crash(path: Path, folder: Path) -> Path:
    """A copy of a store that nobody has closed: what another process would find if this one died now."""
    folder.mkdir()
    for part in ("", "-wal"):
        if (found := Path(f"{path}{part}")).exists():
            shutil.copy(found, folder / found.name)
    return folder / path.name
