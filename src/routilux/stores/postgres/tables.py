"""The tables of a store in its schema."""

from __future__ import annotations

import psycopg

from routilux.errors import StoreUnavailableError, StoreVersionError
from routilux.stores.chain import Chain
from routilux.stores.postgres.address import Address
from routilux.stores.postgres.session import Session

VERSION = 3
READABLE = (2, VERSION)
"""The versions of stores that can be read; one that is opened for writing becomes one of this version."""

TABLES = f"""
CREATE TABLE owner (
    one integer PRIMARY KEY CHECK (one = 1), version integer NOT NULL, epoch bigint NOT NULL, pid bigint NOT NULL,
    host text NOT NULL, since bigint NOT NULL, purges bigint NOT NULL, mark text NOT NULL
);
INSERT INTO owner VALUES (1, {VERSION}, 0, 0, '', 0, 0, '');
CREATE TABLE jobs (
    number bigint PRIMARY KEY, job_id text NOT NULL UNIQUE, flow_id text NOT NULL, key text, status text NOT NULL,
    created_at bigint NOT NULL, entries bigint NOT NULL, chain bytea NOT NULL, crc bigint NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX keys ON jobs (flow_id, key) WHERE key IS NOT NULL;
CREATE TABLE facts (
    job bigint NOT NULL, seq bigint NOT NULL, epoch bigint NOT NULL, kind text NOT NULL, at bigint NOT NULL,
    body bytea NOT NULL, chain bytea NOT NULL, PRIMARY KEY (job, seq)
);
CREATE TABLE large_values (name text PRIMARY KEY, saved_at bigint NOT NULL, data bytea NOT NULL);
ALTER TABLE large_values ALTER COLUMN data SET STORAGE EXTERNAL;
"""
"""The request of a job is its entry number 0. `entries` and `chain` of a job are those of some moment shortly ago.

`mark` is that of the journal key."""


def make_tables(session: Session, address: Address, mark: str) -> None:
    """Makes the schema and its tables, with this mark, if there are none; the caller is the owner of the store."""
    if _has_owner(session, address):
        return
    name = address.namespace
    foreign = session.execute("SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace(%s)", (name,)).fetchone()
    if foreign is not None:
        raise StoreVersionError(
            f"The schema {name} has tables, but no store of Routilux. Give another name: ?namespace=..."
        )
    with session.transaction():
        if session.execute("SELECT to_regnamespace(%s)", (name,)).fetchone() == (None,):
            session.execute(f"CREATE SCHEMA {name}")
        session.execute(TABLES)
        session.execute("UPDATE owner SET mark = %s", (mark,))


def check_version(session: Session, address: Address, chain: Chain | None) -> None:
    """Raises `StoreError` where there is no store of this version, or one with another key, if one is to fit."""
    if not _has_owner(session, address):
        raise StoreUnavailableError(f"There is no store {address.place}.")
    try:
        found = session.execute("SELECT version FROM owner").fetchone()
    except psycopg.errors.UndefinedColumn:
        found = None
    if found is None or found[0] not in READABLE:
        raise StoreVersionError(
            f"The store {address.place} is of version {found and found[0]}, and this release reads up to version "
            f"{VERSION}. Use the release that wrote it."
        )
    if chain is not None:
        row = session.execute("SELECT mark FROM owner").fetchone()
        chain.check("" if row is None else row[0], address.place)


def _has_owner(session: Session, address: Address) -> bool:
    return session.execute("SELECT to_regclass(%s)", (f"{address.namespace}.owner",)).fetchone() != (None,)
