"""Opens whatever a store is given as: the address of a database on a server, or the path of a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, overload

from routilux.clock import SystemClock
from routilux.loading import loaded_extra
from routilux.ports import Clock
from routilux.stores import check as sqlite_check
from routilux.stores.committed import STORE_GRACE
from routilux.stores.doctor import Diagnosis, ServerDiagnosis
from routilux.stores.doctor import doctor as diagnosis_of_file
from routilux.stores.findings import Findings
from routilux.stores.owner import Owner
from routilux.stores.port import Durability, Records, Store
from routilux.stores.sqlite import store as sqlite
from routilux.stores.sqlite.owner import owner_of as owner_of_file

SERVERS = ("postgresql://", "postgres://")
"""How the address of a server begins."""


@overload
def open_store(
    where: str | os.PathLike[str],
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
    where: str | os.PathLike[str], *, read_only: Literal[True], journal_key: bytes | None = ...
) -> Records: ...


def open_store(
    where: str | os.PathLike[str],
    durability: Durability = Durability.POWER,
    *,
    read_only: bool = False,
    store_grace: float = STORE_GRACE,
    retention: float | None = None,
    clock: Clock | None = None,
    journal_key: bytes | None = None,
) -> Records:
    """Opens a store, which is made if need be; for reading only, it never writes and may always be opened.

    Jobs that have been over for `retention` seconds are removed, now and hourly while it is open; `None`: never.
    With a `journal_key`, what is kept is authenticated by it; each opener must give the one that the store was made
    with, or a `JournalKeyError` is raised.

    Raises `StoreInUseError` if somebody writes to it, and other kinds of `StoreError` if it cannot be used.
    """
    if not on_server(where):
        if read_only:
            return sqlite.open_store(where, read_only=True, journal_key=journal_key)
        return sqlite.open_store(
            where, durability, store_grace=store_grace, retention=retention, clock=clock, journal_key=journal_key
        )
    opened: Records = _of_postgres("store", "open_store")(
        where,
        durability,
        read_only=read_only,
        store_grace=store_grace,
        retention=retention,
        clock=clock or SystemClock(),
        journal_key=journal_key,
    )
    return opened


def check(where: str | os.PathLike[str], *, journal_key: bytes | None = None) -> Findings:
    """Reads all of a store; raises `StoreError` if it is none of this version, or cannot be read at all."""
    if not on_server(where):
        return sqlite_check.check(where, journal_key=journal_key)
    findings: Findings = _of_postgres("check", "check")(where, journal_key=journal_key)
    return findings


def doctor(where: str | os.PathLike[str]) -> Diagnosis | ServerDiagnosis:
    """Looks at what stands around a store, without opening it for writing; it may be in use."""
    if not on_server(where):
        return diagnosis_of_file(where)
    found: ServerDiagnosis = _of_postgres("doctor", "doctor")(where)
    return found


def owner_of(where: str | os.PathLike[str]) -> Owner | None:
    """Who has opened a store and not closed it."""
    if not on_server(where):
        return owner_of_file(Path(where))
    found: Owner | None = _of_postgres("doctor", "owner_of")(where)
    return found


def on_server(where: str | os.PathLike[str]) -> bool:
    """Whether it is the address of a server."""
    return isinstance(where, str) and where.startswith(SERVERS)


def _of_postgres(module: str, name: str) -> Any:
    return loaded_extra(f"routilux.stores.postgres.{module}", name, "postgres", "A store on a PostgreSQL server")
