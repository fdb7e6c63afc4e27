"""What a machine would find out can be asked beforehand, and nothing changes by it."""

import pytest

from routilux import Flow, Skip
from routilux.decision import TryAgain, Verdict
from routilux.errors import WorkerLostError
from routilux.facts import Rang, Settled
from routilux.machine.forecast import decision_on, is_due, timed_out
from routilux.machine.replay import replay
from tests.machine.conftest import SECOND


def failed(error, number=1, attempt=1):
    return Settled(number, attempt, 0, 0, error=error)


@pytest.fixture
def flow():
    flow = Flow("flow")
    flow.add_routine(lambda x: x, "step", timeout=2, retries=1, retry_delay=3)
    return flow


def test_what_a_strategy_would_say_is_what_it_says_then(flow, play):
    job = play(flow, "step", {"x": 1})
    assert decision_on(job.machine, failed(ValueError())) is None, "nothing runs"
    job.take()
    assert decision_on(job.machine, failed(ValueError())) == TryAgain(3 * SECOND)
    assert decision_on(job.machine, failed(ValueError(), attempt=2)) is None
    assert decision_on(job.machine, failed(WorkerLostError())) is None, "the crash budget comes first"
    assert decision_on(job.machine, failed(None)) is None
    assert job.machine.running
    job.settle("step", error=ValueError())
    assert [due for due, _ in job.machine.timers.pending_retries()] == [3 * SECOND]


def test_a_decision_that_is_told_is_not_taken_again(flow, play):
    job = play(flow, "step", {"x": 1})
    job.take()
    job.post(failed(ValueError())._replace(decision=Verdict.SKIP))
    assert job.status == "completed"


def test_only_what_changes_the_job_is_due(flow, play):
    job = play(flow, "step", {"x": 1})
    job.take()
    assert not is_due(job.machine, SECOND)
    assert is_due(job.machine, 2 * SECOND)
    assert timed_out(job.machine, 2 * SECOND) == [(1, 1)]
    job.gives("step", 1)
    assert not is_due(job.machine, 2 * SECOND)
    assert timed_out(job.machine, 2 * SECOND) == []


def test_timeouts_that_are_told_need_no_timers(flow, play):
    flow.add_routine(lambda x: x, "other", timeout=1, error_strategy=Skip())
    flow.connect("step", "other")
    job = play(flow, "step", {"x": 1})
    replay(job.machine, [Rang(2 * SECOND, over=[(1, 2), (7, 1)]), Rang(2 * SECOND, over=[(1, 1)])])
    assert [one[5] for _, one in job.machine.timers.pending_retries()] == [2]


def test_a_timeout_that_is_put_off_comes_later(flow, play):
    job = play(flow, "step", {"x": 1})
    job.take()
    job.post(Rang(2 * SECOND, later={1: 4 * SECOND}))
    assert job.machine.timers.next_due == 4 * SECOND
    assert job.machine.running
