"""Predictions, what to make of them, and what they take for granted."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from routilux.errors import RecordingError, SettingError
from routilux.execution_mode import ExecutionMode
from routilux.insight.comparison import Change, compare
from routilux.insight.configuration import coroutines, processes, sequential, threads, usual
from routilux.insight.costs import FREE
from routilux.insight.fitting import fitted, matters
from routilux.insight.script import script_of
from routilux.insight.trace import Observed, ThreadState
from routilux.insight.what_if import best_modes, recorded_configuration, what_if
from tests.insight.tales import Tale, fan

ALL = frozenset(ExecutionMode)


def uneven(count=40, *, seed=1, cpu=0.0, wait=10.0, **fields):
    chance = random.Random(seed)
    tale = Tale().tell(1, "source")
    for number in range(2, count + 2):
        tale.tell(number, "leaf", [1], cpu=cpu, wait=wait * chance.uniform(0.5, 1.5))
    return tale.trace(**fields)


def test_the_recorded_run_is_replayed_first():
    found = what_if(fan(20, wait=10), FREE)
    assert found.self_check.error == pytest.approx(0)
    assert found.self_check.trusted
    assert str(found.self_check) == "replaying your own run: +0.0%"


def test_a_replay_that_misses_its_own_run_is_not_to_be_trusted():
    found = what_if(fan(20, wait=10, end=400_000_000), FREE)
    assert found.self_check.error == pytest.approx(-0.5)
    assert str(found.self_check) == "replaying your own run: -50.0%: do not trust the rest"


def test_predictions_are_ranked_and_each_lies_in_its_band():
    found = what_if(uneven(), FREE)
    assert [str(one.configuration) for one in found.predictions][-1] in ("sequential", "multiprocessing, 1 process")
    times = [one.wall_time for one in found.predictions]
    assert times == sorted(times)
    for one in found.predictions:
        assert one.low <= one.high
        assert one.low * 0.8 <= one.wall_time <= one.high * 1.25


def test_equal_durations_leave_no_band():
    (one,) = what_if(fan(20, wait=10), FREE, [threads(4)]).predictions
    assert one.low == one.wall_time == one.high


@pytest.mark.no_cover
def test_the_same_seed_gives_the_same_answers():
    assert what_if(uneven(), FREE, seed=3) == what_if(uneven(), FREE, seed=3)
    assert what_if(uneven(), FREE, seed=3) != what_if(uneven(), FREE, seed=4)


def test_of_equals_the_one_with_the_fewest_workers_is_recommended():
    found = what_if(fan(4, wait=10), FREE)
    assert str(found.recommended().configuration) == "concurrent, 4 threads"
    assert str(what_if(fan(20, cpu=10), FREE).recommended().configuration) == "sequential"
    assert str(what_if(fan(20, cpu=10), FREE).recommended(ALL).configuration) == "multiprocessing, 2 processes"
    assert str(found.recommended(ALL).configuration) == "asyncio"
    assert what_if(fan(4), FREE, [coroutines()]).recommended() is None


def test_a_routine_twice_as_fast_gains_what_it_has_of_the_critical_path(tale):
    tale.tell(1, "source").tell(2, "slow", [1], wait=100).tell(3, "quick", [1], wait=20)
    found = what_if(tale.trace(mode=ExecutionMode.CONCURRENT, workers=2, end=100_000_000), FREE)
    gains = {gain.subject: gain.share for gain in found.speed_ups}
    assert gains == {"slow": pytest.approx(0.5), "quick": pytest.approx(0), "source": pytest.approx(0)}
    assert found.speed_ups[0].subject == "slow"


def test_a_kind_of_waiting_that_is_gone_gains_what_was_waited_for():
    trace = fan(10, cpu=2, wait=8, routines={"leaf": Observed(states={ThreadState.NET: 60, ThreadState.PYTHON: 15})})
    (gain,) = what_if(trace, FREE).waits_gone
    assert gain.subject == "net"
    assert gain.share == pytest.approx(0.8)


def test_a_routine_goes_where_it_gains(tale):
    tale.tell(1, "source").sees("load", gil_share=1.0).sees("parse", gil_share=1.0)
    for number in range(2, 22):
        tale.tell(number, "load", [1], wait=10).tell(number + 100, "parse", [number], cpu=10)
    script = script_of(tale.trace())
    found = best_modes(script, threads(16), FREE, [(ExecutionMode.MULTIPROCESSING, 2)])
    assert found.modes == {"parse": ExecutionMode.MULTIPROCESSING}


def test_what_was_recorded_with_is_read_from_the_trace(tale):
    parallel, concurrent = ExecutionMode.MULTIPROCESSING, ExecutionMode.CONCURRENT
    tale.sees("parse", mode=parallel).sees("load", mode=concurrent).tell(1, "parse")
    configuration = recorded_configuration(tale.trace(mode=concurrent, workers=6, workers_by_mode={parallel: 2}))
    assert configuration.workers == {concurrent: 6, parallel: 2}
    assert configuration.mode is ExecutionMode.CONCURRENT
    assert configuration.modes == {"parse": ExecutionMode.MULTIPROCESSING}
    with pytest.raises(SettingError, match="mode 'distributed' cannot be foretold"):
        recorded_configuration(tale.trace(mode=ExecutionMode.DISTRIBUTED))


def test_all_that_is_taken_for_granted_is_said():
    said = "\n".join(what_if(fan(3, cpu=1, foreign_load=0.4), FREE).assumptions)
    for part in ("same work", "as long however many", "asyncio: as if", "no payload was weighed", "0.40 cores"):
        assert part in said
    assert "Nobody looked at 'source':" in said
    assert "It is not known" in "\n".join(what_if(fan(3), FREE, [threads(2)]).assumptions)
    assert "asyncio" not in "\n".join(what_if(fan(3), FREE, [threads(2)]).assumptions)


def test_the_usual_configurations_are_all_modes_with_the_usual_numbers():
    assert [str(one) for one in usual(2)] == [
        *("sequential", *(f"concurrent, {count} threads" for count in (2, 4, 8, 16, 32, 64)), "asyncio"),
        *("multiprocessing, 1 process", "multiprocessing, 2 processes", "multiprocessing, 4 processes"),
    ]
    assert processes(3) in usual(3)
    assert sequential() in usual(1)


def test_a_job_without_attempts_has_answers_too(tale):
    found = what_if(tale.trace(), FREE)
    assert {one.wall_time for one in found.predictions} == {0}
    assert found.speed_ups == ()


def test_a_routine_that_became_slower_is_found():
    before, after = uneven(200, wait=10, seed=1), uneven(200, wait=12, seed=2)
    found = compare(before, after)
    changes = {one.routine_id: one.change for one in found.routines}
    assert changes == {"leaf": Change.SLOWER, "source": Change.NOT_SURE}
    (leaf,) = found.slower
    assert leaf.low < leaf.ratio < leaf.high
    assert leaf.ratio == pytest.approx(1.2, abs=0.08)
    assert compare(after, before).routines[-1].change is Change.FASTER
    assert compare(after, before).slower == ()


def test_what_only_chance_makes_different_is_the_same():
    found = compare(uneven(200, seed=1), uneven(200, seed=2))
    assert [one.change for one in found.routines if one.routine_id == "leaf"] == [Change.SAME]
    assert found.differences == ()


def test_a_change_too_small_to_matter_is_none():
    found = compare(fan(50, wait=10), fan(50, wait=10.1))
    assert found.slower == ()


def test_many_attempts_are_compared_as_means_of_neighbours():
    found = compare(uneven(2500, seed=1), uneven(2500, seed=2, wait=11))
    assert [one.routine_id for one in found.slower] == ["leaf"]


def test_routines_that_came_or_went_are_named():
    before, after = Tale().tell(1, "old", cpu=1).trace(), Tale().tell(1, "new", cpu=2).trace()
    changes = {one.routine_id: (one.change, one.before, one.after) for one in compare(before, after).routines}
    assert changes == {"old": (Change.GONE, 0.001, 0), "new": (Change.NEW, 0, 0.002)}


def test_what_makes_two_recordings_hard_to_compare_is_told():
    before = fan(5, wait=1)
    after = fan(6, wait=1)._replace(mode=ExecutionMode.CONCURRENT, workers=4, foreign_load=0.5)
    assert compare(before, after).differences == (
        "mode: sequential before, concurrent after",
        "workers: 1 before, 4 after",
        "activations: 6 before, 7 after",
        "foreign load after: 0.50 cores",
    )


def test_recordings_of_two_flows_are_not_compared():
    with pytest.raises(RecordingError, match="two flows, 'flow' and 'other'"):
        compare(fan(1), fan(1, flow_id="other"))


def test_what_recording_took_is_not_foretold():
    recorded = fan(500, cpu=0.010)
    plain = replace(FREE, recording=4e-6)
    (found,) = what_if(recorded, plain, [sequential()]).predictions
    assert found.wall_time == pytest.approx(500 * 6e-6)
    assert what_if(recorded, plain).self_check.error == pytest.approx(0)


@pytest.mark.parametrize("plain", [500 * 7e-6, 500 * 2e-6])
def test_what_recording_took_is_found_by_what_the_job_takes_without_it(plain):
    recorded = fan(500, cpu=0.010)
    assert matters(recorded)
    costs = fitted(recorded, replace(FREE, sequential=1e-6), plain)
    (found,) = what_if(recorded, costs, [sequential()]).predictions
    assert found.wall_time == pytest.approx(plain, rel=0.01)


def test_an_engine_that_is_faster_than_it_was_measured_to_be_is_found_out():
    recorded = fan(500, cpu=0.010)
    costs = fitted(recorded, replace(FREE, sequential=4e-6, thread=8e-6), 500 * 2e-6)
    assert (costs.sequential, costs.thread) == pytest.approx((2e-6, 4e-6), rel=0.02)


def test_where_handlers_take_long_recording_does_not_matter():
    assert not matters(fan(20, wait=10))
