"""What can be known of the surroundings of a store: the disk, SQLite, who may read it, how large it is."""

from __future__ import annotations

import os
import sqlite3
import stat
import statistics
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from routilux.errors import StoreError
from routilux.stores.owner import Owner
from routilux.stores.sqlite.file import beside, mark_of, open_for_reading
from routilux.stores.sqlite.owner import owner_of

_FLUSHES = 20
_TOO_FAST = 20e-6


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The surroundings of a store, as they are now."""

    sqlite_version: str
    wal_reset_bug: bool
    """Whether this SQLite damages a file that two connections write to, unless its distributor has put that right.

    A store is safe from it, because only one ever does; other programs must not write to the file.
    """
    flush_seconds: float
    """How long the disk took to make a small write durable, the median of some."""
    sizes: dict[str, int]
    """Bytes, by the name of each file that belongs to the store."""
    open_to_others: tuple[str, ...]
    """Names of those that other users of this machine may read or write."""
    owner: Owner | None
    """Who opened it last for writing, if it was not closed since."""
    keyed: bool | None
    """Whether it was made with a journal key; `None` where that cannot be read."""

    @property
    def flush_is_honest(self) -> bool:
        """Whether a flush takes as long as a disk needs at least."""
        return self.flush_seconds >= _TOO_FAST


@dataclass(frozen=True, slots=True)
class ServerDiagnosis:
    """The surroundings of a store on a server, as they are now."""

    place: str
    server_version: str
    settings: dict[str, str]
    """Those of the server, and of this role there, that say whether what it acknowledges is durable."""
    standbys: str
    """Which standbys a commit waits for."""
    round_trip_seconds: float
    """How long the server takes to answer, the median of some."""
    commit_seconds: float | None
    """The same for a commit that is to be durable; `None` where it could not be tried."""
    sslmode: str
    encrypted: bool
    role: str
    superuser: bool
    writable: bool
    """Whether this role may do what an owner of the store has to."""
    open_to_others: tuple[str, ...]
    """What other roles were granted; a superuser needs no grant."""
    sizes: dict[str, int]
    """Bytes, by table."""
    owner: Owner | None
    """Who opened it last for writing, if it was not closed since."""
    served_by: int | None
    """The process of the server that serves whoever has it now."""
    keyed: bool

    @property
    def flush_is_honest(self) -> bool:
        """Whether nothing speaks against it that what is acknowledged outlives a loss of power."""
        commit = self.commit_seconds
        slow_enough = commit is None or commit - self.round_trip_seconds >= _TOO_FAST
        return slow_enough and all(self.settings[name] == "on" for name in ("fsync", "full_page_writes"))


def doctor(path: str | os.PathLike[str]) -> Diagnosis:
    """Looks at a store without opening it for writing; writes a small file beside it for a moment."""
    whole = Path(path).absolute()
    parts = [one for suffix in ("", "-wal", "-shm", ".head", ".lock") if (one := beside(whole, suffix)).exists()]
    folder = beside(whole, ".blobs")
    blobs = list(folder.iterdir()) if folder.is_dir() else []
    every = [*parts, *blobs, *([folder] if folder.is_dir() else [])]
    wide = tuple(one.name for one in every if os.name != "nt" and stat.S_IMODE(one.stat().st_mode) & 0o077)
    sizes = {one.name: one.stat().st_size for one in parts} | {folder.name: sum(one.stat().st_size for one in blobs)}
    owner = owner_of(whole)
    return Diagnosis(
        sqlite3.sqlite_version,
        has_wal_reset_bug(sqlite3.sqlite_version_info),
        _flush_seconds(whole.parent),
        sizes,
        wide,
        None if owner is None or owner.pid == 0 else owner,
        _is_keyed(whole),
    )


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether a release of SQLite as its authors published it has the bug that 3.51.3 mended."""
    mended = {(3, 44): 6, (3, 50): 7}
    if version[:2] in mended:
        return version[2] < mended[version[0], version[1]]
    return (3, 7, 0) <= version < (3, 51, 3)


def _is_keyed(path: Path) -> bool | None:
    with suppress(StoreError, sqlite3.Error), closing(open_for_reading(path)) as connection:
        return mark_of(connection) != ""
    return None


def _flush_seconds(folder: Path) -> float:
    with tempfile.TemporaryFile(dir=folder) as file:
        times = []
        for _ in range(_FLUSHES):
            file.write(bytes(512))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)
