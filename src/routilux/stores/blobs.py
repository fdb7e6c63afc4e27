"""Large values as files named by the SHA-256 of what is in them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from routilux.errors import StoreDamagedError, StoreError

NAME = re.compile(rb"sha256-[0-9a-f]{64}")
YOUNG_SECONDS = 3600
"""So long a file that nothing names yet may wait for the entry that will."""

_FLUSHES_FOLDERS = os.name != "nt"


def names_in(data: bytes) -> set[str]:
    """The names of blobs among some bytes."""
    return {name.decode() for name in NAME.findall(data)}


class Blobs:
    """A folder of values; a file has its name only once all of it is on the disk."""

    def __init__(self, folder: Path) -> None:
        """Of a folder that `make` has made."""
        self.folder = folder
        self._naming = threading.Lock()
        """So that what is just given its name again is not swept."""

    def make(self) -> None:
        """Makes the folder, for this user only, if there is none."""
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, exist_ok=True)
            flush_folder(self.folder.parent)

    def save(self, data: bytes) -> str:
        """Writes a value and returns its name; it is on the disk when this returns."""
        name = f"sha256-{hashlib.sha256(data).hexdigest()}"
        try:
            # mkstemp makes the file with mode 0600; what a crash leaves of it, `sweep` removes.
            handle, temporary = tempfile.mkstemp(prefix="new-", dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._naming:
                Path(temporary).replace(self.folder / name)
            flush_folder(self.folder)
        except OSError as error:
            raise StoreError(f"A value of {len(data)} bytes cannot be kept in {self.folder}: {error}.") from error
        return name

    def load(self, name: str) -> bytes:
        """The value of a name; raises `StoreDamagedError` if it is gone or is not what was saved."""
        if NAME.fullmatch(name.encode()) is None:
            raise StoreError(f"{name[:80]!r} is not the name of a blob.")
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise StoreDamagedError(f"The blob {name} cannot be read: {error}.") from error
        if f"sha256-{hashlib.sha256(data).hexdigest()}" != name:
            raise StoreDamagedError(f"The blob {name} in {self.folder} is damaged: its hash is another.")
        return data

    def names(self) -> Iterator[str]:
        """The names of all, whole or not."""
        if self.folder.is_dir():
            yield from (one.name for one in self.folder.iterdir() if NAME.fullmatch(one.name.encode()))

    def sweep(self, keep: Collection[str], *, young_seconds: float = YOUNG_SECONDS) -> int:
        """Removes files that are neither to be kept nor young, and what a crash left; returns how many."""
        oldest, gone = time.time() - young_seconds, 0
        try:
            for one in self.folder.iterdir() if self.folder.is_dir() else ():
                if one.name.startswith("new-") or (NAME.fullmatch(one.name.encode()) and one.name not in keep):
                    with self._naming, suppress(FileNotFoundError):
                        if one.stat().st_mtime < oldest:
                            one.unlink()
                            gone += 1
        except OSError as error:
            raise StoreError(f"What nothing names any more in {self.folder} cannot be removed: {error}.") from error
        return gone


def flush_folder(folder: Path) -> None:
    """Puts the names of files in a folder on the disk; where folders cannot be opened, that is the system's affair."""
    if _FLUSHES_FOLDERS:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
