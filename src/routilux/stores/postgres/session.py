"""Connections to the server of a store, and what its errors mean."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import psycopg
from psycopg import errors

from routilux.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    StoreVersionError,
)
from routilux.stores.port import Durability
from routilux.stores.postgres.address import Address

OLDEST_SERVER = 130_000
LOCK_SECONDS = 5
"""So long a statement waits for a lock that a foreign program has."""

_IDLE = 4

Session: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_MEANINGS: tuple[tuple[tuple[type[psycopg.Error], ...], type[StoreError], str], ...] = (
    ((errors.DiskFull,), StoreFullError, "there is no room on the server. Make some"),
    (
        (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure),
        StoreBusyError,
        "another program keeps it locked. Close that program",
    ),
    (
        (errors.DataCorrupted, errors.IndexCorrupted),
        StoreDamagedError,
        "it is damaged. Put back a backup of the database",
    ),
    (
        (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction),
        StoreUnavailableError,
        "its server cannot be reached, or refuses. Look at the server, the address and the password",
    ),
)


def store_error(error: psycopg.Error, address: Address) -> StoreError:
    """What an error of the server means to whoever uses the store."""
    refused = StoreError, "the server refuses"
    known, meaning = next(((kind, text) for kinds, kind, text in _MEANINGS if isinstance(error, kinds)), refused)
    return known(f"The store {address.place}: {meaning}. It says: {address.masked(error)}.")


def session_for_writing(address: Address, durability: Durability) -> Session:
    """A connection whose commits are as durable as that."""
    return _opened(address, f"SET synchronous_commit = {'on' if durability is Durability.POWER else 'off'}")


def session_for_reading(address: Address) -> Session:
    """A connection that cannot write."""
    return _opened(address, "SET default_transaction_read_only = on")


def _opened(address: Address, further: str) -> Session:
    try:
        session = psycopg.connect(address.conninfo, autocommit=True)
    except psycopg.Error as error:
        known = store_error(error, address)
        # The error of the driver would show the address.
        raise known from None
    try:
        encoding = session.info.parameter_status("server_encoding")
        if session.info.server_version < OLDEST_SERVER or encoding != "UTF8":
            raise StoreVersionError(
                f"The store {address.place} needs PostgreSQL 13 or newer and a database in UTF8; this server is of "
                f"version {session.info.server_version // 10_000}, and the database in {encoding}."
            )
        session.execute(
            f"SET search_path = {address.namespace}; SET lock_timeout = '{LOCK_SECONDS}s'; "
            "SET default_transaction_isolation = 'read committed'; "
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
            # A machine that vanishes lets go of the store within a minute.
            "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; " + further
        )
    except psycopg.Error as error:
        session.close()
        raise store_error(error, address) from error
    except StoreError:
        session.close()
        raise
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_let_go, weakref.ref(session)))
    return session


def _let_go(reference: weakref.ref[Session]) -> None:
    """In a forked child: it must not keep the server from noticing that its parent has died."""
    session = reference()
    if session is not None and not session.closed:
        with suppress(OSError):
            os.close(session.fileno())


class Sessions:
    """Connections for whoever needs one for a while; some are kept for the next."""

    def __init__(self, address: Address, opened: Callable[[], Session]) -> None:
        self._address = address
        self._opened = opened
        self._taking = threading.Lock()
        self._idle: list[Session] = []
        self._pid = os.getpid()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[Session]:
        """A connection for the caller alone; what the server says against it is raised as a `StoreError`."""
        session = self._taken() or self._opened()
        try:
            yield session
        except psycopg.Error as error:
            session.close()
            raise store_error(error, self._address) from error
        finally:
            self._give_back(session)

    def close(self) -> None:
        """Closes those that are kept, and the others when they come back."""
        self._closed = True
        while (session := self._next()) is not None:
            session.close()

    def _taken(self) -> Session | None:
        """One that still works."""
        while (session := self._next()) is not None:
            with suppress(psycopg.Error):
                session.execute("SELECT")
                return session
            session.close()
        return None

    def _next(self) -> Session | None:
        with self._taking:
            if self._pid != os.getpid():
                # Those of the parent are its own.
                self._idle, self._pid = [], os.getpid()
            return self._idle.pop() if self._idle else None

    def _give_back(self, session: Session) -> None:
        idle = not session.closed and session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._taking:
            if idle and not self._closed and len(self._idle) < _IDLE and self._pid == os.getpid():
                self._idle.append(session)
                return
        session.close()
