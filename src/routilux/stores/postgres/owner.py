"""Who may write to a store: one session of its server.

The right is an advisory lock of the session that writes, so it ends with that session, and nothing is written by a
session that lost it. Behind a pooler that shares sessions this would not hold; therefore every transaction that writes
also finds its epoch in the table `owner`, or nothing.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import NamedTuple

import psycopg

from routilux.errors import FencedError, StoreInUseError, StoreUnavailableError
from routilux.stores.owner import Owner
from routilux.stores.postgres.address import Address
from routilux.stores.postgres.session import Session

WAIT_SECONDS = 2
"""So long a session waits for the lock: that of a process that was killed is about to be free."""

_HOLDER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32) | objid::bigint = %s
"""


class Right(NamedTuple):
    """What an owner knows of its own right to write."""

    epoch: int
    backend: int
    """The server's process that serves its session."""


def take(session: Session, address: Address) -> None:
    """Takes the lock; raises `StoreInUseError` if somebody has it."""
    if not _locked(session, address):
        raise StoreInUseError(
            f"The store {address.place} is in use by {_owner(session)}{_served_by(session, address)}. End that, or "
            "open the store with read_only=True."
        )


def take_again(session: Session, address: Address, right: Right) -> None:
    """Takes the lock back after a connection was lost; raises `FencedError` if somebody else has had it since."""
    locked = _locked(session, address)
    if session.execute("SELECT epoch FROM owner").fetchone() != (right.epoch,):
        raise fenced(address)
    if not locked:
        # The server has not noticed that the session is over.
        holder = f"SELECT pg_terminate_backend(pid) FROM ({_HOLDER}) AS holder WHERE pid = %s"
        with suppress(psycopg.errors.InsufficientPrivilege):
            session.execute(holder, (_key(address), right.backend))
        raise StoreUnavailableError(f"The store {address.place}: the lock of the lost connection is not free yet.")


def fenced(address: Address) -> FencedError:
    """The error of an owner whose epoch is over."""
    return FencedError(
        f"The store {address.place} has been opened by somebody else since. Nothing more is written from here; open "
        "it again."
    )


def holder(session: Session, address: Address) -> int | None:
    """The server's process that serves whoever has the store now."""
    found = session.execute(_HOLDER, (_key(address),)).fetchone()
    return None if found is None else int(found[0])


def _locked(session: Session, address: Address) -> bool:
    try:
        with session.transaction():
            session.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
            session.execute("SELECT pg_advisory_lock(%s)", (_key(address),))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _key(address: Address) -> int:
    digest = hashlib.sha256(f"routilux {address.namespace}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def owner(session: Session) -> Owner | None:
    """Who has opened the store and not closed it, as it wrote itself down."""
    row = session.execute("SELECT pid, host, since FROM owner").fetchone()
    return None if row is None or row[0] == 0 else Owner(*row)


def _owner(session: Session) -> str:
    with suppress(psycopg.Error):
        if (found := owner(session)) is not None:
            return str(found)
    return "an unknown process"


def _served_by(session: Session, address: Address) -> str:
    found = holder(session, address)
    return "" if found is None else f", served by the server's process {found}"
