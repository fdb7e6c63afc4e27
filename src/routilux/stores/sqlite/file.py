"""The file of a store: its tables, how it is opened, and what an error of SQLite means.

SQLite before 3.51.3 may damage a file that two connections write to or checkpoint. So one connection does both, the
one with the lock of `OwnerLock`; every other is opened for reading only, also within the same process.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

from routilux.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    StoreVersionError,
)
from routilux.stores.port import Durability

APPLICATION_ID = 0x526F7574
VERSION = 3
READABLE = (2, VERSION)
"""The versions of stores that can be read; one that is opened for writing becomes one of this version."""
OLDEST_SQLITE = (3, 37)
BUSY_SECONDS = 5.0

CHECKED_BYTES = 64 * 1024 * 1024
"""Up to this size the structure of a file is checked when it is opened; its entries are whenever they are read."""

TABLES = f"""
BEGIN EXCLUSIVE;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    since INTEGER NOT NULL, purges INTEGER NOT NULL, mark TEXT NOT NULL
) STRICT;
INSERT INTO owner VALUES (1, 0, 0, '', 0, 0, '{{mark}}');
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, job_id TEXT NOT NULL UNIQUE, flow_id TEXT NOT NULL, key TEXT, status TEXT NOT NULL,
    created_at INTEGER NOT NULL, entries INTEGER NOT NULL, chain BLOB NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys ON jobs (flow_id, key) WHERE key IS NOT NULL;
CREATE TABLE facts (
    job INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
    body BLOB NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
COMMIT;
"""
"""The request of a job is its entry number 0. `entries` and `chain` of a job are those of some moment shortly ago.

`mark` is that of the journal key."""

_OF_CODE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (StoreFullError, "there is no room. Make some"),
    sqlite3.SQLITE_BUSY: (StoreBusyError, "another program keeps it locked. Close that program"),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, "another program keeps it locked. Close that program"),
    sqlite3.SQLITE_CORRUPT: (StoreDamagedError, "it is damaged. `repair` copies what is whole"),
    sqlite3.SQLITE_NOTADB: (StoreDamagedError, "it is damaged, or no store. `repair` copies what is whole"),
    sqlite3.SQLITE_IOERR: (StoreUnavailableError, "its disk fails. Look at the disk"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailableError, "it cannot be opened. Look at its path and permissions"),
}


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """What an error of SQLite means to whoever uses the store."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError):
        # The module's own: a text that is none.
        return StoreDamagedError(f"The store {path} is damaged: {error}. `repair` copies what is whole.")
    kind, meaning = _OF_CODE.get((code or 0) & 0xFF, (StoreError, "SQLite refuses"))
    return kind(f"The store {path}: {meaning}. SQLite says: {error}.")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; raises `StoreError` where there is no store of this version."""
    if not path.is_file():
        raise StoreUnavailableError(f"There is no store {path}.")
    try:
        # SQLite reads along with a writer by means of files beside it. Where nobody may make them, nobody writes.
        alone = not os.access(path.parent, os.W_OK) and not beside(path, "-wal").exists()
        connection = _opened(path, "ro&immutable=1" if alone else "ro")
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    return _of_this_version(connection, path)


def open_for_writing(path: Path, durability: Durability, mark: str) -> sqlite3.Connection:
    """The one connection that writes; makes the file if there is none, with this mark.

    The caller holds the owner's lock.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreVersionError(f"A store needs SQLite 3.37 or newer; this Python has {sqlite3.sqlite_version}.")
    try:
        # Made before SQLite would make it, so that nobody else may read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
        return _ready(_opened(path, "rw"), path, durability, mark)
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    except OSError as error:
        raise StoreUnavailableError(f"The store {path} cannot be opened: {error}.") from error


def mark_of(connection: sqlite3.Connection) -> str:
    """The mark that a store was made with."""
    row = connection.execute("SELECT mark FROM owner").fetchone()
    return "" if row is None else str(row[0])


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreDamagedError` if SQLite finds the tables of a file that is not too large to be looked at damaged."""
    if path.stat().st_size <= CHECKED_BYTES:
        for pragma in ("quick_check(1)", "integrity_check(jobs)"):
            found = " ".join(connection.execute(f"PRAGMA {pragma}").fetchone()[0].split())
            if found != "ok":
                raise StoreDamagedError(f"The store {path} is damaged: {found}. `repair` copies what is whole.")


def beside(path: Path, suffix: str) -> Path:
    """The path of a file that belongs to a store."""
    return path.with_name(path.name + suffix)


def _ready(connection: sqlite3.Connection, path: Path, durability: Durability, mark: str) -> sqlite3.Connection:
    try:
        if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None:
            beside(path, ".head").unlink(missing_ok=True)
            connection.executescript(TABLES.format(mark=mark))
        _of_this_version(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability is Durability.POWER else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA secure_delete = ON")
    except (sqlite3.Error, OSError):
        connection.close()
        raise
    return connection


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
    # What is read may be hostile: no function that the file names, and no page that is not checked.
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _of_this_version(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        connection.close()
        raise store_error(error, path) from error
    if application != APPLICATION_ID:
        connection.close()
        raise StoreVersionError(f"{path} is a database, but no store of Routilux. Give the path of another file.")
    if version not in READABLE:
        connection.close()
        raise StoreVersionError(
            f"The store {path} is of version {version}, and this release reads up to version {VERSION}. "
            "Use the release that wrote it."
        )
    return connection
