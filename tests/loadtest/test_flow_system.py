"""Real flows under a little load: that all is counted, not how fast it is."""

from __future__ import annotations

import asyncio
import threading

import pytest

from routilux import Flow
from routilux.errors import EntryParamsError, LoadTestError, SettingError
from routilux.loadtest.search import Phase
from tests.leftovers import nothing_left

MODES = ["sequential", "concurrent", "asyncio"]


def flow_of(handler, mode="concurrent", **settings):
    flow = Flow("tested", execution_mode=mode, **settings)
    flow.add_routine(handler, "serve")
    return flow


@pytest.mark.parametrize("mode", MODES)
def test_a_certain_rate_is_offered_in_every_mode(mode):
    result = flow_of(lambda x: x, mode).load_test("serve", {"x": 1}, rate=2000, step_seconds=0.05, seed=7)
    (step,) = result.steps
    assert step.offered == step.latency.count == 600
    assert step.usage.routines["serve"].executions == 600
    assert (step.failed, sum(result.layout.workers.values()) >= 1) == (0, True)


@pytest.mark.parametrize("mode", MODES)
def test_users_wait_for_their_jobs(mode):
    at_once, most, lock = set(), [0], threading.Lock()

    def serve(x):
        with lock:
            at_once.add(threading.get_ident())
            most[0] = max(most[0], len(at_once))
        with lock:
            at_once.discard(threading.get_ident())

    result = flow_of(serve, mode).load_test("serve", {"x": 1}, users=3, step_seconds=0.05)
    assert result.steps[0].phase is Phase.USERS
    assert result.steps[0].offered == result.steps[0].latency.count > 3
    assert most[0] <= max(3, sum(result.layout.workers.values()))


def test_coroutines_run_side_by_side():
    async def serve(x):
        await asyncio.sleep(0.05)

    result = flow_of(serve, "asyncio").load_test("serve", {"x": 1}, rate=400, step_seconds=0.05)
    assert result.steps[0].workers > 2


@pytest.mark.no_cover
def test_a_search_ends_with_a_knee_or_says_that_there_was_none():
    told = []
    flow = flow_of(lambda x: x)
    result = flow.load_test("serve", {"x": 1}, step_seconds=0.1, max_rate=4000, on_step=told.append)
    assert result.knee is not None
    assert (result.knee.sustained or result.knee.broken) <= 4000
    assert [step for step in told if step["phase"] != "warm-up"] == result.as_dict()["steps"]
    assert result.rate == (None if result.knee.sustained is None else result.knee.rate)


def test_params_of_a_list_take_turns():
    seen = []
    flow_of(lambda x: seen.append(x)).load_test("serve", [{"x": 1}, {"x": 2}], rate=2000, step_seconds=0.05)
    assert abs(seen.count(1) - seen.count(2)) <= 1


def test_the_flows_own_tracker_sees_nothing_of_it():
    flow = flow_of(lambda x: x)
    tracker = flow.execution_tracker
    flow.load_test("serve", {"x": 1}, rate=2000, step_seconds=0.05)
    assert flow.execution_tracker is tracker
    assert tracker.get_performance_metrics()["executions"] == 0


def test_no_thread_and_no_job_is_left():
    flow = flow_of(lambda x: x)
    with nothing_left():
        flow.load_test("serve", {"x": 1}, rate=2000, step_seconds=0.05)


def test_a_test_that_is_interrupted_cancels_its_jobs():
    release = threading.Event()

    def stop(step):
        release.set()
        raise KeyboardInterrupt

    flow = flow_of(lambda x: release.wait(0.01))
    with pytest.raises(KeyboardInterrupt):
        flow.load_test("serve", {"x": 1}, on_step=stop)
    assert flow.execute("serve", {"x": 1}).status == "completed"


def test_a_flow_that_fails_is_not_tested():
    with pytest.raises(LoadTestError, match="ZeroDivisionError"):
        flow_of(lambda x: x / 0).load_test("serve", {"x": 1})


def test_failures_under_load_are_counted_and_told():
    def serve(x):
        if x == 9:
            raise ValueError("nine")

    flow = flow_of(serve)
    params = [{"x": number} for number in range(10)]
    result = flow.load_test("serve", params, rate=2000, step_seconds=0.05)
    assert result.steps[0].failed == pytest.approx(60, abs=1)
    assert "ValueError: nine" in result.reason.sentence


@pytest.mark.no_cover
def test_limits_that_jobs_share_are_known():
    flow = Flow("limited", execution_mode="concurrent", limits={"db": 2})
    flow.add_routine(lambda x: x, "serve", limits="db", rate_limit="5000/s")
    result = flow.load_test("serve", {"x": 1}, rate=1000, step_seconds=0.05)
    assert {name: (one.at_once, one.per_second) for name, one in result.layout.limits.items()} == {
        "db": (2, None),
        "rate_limit of serve": (None, 5000),
    }
    assert {one.name for one in result.ceilings} >= {"limit 'db'", "limit 'rate_limit of serve'"}


@pytest.mark.no_cover
def test_a_soak_reads_what_the_process_holds():
    result = flow_of(lambda x: x).load_test("serve", {"x": 1}, rate=2000, step_seconds=0.05, soak=0.5)
    assert {"blocks", "threads", "history"} <= set(result.soak.growths)
    assert len(result.soak.windows) == 50


@pytest.mark.parametrize(
    ("params", "options", "error"),
    [
        ([], {}, EntryParamsError),
        ({"y": 1}, {}, EntryParamsError),
        ({"x": 1}, {"slo": "fast"}, SettingError),
        ({"x": 1}, {"arrivals": "soon"}, SettingError),
        ({"x": 1}, {"max_workers": 0}, SettingError),
    ],
)
def test_what_means_nothing_is_refused_before_anything_starts(params, options, error):
    with pytest.raises(error):
        flow_of(lambda x: x).load_test("serve", params, **options)
