"""A disk that fails and loses: connections of apsw over a VFS, with what our store needs of `sqlite3`.

The store runs as it is, SQL and all; only what lies below SQLite is ours. What was not synced when the power goes is
kept, lost or torn, for each sector by itself, in the files as in the order of writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR = 512


class Disk(apsw.VFS):
    """All files below SQLite; `fails` is asked before each write and sync whether that fails."""

    def __init__(self, name: str, fails: Callable[[str], bool] = lambda what: False) -> None:
        self.name = name
        self.fails = fails
        self.images: dict[str, bytearray] = {}
        """By path: what is surely on the disk."""
        self.pending: dict[str, list[tuple[int, bytes]]] = {}
        """By path: what was written since, and where; an empty text cuts the file there."""
        super().__init__(name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> DiskFile:  # noqa: N802 - the name is SQLite's
        return DiskFile(self, name, flags)

    def after_the_power_went(self, path: str, chance: Random) -> bytes:
        """What a file holds when the machine starts again."""
        image = bytearray(self.images.get(path, b""))
        for offset, data in self.pending.get(path, []):
            if not data:
                if chance.random() < 0.5:
                    del image[offset:]
                continue
            for start in range(0, len(data), SECTOR):
                fate, part = chance.random(), data[start : start + SECTOR]
                if fate < 0.1:
                    part = part[: chance.randrange(len(part))]
                if fate < 0.5:
                    _put(image, offset + start, part)
        return bytes(image)


class DiskFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = name if isinstance(name, str) or name is None else name.filename()
        self._path = self._path or "temporary"
        super().__init__("unix", name, flags)
        if self._path not in disk.images:
            there = Path(self._path)
            disk.images[self._path] = bytearray(there.read_bytes() if there.is_file() else b"")
            disk.pending[self._path] = []

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._disk.fails("write"):
            raise _failure()
        super().xWrite(data, offset)
        self._disk.pending[self._path].append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._disk.pending[self._path].append((size, b""))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.fails("sync"):
            raise _failure()
        super().xSync(flags)
        image = self._disk.images[self._path]
        for offset, data in self._disk.pending[self._path]:
            if data:
                _put(image, offset, data)
            else:
                del image[offset:]
        self._disk.pending[self._path] = []


def _failure() -> apsw.IOError:
    error = apsw.IOError("the disk fails")
    error.extendedresult = sqlite3.SQLITE_IOERR_WRITE
    return error


def _put(image: bytearray, offset: int, data: bytes) -> None:
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


class Rows:
    """What a statement gave, as `sqlite3.Cursor` has it."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)


class Cursor:
    """What executes and gives nothing."""

    def __init__(self, connection: Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany

    def close(self) -> None:
        """There is nothing left of it."""


class Connection:
    """As much of `sqlite3.Connection` as a store uses, over a disk."""

    def __init__(self, uri: str, disk: Disk) -> None:
        self._connection = self._told(
            lambda: apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI, vfs=disk.name)
        )
        self._connection.set_busy_timeout(100)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes()

    def cursor(self) -> Cursor:
        return Cursor(self)

    def set_authorizer(self, judge: Callable[..., int]) -> None:
        """What is forbidden is not what is tried here."""

    def execute(self, sql: str, given: Any = ()) -> Rows:
        before = self._connection.total_changes()
        rows = self._told(lambda: list(self._connection.execute(sql, tuple(given))))
        return Rows(rows, self._connection.total_changes() - before)

    def executemany(self, sql: str, given: Any) -> Rows:
        return Rows(self._told(lambda: list(self._connection.executemany(sql, given))), 0)

    def executescript(self, sql: str) -> Rows:
        return self.execute(sql)

    def close(self) -> None:
        self._told(self._connection.close)

    def setconfig(self, option: int, value: bool) -> None:
        """What Python 3.12 asks for is not what is tried here."""

    @staticmethod
    def _told(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except apsw.Error as error:
            told = sqlite3.OperationalError(str(error))
            told.sqlite_errorcode = getattr(error, "extendedresult", sqlite3.SQLITE_ERROR)  # type: ignore[misc]
            raise told from error
