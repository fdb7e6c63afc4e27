"""Flows that asked for pickles: their jobs go on with them, and nobody else looks at any."""

import json

import pytest

from routilux import Flow, routine
from routilux.cli.options import JOURNAL_KEY
from routilux.errors import PayloadError, RecoveryError, SettingError
from routilux.facts import JobStatus
from routilux.stores.opening import open_store
from tests.cli.here import here

KEY = b"a key of many letters"


class Shelf:
    """Of a type that no annotation names."""

    opened = 0

    def __init__(self, books):
        self.books = books

    def __setstate__(self, state):
        vars(self).update(state)
        Shelf.opened += 1


@routine
def fill(count: int):
    return Shelf(list(range(count)))


@routine
def read(shelf) -> int:
    if Shelf.interrupting:
        raise KeyboardInterrupt
    return len(shelf.books)


Shelf.interrupting = False


def build(path, **settings):
    flow = Flow("library", store=path / "jobs.db", **settings)
    flow.chain(fill, read)
    return flow


@pytest.fixture
def left(tmp_path, monkeypatch):
    """The id of a job that was left with a pickle on its way."""
    monkeypatch.setattr(Shelf, "interrupting", True)
    with build(tmp_path, journal_key=KEY, allow_pickle=True) as flow, pytest.raises(KeyboardInterrupt):
        flow.execute("fill", {"count": 3}, key="left")
    monkeypatch.setattr(Shelf, "interrupting", False)
    monkeypatch.setattr(Shelf, "opened", 0)
    with open_store(tmp_path / "jobs.db", read_only=True, journal_key=KEY) as records:
        (job_id,) = records.job_ids("library", ["pending"])
    return job_id


def test_a_job_goes_on_with_what_was_pickled(tmp_path, left):
    with build(tmp_path, journal_key=KEY, allow_pickle=True) as flow:
        (job,) = flow.recover()
        job.wait()
        assert (job.job_id, job.status, job.result) == (left, JobStatus.COMPLETED, 3)


def test_a_flow_that_does_not_ask_for_pickles_reads_none(tmp_path, left):
    with build(tmp_path, journal_key=KEY) as flow:
        with pytest.raises(RecoveryError, match="read only with allow_pickle=True"):
            flow.recover()
        assert Shelf.opened == 0
    with build(tmp_path, journal_key=KEY, allow_pickle=True) as flow:
        assert [job.job_id for job in flow.recover()] == [left]


def test_without_a_key_there_are_no_pickles(tmp_path):
    with pytest.raises(SettingError, match="allow_pickle=True needs a journal_key"):
        build(tmp_path, allow_pickle=True)
    with build(tmp_path, journal_key=KEY) as flow:
        job = flow.execute("fill", {"count": 3})
        with pytest.raises(PayloadError, match="cannot be stored"):
            job.raise_for_status()


def test_the_command_line_opens_none(tmp_path, left, monkeypatch):
    with build(tmp_path, journal_key=KEY, allow_pickle=True) as flow:
        flow.execute("fill", {"count": Shelf([1])}, key="pickled")
        job = flow.execute("fill", {"count": Shelf([1])}, key="pickled")
    monkeypatch.setattr(Shelf, "opened", 0)
    monkeypatch.setenv(JOURNAL_KEY, KEY.decode())
    found = json.loads(here(tmp_path, "jobs", "show", "jobs.db", job.job_id, "--payloads", "--json").stdout)
    assert found["pickles"] is True
    assert found["params"]["count"].startswith("<pickled, ")
    assert "Its flow allowed pickles" in here(tmp_path, "jobs", "show", "jobs.db", left).stdout
    assert here(tmp_path, "jobs", "export", "jobs.db", left).returncode == 0
    assert Shelf.opened == 0
