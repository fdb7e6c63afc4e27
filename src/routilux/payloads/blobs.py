"""Large payloads as files named by the SHA-256 of what is in them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection
from pathlib import Path

from routilux.errors import PayloadError

_NAME = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of payloads; a file has its name only once all of it is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, data: bytes) -> str:
        """Writes a payload and returns its name; it is on the disk when this returns."""
        name = hashlib.sha256(data).hexdigest()
        # mkstemp makes the file with mode 0600; what a crash leaves of it, `sweep` removes.
        handle, temporary = tempfile.mkstemp(prefix="new-", dir=self._folder)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name

    def load(self, name: str) -> bytes:
        """The payload of a name; raises `PayloadError` if it is gone or is not what was saved."""
        if _NAME.fullmatch(name) is None:
            raise PayloadError(f"{name[:80]!r} is not the name of a blob.")
        try:
            data = (self._folder / name).read_bytes()
        except OSError as error:
            raise PayloadError(f"The blob {name} cannot be read: {error}.") from error
        if hashlib.sha256(data).hexdigest() != name:
            raise PayloadError(f"The blob {name} in {self._folder} is damaged: its hash is another.")
        return data

    def sweep(self, keep: Collection[str]) -> int:
        """Removes what is not to be kept, and what a crash left; returns how many. Nothing may save meanwhile."""
        names = [one for one in self._folder.iterdir() if one.name.startswith("new-") or _NAME.fullmatch(one.name)]
        gone = [one for one in names if one.name not in keep]
        for one in gone:
            one.unlink(missing_ok=True)
        return len(gone)
