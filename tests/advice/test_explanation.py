"""What is said of a job: sums that hold, a verdict first, and what is not known."""

from __future__ import annotations

import json

import pytest

from routilux import Flow, collect, routine
from routilux.advice.explanation import explain_trace
from routilux.errors import UnfinishedJobError
from routilux.execution_mode import ExecutionMode
from routilux.insight.trace import Observed
from tests.insight.tales import Tale, chain, fan


@routine
def numbers(n):
    yield from range(n)


@routine(fires=collect())
def total(xs):
    return sum(xs)


@pytest.fixture
def flow():
    flow = Flow("explained")
    flow.chain(numbers, total)
    return flow


def test_the_verdict_stands_first_and_names_what_binds():
    text = str(explain_trace(fan(40, cpu=10.0)))
    assert text.startswith("'leaf' holds the GIL 100% of the wall time: more threads will not help.")


def test_a_chain_is_held_up_by_its_critical_path():
    explanation = explain_trace(chain(40, wait=10.0)._replace(workers=4))
    assert explanation.sentence.startswith("The critical path, mostly 'step', takes 100%")


def test_all_time_is_accounted_for_and_the_shares_sum_up():
    plain = explain_trace(fan(40, cpu=1.0, wait=3.0)).to_dict()
    for account in ("job_time", "worker_time"):
        told = plain[account]
        assert sum(part["seconds"] for part in told["parts"]) == pytest.approx(told["total"], rel=0.01)
        assert told["unexplained"] == pytest.approx(0, abs=told["total"] / 100)
    assert plain["work"] == pytest.approx(0.16)
    assert plain["span"] == pytest.approx(0.004)


def test_more_handlers_at_once_than_there_are_workers_are_shown_as_unexplained():
    trace = fan(10, cpu=10.0)
    told = tuple(one._replace(begun=0, ended=10_000_000, fired=0, causes=()) for one in trace.attempts)
    explanation = explain_trace(trace._replace(attempts=told))
    assert not explanation.accounts.workers.complete
    assert "unexplained" in str(explanation)


def test_beside_busy_neighbours_nothing_is_concluded():
    trace = fan(40, cpu=10.0, foreign_load=1.0)
    explanation = explain_trace(trace)
    assert not explanation.conclusive
    assert explanation.sentence.startswith("Cannot conclude: other processes used 1.00 cores")
    assert explain_trace(trace._replace(foreign_load=0.1)).conclusive


def test_where_there_is_no_proc_the_explanation_says_so():
    assert "What other processes used is not known" in str(explain_trace(fan(3, cpu=1.0, foreign_load=None)))


def test_a_job_in_which_nothing_ran_is_explained_as_that():
    explanation = explain_trace(Tale().trace(end=1000))
    assert explanation.sentence == "Nothing ran that could be explained."
    assert str(explanation)
    assert json.dumps(explanation.to_dict())


def test_what_runs_in_other_processes_holds_no_gil_here():
    tale = Tale().tell(1, "source").sees("leaf", gil_share=1.0, mode=ExecutionMode.MULTIPROCESSING)
    for number in range(2, 30):
        tale.tell(number, "leaf", [1], cpu=10.0)
    explanation = explain_trace(tale.trace(workers=2, mode=ExecutionMode.CONCURRENT))
    assert "GIL" not in explanation.sentence


@pytest.mark.parametrize("mode", list(ExecutionMode))
def test_a_job_of_any_mode_can_be_explained(mode):
    trace = fan(10, cpu=1.0, mode=mode)
    trace = trace._replace(routines={"leaf": Observed(mode), "source": Observed(mode)})
    assert str(explain_trace(trace))


def test_a_job_that_was_not_recorded_says_what_it_does_not_know(flow):
    explanation = flow.execute("numbers", {"n": 30}).explain()
    assert not explanation.recorded
    assert "It was not recorded" in explanation.sentence
    assert "flow.record(...)" in str(explanation)
    assert "GIL" in explanation.unknown[0]
    assert explanation.accounts.job.complete


def test_a_history_that_dropped_records_says_so(flow):
    explanation = flow.execute("numbers", {"n": 30}, max_history_size=10).explain()
    assert "kept 10 of 32 records" in str(explanation)


def test_a_history_that_keeps_nothing_has_nothing_to_explain(flow):
    assert str(flow.execute("numbers", {"n": 3}, max_history_size=0).explain()).startswith("Nothing ran")


def test_a_running_job_cannot_be_explained(flow):
    stream = flow.stream("numbers", {"n": 3})
    with pytest.raises(UnfinishedJobError):
        stream.job.explain()
    stream.close()


def test_a_recorded_job_that_failed_is_explained_like_any_other():
    flow = Flow("failing")
    flow.add_routine(lambda x: 1 / x, "divide")
    explanation = flow.record("divide", {"x": 0}).explain()
    assert explanation.to_dict()["attempts"] == 1
    assert json.dumps(explanation.to_dict())
