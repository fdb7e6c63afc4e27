"""Segments: files in memory by which large values go from process to process without passing through a pipe.

They lie in private folders that belong to one driver: in shared memory where the system has it as a folder, and on
disk where it has not, or is full. A segment is written once and mapped by whoever reads it, privately, so that
arrays in it are not copied and can be written to, which nobody else sees.

Who wrote or received a segment last removes it. The folders go with the driver; if its process is killed, the workers
that are left remove them, and else the next driver, which finds that nobody owns them.
"""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from routilux.drivers.far import pack
from routilux.parcel import Parcel

if sys.platform != "win32":
    import fcntl

INLINE_BYTES = 64 * 1024
"""Up to this size a pickle goes through the pipe or the board."""

_SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "routilux-"
_OWNED = "owner"
_NEW_SECONDS = 60
_ALIGNED = 64
_AT_ONCE = 1 << 30
_FILES_OPEN = 200
"""A map keeps a file open; when this process has so many, values are copied instead."""


class Segment(NamedTuple):
    """Where a value lies: the pickle and then its buffers, each as offset and length."""

    path: str
    spans: tuple[tuple[int, int], ...]


class StoredParcel(Parcel):
    """A value in a segment, which is removed with the parcel."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        weakref.finalize(self, remove, segment.path)

    def open(self) -> Any:
        return read(self._segment)

    def __reduce__(self) -> tuple[Any, ...]:
        return read, (self._segment,)


class Folders:
    """Where one process puts the segments that it writes."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        """`name` begins the names of its files, and must be its own."""
        self.paths = tuple(paths)
        self.name = name
        self._numbers = count(1)

    def put(self, value: Any) -> bytes | Segment:
        """Pickles a value, and lays it into a segment if it is large; raises what pickling raises."""
        aside: list[memoryview] = []
        return self.lay(pack(value, aside), aside)

    def lay(self, packed: bytes, aside: Sequence[memoryview]) -> bytes | Segment:
        """A pickle with its buffers; as a segment if it has any, or is itself large."""
        if not aside and len(packed) <= INLINE_BYTES:
            return packed
        return self.write(packed, aside)

    def write(self, packed: bytes, aside: Sequence[memoryview]) -> Segment:
        """A pickle with its buffers as a segment; the first folder that has room takes it."""
        for path in self.paths[:-1]:
            try:
                return self._written(path, packed, aside)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
        return self._written(self.paths[-1], packed, aside)

    def sweep(self) -> None:
        """Removes the files of this name: their writer is gone."""
        for folder in self.paths:
            for path in folder.glob(f"{self.name}-*"):
                remove(path)

    def keep(self, segment: Segment) -> StoredParcel:
        """Takes over a segment that another process wrote."""
        path = Path(segment.path)
        kept = path.with_name(f"{self.name}-{next(self._numbers)}")
        return StoredParcel(segment._replace(path=str(path.replace(kept))))

    def _written(self, folder: Path, packed: bytes, aside: Sequence[memoryview]) -> Segment:
        path = folder / f"{self.name}-{next(self._numbers)}"
        spans = []
        try:
            with path.open("xb", buffering=0) as file:
                at = 0
                for part in (memoryview(packed), *aside):
                    at += file.write(bytes(-at % _ALIGNED))
                    spans.append((at, part.nbytes))
                    at += _write_all(file.fileno(), part)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return Segment(str(path), tuple(spans))


def read(segment: Segment) -> Any:
    """The value in a segment; what it holds of arrays stays mapped as long as they live."""
    with Path(segment.path).open("rb") as file:
        memory = _mapped(file) if file.fileno() < _FILES_OPEN else _copied(file)
    stream, *buffers = (memory[start : start + length] for start, length in segment.spans)
    return pickle.loads(stream, buffers=buffers)


def unpack(packed: bytes | Segment) -> Any:
    """The value that was put."""
    return read(packed) if isinstance(packed, Segment) else pickle.loads(packed)


def remove(path: str | Path) -> None:
    """Frees a segment; whoever has mapped it keeps what it sees."""
    try:
        Path(path).unlink()
    except OSError:
        return  # gone with its folder, or, on Windows, still mapped: then the folder's removal takes it


def make_folders() -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """New private folders, and the open files that mark them as owned; those that nobody owns are removed."""
    places = [_SHARED_MEMORY] if os.access(_SHARED_MEMORY, os.W_OK) else []
    paths, marks = [], []
    for place in (*places, Path(tempfile.gettempdir())):
        _remove_unowned(place)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        mark = os.open(folder / _OWNED, os.O_RDWR | os.O_CREAT, 0o600)
        if sys.platform != "win32":
            fcntl.flock(mark, fcntl.LOCK_EX)
        os.write(mark, str(os.getpid()).encode())  # for people who wonder
        paths.append(folder)
        marks.append(mark)
    return tuple(paths), tuple(marks)


def remove_folders(paths: Sequence[Path]) -> None:
    """Removes folders with all that is in them, as far as that goes."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def _remove_unowned(place: Path) -> None:
    if sys.platform == "win32":
        return
    for folder in place.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _NEW_SECONDS:
                continue
            mark = os.open(folder / _OWNED, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(mark)


def _mapped(file: BufferedReader) -> memoryview:
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def _copied(file: BufferedReader) -> memoryview:
    memory = bytearray(os.fstat(file.fileno()).st_size)
    file.readinto(memory)
    return memoryview(memory)


def _write_all(file: int, part: memoryview) -> int:
    flat, at = part.cast("B"), 0
    while at < len(flat):
        at += os.write(file, flat[at : at + _AT_ONCE])
    return at
