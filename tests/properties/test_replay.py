"""A machine to which the facts of a job happened again goes on as the first one would have."""

import random

from hypothesis import given
from hypothesis import strategies as st

from routilux.facts import Taken
from routilux.machine.replay import replay
from tests.properties.test_random_flows import HASTY, Calls, build, multiset, scripted, shapes


def in_flight(machine):
    """Every activation and attempt that is not over."""
    ready = [one for queue in machine.queues.values() for one in queue.ready]
    suspended = [one for queue in machine.queues.values() for _, one in queue.suspended]
    waiting = [one for lane in machine.admission.lanes.values() for one in lane.waiting]
    retries = [one for _, one in machine.timers.pending_retries()]
    return {
        (one[0], one[1].routine_id, one[5])
        for one in [*machine.running.values(), *ready, *suspended, *waiting, *retries]
    }


def parked(machine):
    """What waits in slots."""
    return {gate.station.routine_id: gate.parked() for gate in machine.delivery.gates if sum(gate.parked().values())}


@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 120), st.booleans())
def test_a_job_that_broke_off_goes_on_where_it_was(shape, seed, workers, steps, pauses):
    places, number = shape
    run, chance = scripted(places, number, seed, workers=workers), random.Random(seed)
    for _ in range(steps):
        if pauses and chance.random() < 0.1:
            run.job.pause()
        elif not run.step():
            run.job.resume()
    machine = run.course.machine

    again = scripted(places, number, seed + 1, workers=workers)
    replay(again.course.machine, [fact for fact in run.facts[1:] if not isinstance(fact, Taken)])
    restored = again.course.machine
    assert restored.delivery.fired == machine.delivery.fired
    assert list(restored.delivery.left) == list(machine.delivery.left)
    assert [failure.message for failure in restored.ledger.errors] == [one.message for one in machine.ledger.errors]
    assert restored.end == machine.end
    if machine.end is None:
        assert in_flight(restored) == in_flight(machine)
        assert parked(restored) == parked(machine)
        assert restored.paused == machine.paused
        assert not restored.running

    again._ticks = run._ticks
    again.job.resume()
    again.run()
    assert again.job.status.terminal
    if machine.end is None and not any(place.kind in HASTY for place in places):
        assert multiset(again.job) == multiset(build(places, Calls()).execute("entry", {"x": ((), number)}))
