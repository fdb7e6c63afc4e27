"""Where a machine stands, and whether one that was restored stands where the first one did."""

from routilux.facts import Started
from routilux.machine.folded import unfolded
from routilux.testing import ScriptedRun


class Unbegun(ScriptedRun):
    """A run whose machine has been told nothing."""

    def post(self, fact):
        if not isinstance(fact, Started):
            super().post(fact)


def ready_in(machine):
    """What is ready, in order, with nothing folded."""
    for queue in machine.queues.values():
        for one in queue.ready:
            yield from unfolded(machine.plan, one)[0] if one[1].folded else [one]


def in_flight(machine):
    """Every activation and attempt that is not over."""
    ready = list(ready_in(machine))
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


def moments(machine):
    """When it wants to be woken for a reason that has not gone."""
    return sorted(due for due, _, alarm, subject in machine.timers.heap if machine.is_live(alarm, subject))


def assert_stands_as(restored, machine):
    """What ran in the first one is ready in the restored one, and all else is as it was."""
    assert restored.delivery.fired == machine.delivery.fired
    assert list(restored.delivery.left) == list(machine.delivery.left)
    assert [failure.message for failure in restored.ledger.errors] == [one.message for one in machine.ledger.errors]
    assert (restored.ledger.error_count, restored.ledger.late) == (machine.ledger.error_count, machine.ledger.late)
    assert restored.end == machine.end
    if machine.end is None:
        assert in_flight(restored) == in_flight(machine)
        assert parked(restored) == parked(machine)
        assert restored.paused == machine.paused
        assert not restored.running
