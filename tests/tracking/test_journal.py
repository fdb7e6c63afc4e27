"""The log: what is said of a job, and the ids that its records carry."""

from __future__ import annotations

import logging

import pytest

from routilux import Flow, Retry, Stop, routine

IDS = ("flow_id", "job_id", "routine_id", "activation_id", "attempt", "status", "duration", "error")


@pytest.fixture
def said(caplog):
    """What is logged, each record as its level, message and fields."""
    caplog.set_level(logging.DEBUG, logger="routilux")
    return caplog


def fields_of(record):
    return {name: getattr(record, name) for name in IDS if hasattr(record, name)}


def flaky():
    failed = []

    @routine(error_strategy=Retry(max_retries=1, delay=0, then=Stop()))
    def once(x):
        if not failed:
            failed.append(x)
            raise ConnectionError("it is away")

    flow = Flow("flaky")
    flow.add_routine(once, "once")
    return flow


def test_a_job_says_when_it_starts_and_how_it_ends(said):
    flow = Flow("plain")
    flow.add_routine(lambda x: x, "same")
    job = flow.execute("same", {"x": 1})
    started, ended = said.records
    assert (started.levelname, fields_of(started)) == (
        "DEBUG",
        {"flow_id": "plain", "job_id": job.job_id, "status": "running"},
    )
    assert ended.levelname == "INFO"
    assert fields_of(ended) == {
        "flow_id": "plain",
        "job_id": job.job_id,
        "status": "completed",
        "duration": pytest.approx(job.duration),
    }
    assert "Flow 'plain', job" in ended.getMessage()
    assert "completed after" in ended.getMessage()


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_an_attempt_that_is_tried_again_is_named_with_its_error(said, mode):
    flaky().execute("once", {"x": 1}, execution_mode=mode)
    retried = [record for record in said.records if getattr(record, "status", "") == "retried"]
    assert [(record.routine_id, record.attempt, record.error) for record in retried] == [
        ("once", 1, "ConnectionError: it is away")
    ]
    assert "attempt 1 of 'once' retried: ConnectionError" in retried[0].getMessage()


def test_a_job_that_failed_says_so_with_its_error(said):
    flow = Flow("failing")
    flow.add_routine(lambda x: 1 / 0, "divide")
    flow.execute("divide", {"x": 1})
    ended = said.records[-1]
    assert (ended.levelname, ended.status, ended.error) == ("INFO", "failed", "ZeroDivisionError: division by zero")


def test_what_is_left_waiting_is_a_warning_with_the_routine(said):
    flow = Flow("pairs")
    flow.add_routine(lambda x: x, "left")
    flow.add_routine(lambda x: None, "never")
    flow.add_routine(lambda a, b: None, "pair")
    flow.add_routine(lambda x: x, "start")
    flow.connect("start", "left")
    flow.connect("start", "never")
    flow.connect("left", "output", "pair", "a")
    flow.connect("never", "output", "pair", "b")
    flow.execute("start", {"x": 1})
    warned = [record for record in said.records if record.levelno == logging.WARNING]
    assert [record.routine_id for record in warned] == ["pair"]


def test_at_the_usual_level_nothing_is_said_of_a_job_that_works(caplog):
    caplog.set_level(logging.WARNING, logger="routilux")
    flaky().execute("once", {"x": 1})
    assert caplog.records == []
