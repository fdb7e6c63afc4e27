"""`routilux jobs` and `routilux store` on a store that a real PostgreSQL server keeps."""

import json
from pathlib import Path

import pytest

from routilux import Flow, routine
from tests.cli.here import here
from tests.postgres import Server

pytest.importorskip("psycopg")


@routine
def charge(order: int) -> int:
    if order == 2:
        raise ConnectionError("no card reader")
    return order * 10


@pytest.fixture
def place(server: Server) -> str:
    """A store with a job that has completed and one that has failed."""
    where = server.dsn("cli")
    with Flow("shop", store=where) as flow:
        flow.add_routine(charge)
        for order in (1, 2):
            flow.execute("charge", {"order": order})
    return where


def test_jobs_on_a_server_are_looked_at_and_removed_as_those_in_a_file(place: str, tmp_path: Path) -> None:
    def told(*arguments: str) -> dict:
        done = here(tmp_path, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    failed, completed = told("jobs", "list", place)["jobs"]
    assert (failed["status"], completed["status"]) == ("failed", "completed")
    assert told("jobs", "show", place, failed["job"])["failures"][0]["message"] == "ConnectionError: no card reader"
    assert told("store", "check", place)["jobs"] == 2
    assert len(here(tmp_path, "jobs", "export", place, completed["job"]).stdout.splitlines()) > 1
    assert told("jobs", "purge", place, failed["job"]) == {"removed": 1, "job": failed["job"]}
    assert told("jobs", "purge", place, "--finished-before", "0s") == {"removed": 1}
    assert told("jobs", "list", place)["jobs"] == []


def test_a_place_that_is_no_store_is_called_wrongly(tmp_path: Path) -> None:
    done = here(tmp_path, "jobs", "list", "nowhere.db")
    assert done.returncode == 2
    assert "does not exist" in done.stdout + done.stderr
