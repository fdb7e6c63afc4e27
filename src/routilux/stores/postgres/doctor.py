"""The surroundings of a store on a server: the server, the way to it, who else may read, who has it."""

from __future__ import annotations

import statistics
import time
from contextlib import closing

import psycopg

from routilux.stores.doctor import ServerDiagnosis
from routilux.stores.owner import Owner
from routilux.stores.port import Durability
from routilux.stores.postgres.address import Address, address_of
from routilux.stores.postgres.owner import holder, owner
from routilux.stores.postgres.session import Session, session_for_reading, session_for_writing, store_error
from routilux.stores.postgres.tables import check_version

_TIMES = 20

_SIZES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' ORDER BY relname
"""
_RIGHTS = """
SELECT DISTINCT coalesce(rolname, 'everybody'), (acl).privilege_type, place FROM (
    SELECT nspowner AS owner, 'the schema' AS place, aclexplode(nspacl) AS acl
    FROM pg_namespace WHERE oid = to_regnamespace(%(schema)s)
    UNION ALL SELECT relowner, relname, aclexplode(relacl)
    FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind = 'r'
) AS given LEFT JOIN pg_roles ON pg_roles.oid = (acl).grantee WHERE (acl).grantee <> given.owner ORDER BY 3, 1, 2
"""
_WRITES = """
SELECT bool_and(has_table_privilege(oid, 'SELECT, INSERT') AND has_table_privilege(oid, 'UPDATE')
AND has_table_privilege(oid, 'DELETE')) FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'
"""
# It is written to the log of the server and nowhere else, and the commit waits for that as one of a store does.
_WRITE = "SELECT pg_logical_emit_message(true, 'routilux', '')"


def doctor(dsn: str) -> ServerDiagnosis:
    """Looks at a store without opening it for writing; its server's log gets some empty messages."""
    address = address_of(dsn)
    with closing(session_for_reading(address)) as session:
        try:
            check_version(session, address, None)
            return _diagnosis(session, address)
        except psycopg.Error as error:
            raise store_error(error, address) from error


def owner_of(dsn: str) -> Owner | None:
    """Who has opened a store and not closed it."""
    address = address_of(dsn)
    with closing(session_for_reading(address)) as session:
        try:
            check_version(session, address, None)
            return owner(session)
        except psycopg.Error as error:
            raise store_error(error, address) from error


def _diagnosis(session: Session, address: Address) -> ServerDiagnosis:
    name = {"schema": address.namespace}
    (mark,) = session.execute("SELECT mark FROM owner").fetchall()[0]
    writes = session.execute(_WRITES, (address.namespace,)).fetchone()
    role = session.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchall()[0]
    return ServerDiagnosis(
        address.place,
        session.info.parameter_status("server_version") or "",
        {one: _setting(session, one) for one in ("fsync", "full_page_writes", "synchronous_commit")},
        _setting(session, "synchronous_standby_names"),
        _seconds(session, "SELECT 1"),
        _commit_seconds(address),
        address.sslmode,
        session.pgconn.ssl_in_use,
        role[0],
        role[1],
        bool(writes and writes[0]),
        tuple(f"{who} may {what} {place}" for who, what, place in session.execute(_RIGHTS, name).fetchall()),
        dict(session.execute(_SIZES, (address.namespace,)).fetchall()),
        owner(session),
        holder(session, address),
        mark != "",
    )


def _setting(session: Session, name: str) -> str:
    row = session.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return "" if row is None else str(row[0])


def _commit_seconds(address: Address) -> float | None:
    """How long a commit takes that is to be durable; `None` where this role may not try."""
    with closing(session_for_writing(address, Durability.POWER)) as session:
        try:
            return _seconds(session, _WRITE)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
            return None


def _seconds(session: Session, statement: str) -> float:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        session.execute(statement, prepare=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
