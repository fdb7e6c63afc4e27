"""The store of SQLite, put together of its parts, and the one way to open it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal, overload

from routilux.clock import SystemClock
from routilux.errors import StoreError, StoreUnavailableError
from routilux.ports import Clock
from routilux.stores.blobs import Blobs
from routilux.stores.chain import Chain
from routilux.stores.committed import STORE_GRACE, CommittedStore, LargeValues
from routilux.stores.committer import Committer
from routilux.stores.port import Durability, Records, Store
from routilux.stores.sqlite.file import beside
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.owner import OwnerLock
from routilux.stores.sqlite.records import SQLiteRecords


@overload
def open_store(
    path: str | os.PathLike[str],
    durability: Durability = ...,
    *,
    read_only: Literal[False] = ...,
    store_grace: float = ...,
    retention: float | None = ...,
    clock: Clock | None = ...,
    journal_key: bytes | None = ...,
) -> Store: ...


@overload
def open_store(
    path: str | os.PathLike[str], *, read_only: Literal[True], journal_key: bytes | None = ...
) -> Records: ...


def open_store(
    path: str | os.PathLike[str],
    durability: Durability = Durability.POWER,
    *,
    read_only: bool = False,
    store_grace: float = STORE_GRACE,
    retention: float | None = None,
    clock: Clock | None = None,
    journal_key: bytes | None = None,
) -> Records:
    """Opens the store in a file, which is made if need be; for reading only, it never writes and may always be opened.

    Raises `StoreInUseError` if somebody writes to it, `StoreDamagedError` if it is not what was written, and
    `StoreVersionError` if it is no store of this version.
    """
    whole = Path(path).expanduser().absolute()
    if read_only:
        return SQLiteRecords(whole, Chain(journal_key))
    chain = Chain(journal_key)
    return SQLiteStore(whole, Durability(durability), clock or SystemClock(), store_grace, retention, chain)


class SQLiteStore(CommittedStore):
    """A file of SQLite with its log, a note of its end, a lock and a folder for large values beside it."""

    def __init__(
        self,
        path: Path,
        durability: Durability,
        clock: Clock,
        store_grace: float,
        retention: float | None,
        chain: Chain,
    ) -> None:
        blobs = Blobs(beside(path, ".blobs"))
        try:
            blobs.make()
        except OSError as error:
            raise StoreUnavailableError(f"The store {path} cannot be opened: {error}.") from error
        lock = OwnerLock(path, blobs.folder)
        try:
            ledger = Ledger(path, durability, platform.node(), os.getpid(), clock.epoch(), chain)
            records = SQLiteRecords(path, chain)
        except (StoreError, OSError):
            lock.release()
            raise

        def sweep() -> None:
            if next(blobs.names(), None) is not None:
                blobs.sweep(records.blobs_named())

        def closed() -> None:
            ledger.close()
            lock.release()

        committer = Committer(ledger.commit, ledger.tend, clock, store_grace)
        super().__init__(path, records, committer, LargeValues(blobs.save, blobs.load, sweep), clock, closed, retention)
