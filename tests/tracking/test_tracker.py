"""The tracker of a flow: exact where it says so, bounded, and safe to look at."""

from __future__ import annotations

import io
import json
import random
import threading

import pytest

from routilux import ExecutionTracker, Flow, Skip, routine
from routilux.errors import ResultError
from routilux.facts import JobStatus, Origin, Record
from routilux.tracking.tracker import ONE_IN, SORT_AT, WHOLE

SECOND = 1_000_000_000


def records_of(durations, *, routine_id: str = "work", apart: int = SECOND, start: int = 0) -> list[Record]:
    """Records that begin `apart` nanoseconds after each other, and wait for half of that."""
    return [
        ("job", number, routine_id, 1, "completed", 0, began - apart // 2, began, began + duration, 0, None)
        for number, duration in enumerate(durations)
        for began in [start + number * apart]
    ]


def tracker_at(moment: list[int], **bounds) -> ExecutionTracker:
    return ExecutionTracker("flow", now=lambda: moment[0], **bounds)


@routine
def numbers(n):
    yield from range(n)


@routine
def slow(x):
    return sum(range(2000))


@routine
def quick(x):
    return x


def test_the_loop_of_the_guide_runs_and_leaves_out_routines_that_never_ran():
    flow = Flow("guide")
    flow.chain(numbers, slow)
    flow.add_routine(quick)
    flow.connect("slow", "error", "quick", "x")
    flow.execute("numbers", {"n": 3})
    averages = {}
    for routine_id, execs in flow.execution_tracker.routine_executions.items():
        averages[routine_id] = sum(e.get("execution_time", 0) for e in execs) / len(execs)
    assert set(averages) == {"numbers", "slow"}
    assert averages["slow"] > 0


def test_the_last_records_of_each_routine_are_kept_also_of_a_rare_one():
    moment = [0]
    tracker = tracker_at(moment, max_history_size=50)
    tracker.absorb(records_of([5] * 3, routine_id="rare"), [])
    for _ in range(5):
        tracker.absorb(records_of([7] * SORT_AT, routine_id="frequent"), [])
    kept = tracker.routine_executions
    assert len(kept["rare"]) == 3
    assert len(kept["frequent"]) == 50
    assert kept["frequent"][-1]["activation_id"] == SORT_AT - 1
    assert [one["activation_id"] for one in kept["frequent"][-2:]] == [SORT_AT - 2, SORT_AT - 1]
    assert "50 records" in repr(kept["frequent"])
    metrics = tracker.get_performance_metrics()
    assert metrics["routines"]["frequent"]["executions"] == 5 * SORT_AT
    assert metrics["routines"]["frequent"]["dropped"] == {"count": 5 * SORT_AT - 50, "age": 0}


def test_records_grow_old_and_figures_stay():
    moment = [0]
    tracker = tracker_at(moment, history_ttl_seconds=60)
    tracker.absorb(records_of([SECOND] * 30), [])
    moment[0] = 70 * SECOND
    assert len(tracker.routine_executions["work"]) == 21
    moment[0] = 1000 * SECOND
    assert tracker.routine_executions == {}
    figures = tracker.get_routine_performance("work")
    assert figures["executions"] == 30
    assert figures["dropped"] == {"count": 0, "age": 30}
    assert figures["run_time"]["mean"] == 1.0


def test_rare_records_that_outlived_their_chunk_grow_old_too():
    moment = [0]
    tracker = tracker_at(moment, max_history_size=50, history_ttl_seconds=60)
    tracker.absorb(records_of([5], routine_id="rare"), [])
    for _ in range(5):
        tracker.absorb(records_of([7] * SORT_AT, routine_id="frequent", apart=10_000), [])
    moment[0] = 30 * SECOND
    assert len(tracker.routine_executions["rare"]) == 1
    moment[0] = 100 * SECOND
    assert "rare" not in tracker.routine_executions


def test_a_tracker_of_size_zero_keeps_nothing_and_one_without_bounds_everything():
    none, everything = (
        tracker_at([0], max_history_size=0),
        tracker_at([0], max_history_size=None, history_ttl_seconds=None),
    )
    for tracker in (none, everything):
        for _ in range(3):
            tracker.absorb(records_of([9] * SORT_AT), [])
    assert none.routine_executions == {}
    assert none.get_routine_performance("work")["executions"] == 3 * SORT_AT
    assert len(everything.routine_executions["work"]) == 3 * SORT_AT


def test_quantiles_are_near_the_exact_ones():
    chance = random.Random(3)
    durations = [int(chance.lognormvariate(12, 1)) for _ in range(20_000)]
    tracker = tracker_at([0])
    for start in range(0, len(durations), 1000):
        tracker.absorb(records_of(durations[start : start + 1000]), [])
    run_time = tracker.get_routine_performance("work")["run_time"]
    exact = sorted(durations)
    assert run_time["min"] == exact[0] / 1e9
    assert run_time["max"] == exact[-1] / 1e9
    assert run_time["mean"] == pytest.approx(sum(durations) / len(durations) / 1e9)
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        below, above = (
            exact[int((share - 0.01) * len(exact))],
            exact[min(len(exact) - 1, int((share + 0.008) * len(exact)))],
        )
        assert below / 1e9 <= run_time[name] <= above / 1e9


def test_where_records_come_too_fast_all_are_counted_and_some_stand_for_the_others():
    tracker = tracker_at([0])
    batch = records_of([100] * 1000, apart=1000)
    for _ in range(WHOLE // 1000 + 8 * ONE_IN):
        tracker.absorb(batch, [])
    figures = tracker.get_routine_performance("work")
    assert figures["executions"] == WHOLE + 8 * ONE_IN * 1000
    assert figures["work"] == pytest.approx(figures["executions"] * 100e-9)


def test_counts_are_exact_when_many_threads_bring_records():
    tracker = ExecutionTracker("flow")
    failed = [("job", 1, "work", 1, "failed", 0, 0, 0, 5, 0, None)]

    def bring():
        for _ in range(200):
            tracker.absorb(records_of([3] * 50), [])
            tracker.absorb(failed, failed)
            tracker.get_performance_metrics()

    threads = [threading.Thread(target=bring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures = tracker.get_routine_performance("work")
    assert figures["executions"] == 8 * 200 * 51
    assert figures["failures"] == 8 * 200


def test_metrics_are_plain_values_and_add_up():
    moment = [0]
    tracker = tracker_at(moment)
    origin = Origin("job", "flow", 0)
    tracker.job_started(origin, 0, 2)
    tracker.absorb([*records_of([3 * SECOND] * 2), *records_of([SECOND] * 2, routine_id="rest")], [])
    moment[0] = 10 * SECOND
    assert tracker.get_performance_metrics()["jobs"] == {"running": 1}
    tracker.job_finished(origin, JobStatus.COMPLETED, 0, 10 * SECOND, 2)
    metrics = json.loads(json.dumps(tracker.get_performance_metrics()))
    assert metrics["jobs"] == {"completed": 1}
    assert metrics["executions"] == 4
    assert metrics["work"] == 8.0
    assert metrics["wall_time"] == 10.0
    assert metrics["throughput"] == pytest.approx(0.4)
    assert metrics["worker_utilisation"] == pytest.approx(0.4)
    assert metrics["engine_overhead"] is None
    assert metrics["bottleneck"] == {"routine": "work", "share": 0.75}
    assert metrics["run_time"]["max"] == 3.0
    assert metrics["queue_wait"]["p50"] == 0.5


def test_the_engine_overhead_of_sequential_jobs_is_what_handlers_did_not_take():
    moment = [0]
    tracker = tracker_at(moment)
    tracker.job_started(Origin("job", "flow", 0), 0, 1)
    tracker.absorb(records_of([SECOND] * 3), [])
    tracker.job_finished(Origin("job", "flow", 0), JobStatus.FAILED, 0, 4 * SECOND, 1)
    assert tracker.get_performance_metrics()["engine_overhead"] == 1.0


def test_the_report_names_the_bottleneck():
    flow = Flow("reported")
    flow.chain(numbers, slow, quick)
    flow.execute("numbers", {"n": 50})
    text = io.StringIO()
    flow.execution_tracker.report(text)
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("Flow reported: jobs 1 completed; 101 executions")
    assert lines[4].startswith("slow")
    assert lines[-1].startswith("Bottleneck: 'slow' has ")


def test_the_report_of_a_tracker_that_saw_nothing_says_so(capsys):
    ExecutionTracker().report()
    assert capsys.readouterr().out == "Nothing has run yet.\n"


def test_asking_for_a_routine_that_never_ran_names_the_nearest_one():
    flow = Flow("asked")
    flow.chain(numbers, slow)
    flow.execute("numbers", {"n": 1})
    with pytest.raises(ResultError, match=r"'slov'.*Did you mean 'slow'"):
        flow.execution_tracker.get_routine_performance("slov")


def test_a_tracker_can_be_replaced_and_turned_off():
    flow = Flow("replaced")
    flow.add_routine(quick)
    first = flow.execution_tracker
    flow.execution_tracker = flow.ExecutionTracker(flow_id="replaced", max_history_size=2)
    for x in range(5):
        flow.execute("quick", {"x": x})
    assert len(flow.execution_tracker.routine_executions["quick"]) == 2
    assert first.routine_executions == {}
    flow.execution_tracker = None
    assert flow.execute("quick", {"x": 1}).counts["quick"].executions == 1


def test_failures_of_all_kinds_are_counted():
    @routine(error_strategy=Skip())
    def pick(x):
        if x % 3 == 0:
            raise ValueError(x)
        return x

    flow = Flow("counted")
    flow.chain(numbers, pick)
    flow.execute("numbers", {"n": 9})
    figures = flow.execution_tracker.get_routine_performance("pick")
    assert (figures["executions"], figures["failures"], figures["retries"]) == (9, 3, 0)
    assert flow.execution_tracker.get_routine_performance("numbers")["yields"] == 9
