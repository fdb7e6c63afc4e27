"""What is recommended, from traces whose answer is known and trials that are told."""

from __future__ import annotations

import json
import tomllib

import pytest

from routilux import Flow, routine
from routilux.advice.foresight import foresee, foresee_flow, record_well
from routilux.advice.tuning import tune
from routilux.errors import TrialError
from routilux.execution_mode import ExecutionMode
from routilux.insight.costs import FREE, Costs
from routilux.settings import Settings
from tests.insight.tales import fan

WAITING = fan(40, wait=10.0, foreign_load=0.0)
COMPUTING = fan(40, cpu=10.0, foreign_load=0.0)


def by_mode(**seconds):
    return lambda configuration: seconds[configuration.mode.value]


def test_waiting_is_recommended_threads_that_were_tried(told):
    trials = told(WAITING, by_mode(sequential=0.4, concurrent=0.01, asyncio=0.02))
    found = tune(trials, FREE, Settings(), allow_processes=False)
    assert found.settings["execution_mode"] == "concurrent"
    assert "40.00 times as fast (measured)" in found.sentence
    assert trials.tried[0] == "sequential"
    assert "Processes were not tried" in str(found)


def test_where_nothing_is_gained_it_is_left_as_it_is(told):
    trials = told(COMPUTING, by_mode(sequential=0.4, concurrent=0.39, asyncio=0.4))
    found = tune(trials, FREE, Settings(), allow_processes=False)
    assert not found.changes
    assert found.settings == {}
    assert found.sentence.startswith("Leave it as it is, in sequential")


def test_processes_are_tried_only_where_they_are_allowed_and_everything_pickles(told):
    takes = by_mode(sequential=0.4, concurrent=0.4, asyncio=0.4, multiprocessing=0.2)
    assert not tune(told(COMPUTING, takes), FREE, Settings(), allow_processes=False).changes
    allowed = tune(told(COMPUTING, takes), FREE, Settings(), allow_processes=True)
    assert allowed.settings["execution_mode"] == "multiprocessing"
    refused = tune(told(COMPUTING, takes, {"leaf": "it has a lock"}), FREE, Settings(), allow_processes=True)
    assert not refused.changes
    assert "'leaf' cannot run in another process: it has a lock" in refused.hints


def test_beside_busy_neighbours_a_recommendation_does_not_conclude(told):
    trials = told(WAITING._replace(foreign_load=1.5), by_mode(sequential=0.4, concurrent=0.01, asyncio=0.02))
    found = tune(trials, FREE, Settings(), allow_processes=False)
    assert not found.conclusive
    assert found.sentence.startswith("Cannot conclude: other processes used 1.50 cores")


@pytest.mark.no_cover
def test_activations_that_are_too_short_should_be_batches(told):
    trace = fan(600, cpu=0.001, foreign_load=0.0)
    found = tune(told(trace), Costs(), Settings(max_history_size=100), allow_processes=False)
    assert any("'leaf' takes 1.0 µs an activation" in hint and "fires=batch(10)" in hint for hint in found.hints)
    assert any("601 records, of which its history keeps 100" in hint for hint in found.hints)


@pytest.mark.no_cover
def test_a_history_without_a_limit_should_have_one(told):
    found = tune(told(fan(600, cpu=1.0)), FREE, Settings(max_history_size=None), allow_processes=False)
    assert any("max_history_size=1000 bounds it" in hint for hint in found.hints)


def test_settings_can_be_kept_as_toml_and_as_python_and_make_the_flow_run_so(told):
    trials = told(WAITING, by_mode(sequential=0.4, concurrent=0.01, asyncio=0.02))
    found = tune(trials, FREE, Settings(), allow_processes=False)
    assert tomllib.loads(found.to_toml()) == found.settings
    names: dict[str, object] = {}
    exec(found.to_python(), names)
    assert names["SETTINGS"] == found.settings
    assert Flow("kept", **tomllib.loads(found.to_toml())).settings.execution_mode == "concurrent"
    assert json.dumps(found.to_dict())


def test_the_self_check_stands_before_what_is_foretold():
    prospects = foresee(WAITING, FREE)
    assert "replaying your own run: +0.0%" in str(prospects).splitlines()[0]
    assert prospects.error is None
    assert "Assumed:" in str(prospects)


def test_what_was_tried_is_shown_beside_what_was_foretold(told):
    trials = told(WAITING, by_mode(sequential=0.4, concurrent=0.02, asyncio=0.02))
    prospects = foresee_flow(trials, record_well(trials), FREE, verify=True)
    assert len(prospects.measured) == 2
    assert "measured" in str(prospects)
    assert prospects.error is not None
    assert prospects.to_dict()["predictions"][0]["measured"]


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_flow_that_raises_teaches_nothing(mode):
    flow = Flow("failing", execution_mode=mode)
    flow.add_routine(lambda x: 1 / x, "divide")
    with pytest.raises(TrialError, match="failed, so nothing can be concluded: ZeroDivisionError"):
        flow.what_if("divide", {"x": 0})
    with pytest.raises(TrialError):
        flow.tune("divide", {"x": 0})


@routine
def numbers(n):
    yield from range(n)


@routine
async def later(x):
    return x


@routine
def crunch(x):
    return sum(range(x * 100))


def test_a_flow_is_tuned_by_running_it():
    flow = Flow("tuned")
    flow.chain(numbers, crunch)
    found = flow.tune("numbers", {"n": 20}, allow_processes=True)
    assert set(found.prospects.measured) >= {"sequential"}
    assert flow.execute("numbers", {"n": 20}, **found.settings).raise_for_status()


def test_coroutines_stay_on_their_loop_in_what_is_foretold_and_tried():
    flow = Flow("awaiting")
    flow.chain(numbers, later)
    prospects = flow.what_if("numbers", {"n": 20}, verify=True)
    modes = [one.configuration.mode_of("later") for one in prospects.what_if.predictions]
    assert set(modes) <= {ExecutionMode.SEQUENTIAL, ExecutionMode.ASYNCIO}
    assert len(prospects.measured) == 2
