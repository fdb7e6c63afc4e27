"""What a machine would find out if something happened to it: asked beforehand, and nothing changes by it."""

from __future__ import annotations

from routilux.decision import Decision
from routilux.errors import WorkerLostError
from routilux.facts import Settled
from routilux.machine.complaints import objection
from routilux.machine.ledger import failure_of
from routilux.machine.machine import Machine
from routilux.machine.timers import Alarm


def decision_on(machine: Machine, fact: Settled) -> Decision | None:
    """What its error strategy says of a failure; `None` where no strategy is asked."""
    activation = machine.running.get(fact.activation_id)
    if fact.error is None or isinstance(fact.error, WorkerLostError) or machine.end is not None:
        return None
    if activation is None or activation[5] != fact.attempt:
        return None
    return machine.failures.advice(failure_of(activation, fact.error, fact.frames), activation[1])


def completes(machine: Machine, fact: Settled) -> bool:
    """Whether an outcome is of an attempt that is wanted and has not failed: if it happened now, it would count."""
    activation = machine.running.get(fact.activation_id)
    if machine.end is not None or activation is None or activation[5] != fact.attempt or fact.error is not None:
        return False
    took = fact.ended - fact.began
    return not fact.stopped and objection(machine.plan.flow_id, activation[1], fact.emissions, took) is None


def is_due(machine: Machine, moment: int) -> bool:
    """Whether a moment changes the job, and not only what waits for a limit."""
    return any(
        due <= moment and alarm is not Alarm.LIMIT and machine.is_live(alarm, subject)
        for due, _, alarm, subject in machine.timers.heap
    )


def timed_out(machine: Machine, moment: int) -> list[tuple[int, int]]:
    """The running activations and attempts whose timeouts are over at a moment."""
    return [(one[0], one[5]) for one in machine.timers.timeouts(moment) if machine.is_live(Alarm.TIMEOUT, one)]
