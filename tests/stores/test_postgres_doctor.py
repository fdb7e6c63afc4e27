"""What a doctor tells of a store on a server."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from routilux.errors import StoreUnavailableError
from routilux.stores.doctor import ServerDiagnosis
from routilux.stores.opening import doctor, open_store
from routilux.stores.port import Entry, NewJob
from tests.cli.here import here
from tests.postgres import Server

psycopg = pytest.importorskip("psycopg")

NUMBERS = itertools.count()


@pytest.fixture
def namespace(server: Server) -> str:
    """One with a store in it."""
    name = f"doctor_{next(NUMBERS)}"
    with open_store(server.dsn(name)) as store:
        store.submit(NewJob("job", "flow", None, b"{}", [Entry("settled", 5, b"1")]))
    return name


def diagnosed(dsn: str) -> ServerDiagnosis:
    found = doctor(dsn)
    assert isinstance(found, ServerDiagnosis)
    return found


def test_it_tells_of_the_server_and_the_way_to_it(server: Server, namespace: str) -> None:
    found = diagnosed(server.dsn(namespace))
    assert int(found.server_version.partition(".")[0]) >= 13
    assert found.settings == {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    assert found.commit_seconds is not None
    assert 0 < found.round_trip_seconds < found.commit_seconds
    assert (found.role, found.superuser, found.writable, found.encrypted) == ("postgres", True, True, False)
    assert set(found.sizes) == {"owner", "jobs", "facts", "large_values"}
    assert all(found.sizes.values())
    assert found.keyed is False


def test_it_tells_who_has_the_store(server: Server, namespace: str) -> None:
    assert (diagnosed(server.dsn(namespace)).owner, diagnosed(server.dsn(namespace)).served_by) == (None, None)
    with open_store(server.dsn(namespace)):
        found = diagnosed(server.dsn(namespace))
        assert found.owner is not None
        assert found.owner.pid == os.getpid()
        assert found.served_by is not None


def test_it_tells_who_else_may_read(server: Server, namespace: str) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as session:
        session.execute(f"CREATE ROLE {namespace}_reader LOGIN")
        session.execute(f"GRANT USAGE ON SCHEMA {namespace} TO {namespace}_reader")
        session.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {namespace} TO {namespace}_reader")
        session.execute(f"GRANT SELECT ON {namespace}.facts TO PUBLIC")
    found = diagnosed(server.dsn(namespace))
    assert "everybody may SELECT facts" in found.open_to_others
    assert f"{namespace}_reader may USAGE the schema" in found.open_to_others
    reader = diagnosed(server.dsn(namespace).replace("//postgres@", f"//{namespace}_reader@"))
    assert (reader.role, reader.superuser, reader.writable) == (f"{namespace}_reader", False, False)


def test_a_server_that_does_not_flush_is_told_of(server: Server, namespace: str) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as session:
        session.execute("ALTER SYSTEM SET fsync = off")
        session.execute("SELECT pg_reload_conf()")
        try:
            while session.execute("SHOW fsync").fetchone() != ("off",):
                pass
            found = diagnosed(server.dsn(namespace))
        finally:
            session.execute("ALTER SYSTEM RESET fsync")
            session.execute("SELECT pg_reload_conf()")
    assert (found.settings["fsync"], found.flush_is_honest) == ("off", False)


def test_where_there_is_no_store_it_says_so(server: Server) -> None:
    with pytest.raises(StoreUnavailableError, match="There is no store"):
        doctor(server.dsn("nowhere"))


def test_the_command_line_shows_it_all(server: Server, namespace: str, tmp_path: Path) -> None:
    done = here(tmp_path, "store", "doctor", server.dsn(namespace))
    assert (done.returncode, done.stderr) == (0, "")
    assert "a durable commit takes" in done.stdout
    assert "give the store one of its own" in done.stdout
    found = json.loads(here(tmp_path, "store", "doctor", server.dsn(namespace), "--json").stdout)
    assert found["settings"]["fsync"] == "on"
    assert "password" not in json.dumps(found)
    assert here(tmp_path, "store", "doctor", server.dsn("nowhere")).returncode == 8
    assert here(tmp_path, "store", "doctor", "nowhere.db").returncode == 2
