"""Large values of a store in a table of their own, named by the SHA-256 of what is in them."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Iterator

from routilux.errors import StoreBusyError, StoreDamagedError, StoreError, StoreFullError, StoreUnavailableError
from routilux.ports import Clock
from routilux.stores.blobs import NAME, YOUNG_SECONDS, names_in
from routilux.stores.postgres.address import Address
from routilux.stores.postgres.owner import fenced
from routilux.stores.postgres.session import Session, Sessions

_PAUSE = 100_000_000

_SAVE = """
INSERT INTO large_values (name, saved_at, data) SELECT %s, %s, %b FROM owner WHERE epoch = %s FOR SHARE
ON CONFLICT (name) DO UPDATE SET saved_at = excluded.saved_at
"""
_SWEEP = "DELETE FROM large_values WHERE saved_at < %s AND NOT name = ANY(%s)"


def loaded(sessions: Sessions, name: str) -> bytes:
    """The value of a name; raises `StoreDamagedError` if it is gone or is not what was saved."""
    if NAME.fullmatch(name.encode()) is None:
        raise StoreError(f"{name[:80]!r} is not the name of a large value.")
    with sessions.one() as session:
        row = session.execute("SELECT data FROM large_values WHERE name = %b::text", (name,), binary=True).fetchone()
    if row is None:
        raise StoreDamagedError(f"The large value {name} cannot be read: it is gone.")
    if not is_value(name, row[0]):
        raise StoreDamagedError(f"The large value {name} cannot be read: its hash is another.")
    return bytes(row[0])


def is_value(name: str, data: bytes) -> bool:
    """Whether some bytes are what was saved under a name."""
    return name == f"sha256-{hashlib.sha256(data).hexdigest()}"


def named(session: Session) -> set[str]:
    """The names of large values in all entries and requests."""
    bodies = session.execute("SELECT body FROM facts WHERE position('sha256-'::bytea IN body) > 0")
    return {name for (body,) in bodies for name in names_in(body)}


class Values:
    """Keeps values for the owner of a store, over sessions of their own, so that entries do not wait for them."""

    def __init__(self, address: Address, sessions: Sessions, epoch: int, clock: Clock, grace_seconds: float) -> None:
        self._address = address
        self._sessions = sessions
        self._epoch = epoch
        self._clock = clock
        self._grace = int(grace_seconds * 1e9)

    def save(self, data: bytes) -> str:
        """Keeps a value and returns its name; tries again while a trouble may pass."""
        name = f"sha256-{hashlib.sha256(data).hexdigest()}"
        until = self._clock.now() + self._grace
        while True:
            try:
                self._insert(name, data)
                return name
            except (StoreFullError, StoreBusyError, StoreUnavailableError):
                now = self._clock.now()
                if now >= until:
                    raise
                self._clock.wait(queue.SimpleQueue(), min(until, now + _PAUSE), idle=False)

    def load(self, name: str) -> bytes:
        """The value of a name."""
        return loaded(self._sessions, name)

    def sweep(self) -> None:
        """Removes what nothing names, unless it is young and may be named yet."""
        with self._sessions.one() as session:
            if session.execute("SELECT 1 FROM large_values LIMIT 1").fetchone() is not None:
                oldest = self._clock.epoch() - YOUNG_SECONDS * 10**9
                session.execute(_SWEEP, (oldest, list(named(session))))

    def close(self) -> None:
        """Gives the sessions back."""
        self._sessions.close()

    def _insert(self, name: str, data: bytes) -> None:
        with self._sessions.one() as session:
            if session.execute(_SAVE, (name, self._clock.epoch(), data, self._epoch)).rowcount != 1:
                raise fenced(self._address)


def every_name(session: Session) -> Iterator[str]:
    """The names of all values, whole or not."""
    for (name,) in session.execute("SELECT name FROM large_values ORDER BY name"):
        yield name
