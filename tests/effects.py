"""What handlers have done, in whatever process they run."""

from __future__ import annotations

import os
from pathlib import Path


class Effects:
    """What handlers have done, in whatever process: one line each, which is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __call__(self, what: object) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{what}\n".encode())
        os.close(file)

    def all(self) -> list[str]:
        """The lines so far."""
        return Path(self._path).read_text().splitlines() if Path(self._path).exists() else []
