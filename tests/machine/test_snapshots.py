"""Where a machine stands is written down as plain values, if all that matters of it can be."""

from __future__ import annotations

import pytest

from routilux import Continue, Flow, Retry, batch, collect, gather, keyed, routine
from routilux.facts import Settled
from routilux.machine.replay import Replay
from routilux.machine.snapshot import is_simple, take
from routilux.machine.step import apply
from routilux.machine.timers import Alarm
from routilux.testing import ScriptedRun
from tests.properties.standing import Unbegun


class Key:
    """What reads the key of a message, until it is broken."""

    def __init__(self):
        self.broken = False

    def __call__(self, value):
        if self.broken:
            raise LookupError("there is no key any more")
        return value


def passing(x):
    return x


@routine
def count_up(n):
    yield from range(n)


def restored(flow, run, entry, params, **settings):
    """A fresh run, whose machine stands where that of the other does."""
    again = Unbegun(flow, entry, params, **settings)
    replay = Replay(again.course.machine)
    replay.resume(take(run.course.machine), 0)
    replay.end()
    return again


def test_a_job_that_is_over_or_has_not_begun_is_not_written_down():
    flow = Flow("flow")
    flow.add_routine(passing)
    assert not is_simple(Unbegun(flow, "passing", {"x": 1}).course.machine)
    run = ScriptedRun(flow, "passing", {"x": 1})
    assert is_simple(run.course.machine)
    run.run()
    assert not is_simple(run.course.machine)


def test_a_recorded_job_is_not_written_down():
    flow = Flow("flow")
    flow.add_routine(passing)
    assert not is_simple(ScriptedRun(flow, "passing", {"x": 1}, recording=True).course.machine)


def test_the_time_that_a_job_may_take_goes_on():
    flow = Flow("flow", timeout=60)
    flow.add_routine(passing)
    run = ScriptedRun(flow, "passing", {"x": 1})
    again = restored(flow, run, "passing", {"x": 1})
    due = [(due, alarm) for due, _, alarm, _ in again.course.machine.timers.heap]
    assert due == [(due, alarm) for due, _, alarm, _ in run.course.machine.timers.heap]
    assert [alarm for _, alarm in due] == [Alarm.JOB]


@pytest.mark.parametrize("gathered", [False, True])
def test_a_message_whose_key_cannot_be_read_any_more_fails_the_routine_that_it_waits_for(gathered):
    key = Key()

    @routine(error_strategy=Continue())
    def left(n):
        yield from range(n)

    @routine(fires=keyed(key), error_strategy=Continue())
    def pair(one, other):
        return one

    everything = routine(fires=gather() if gathered else collect())(lambda xs: xs)
    flow = Flow("flow")
    flow.add_routine(left)
    flow.add_routine(passing, "late")
    flow.connect("left", "output", flow.add_routine(pair), "one")
    flow.connect("left", "late")
    flow.connect("late", "output", "pair", "other")
    flow.connect("pair", flow.add_routine(everything, "everything"))
    run = ScriptedRun(flow, "left", {"n": 2})
    while not run.course.machine.delivery.gates or not any(
        gate.parked()[0] for gate in run.course.machine.delivery.gates if gate.station.routine_id == "pair"
    ):
        run.step()
    assert is_simple(run.course.machine)
    key.broken = True
    again = restored(flow, run, "left", {"n": 2})
    (failure,) = again.course.machine.ledger.errors
    assert failure.routine_id == "pair"
    assert "Reading the key of a message in slot 'one'." in failure.message
    key.broken = False
    again.run()
    assert again.job.status == "completed"


def test_what_waits_for_a_limit_goes_on_in_the_same_order():
    flow = Flow("flow")
    flow.chain(flow.add_routine(count_up), flow.add_routine(passing, "one", max_concurrency=1))
    run = ScriptedRun(flow, "count_up", {"n": 5})
    machine = run.course.machine

    def turns(machine):
        found = []
        while (one := machine.take(9)) is not None:
            found.append(one[0])
            apply(machine, Settled(one[0], one[5], 9, 9, 0))
        return found

    source = machine.take(0)
    apply(machine, Settled(source[0], 1, 0, 1, 0, [("output", number) for number in range(5)], asked=6))
    first = machine.take(2)
    assert machine.take(2) is None
    apply(machine, Settled(first[0], 1, 2, 3, 0))
    again = restored(flow, run, "count_up", {"n": 5}).course.machine
    assert turns(again) == turns(machine) == [3, 4, 5, 6]


def test_pairs_that_wait_for_what_is_held_put_it_off():
    @routine(fires=keyed({"a": 0, "b": 0}), hold=["c"])
    def joined(a, b, c):
        return a, b, c

    flow = Flow("flow")
    for one in ("start", "late"):
        flow.add_routine(lambda x: (x, x), one)
    flow.connect("start", "output", flow.add_routine(joined), "a")
    flow.connect("start", "output", "joined", "b")
    flow.connect("start", "late")
    flow.connect("late", "output", "joined", "c")
    run = ScriptedRun(flow, "start", {"x": 1})
    run.step()
    run.step()
    assert not is_simple(run.course.machine)
    run.run()
    assert run.job.result == ((1, 1), (1, 1), ((1, 1), (1, 1)))


def test_what_waits_for_a_moment_waits_for_the_same_one():
    @routine(error_strategy=Retry(3, delay=5))
    def shaky(x):
        raise ConnectionError("not now")

    flow = Flow("flow")
    flow.add_routine(lambda x: x, "start")
    flow.connect("start", flow.add_routine(shaky))
    flow.connect("start", flow.add_routine(routine(fires=batch(3, timeout=9))(lambda xs: xs), "threes"))
    run = ScriptedRun(flow, "start", {"x": 1}, workers=1)
    for routine_id in ("start", "shaky"):
        run.take()
        run.settle(routine_id)
    again = restored(flow, run, "start", {"x": 1})
    waits = [[(due, alarm) for due, _, alarm, _ in sorted(one.course.machine.timers.heap)] for one in (run, again)]
    assert waits[0] == waits[1]
    assert [alarm for _, alarm in waits[0]] == [Alarm.RETRY, Alarm.BATCH]
