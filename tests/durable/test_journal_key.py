"""A flow whose jobs are kept with a key."""

import json

import pytest

from routilux import Flow, routine
from routilux.cli.options import JOURNAL_KEY
from routilux.errors import JournalKeyError, SecretError, SettingError
from routilux.payloads import Secret
from tests.cli.here import here

KEY = "correct horse battery staple"


@routine
def double(x: int) -> int:
    return 2 * x


def build(path, key):
    flow = Flow("doubles", store=path / "jobs.db", journal_key=key)
    flow.add_routine(double)
    return flow


def test_a_key_is_given_as_bytes_or_as_where_it_is(tmp_path, monkeypatch):
    with build(tmp_path, KEY.encode()) as flow:
        job = flow.execute("double", {"x": 4}, key="once")
    monkeypatch.setenv("SHOP_KEY", KEY)
    with build(tmp_path, Secret(env="SHOP_KEY")) as flow:
        again = flow.execute("double", {"x": 4}, key="once")
        assert (again.job_id, again.result) == (job.job_id, 8)
    monkeypatch.delenv("SHOP_KEY")
    with build(tmp_path, Secret(env="SHOP_KEY")) as flow, pytest.raises(SecretError, match="SHOP_KEY is not set"):
        flow.execute("double", {"x": 4})


@pytest.mark.parametrize("key", [None, b"another key of some length"])
def test_another_key_or_none_is_refused(tmp_path, key):
    with build(tmp_path, KEY.encode()) as flow:
        flow.execute("double", {"x": 4})
    with build(tmp_path, key) as flow, pytest.raises(JournalKeyError):
        flow.recover()


def test_a_key_is_neither_shown_nor_stored(tmp_path):
    with build(tmp_path, KEY.encode()) as flow:
        flow.execute("double", {"x": 4})
        assert KEY not in repr(flow.settings)
    assert not any(KEY.encode() in one.read_bytes() for one in tmp_path.iterdir() if one.is_file())
    with pytest.raises(SettingError, match="journal_key must be bytes") as raised:
        build(tmp_path, KEY)
    assert KEY not in str(raised.value)


COMMANDS = (
    ["jobs", "list", "jobs.db", "--json"],
    ["jobs", "show", "jobs.db", "{job}", "--json"],
    ["jobs", "export", "jobs.db", "{job}"],
    ["store", "check", "jobs.db", "--json"],
    ["store", "repair", "jobs.db", "whole.db", "--json"],
    ["jobs", "purge", "jobs.db", "{job}"],
)


def test_the_command_line_takes_the_key_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(JOURNAL_KEY, raising=False)
    with build(tmp_path, KEY.encode()) as flow:
        job = flow.execute("double", {"x": 4})
    for command in COMMANDS:
        arguments = [one.format(job=job.job_id) for one in command]
        with monkeypatch.context() as environment:
            refused = here(tmp_path, *arguments)
            assert refused.returncode == 8
            assert "none is given" in refused.stderr
            assert f"takes it from {JOURNAL_KEY}" in refused.stderr
            environment.setenv(JOURNAL_KEY, KEY)
            done = here(tmp_path, *arguments)
            assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.setenv(JOURNAL_KEY, KEY)
    found = json.loads(here(tmp_path, "store", "check", "whole.db", "--json").stdout)
    assert (found["jobs"], found["damages"]) == (1, [])
