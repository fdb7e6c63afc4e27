"""One fact, one step: the machine as a function of the facts, for drivers that post them and for replay."""

from __future__ import annotations

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus, Fact, Freed, Paused, Rang, Resumed, Settled, Started, Taken
from routilux.machine.machine import Machine
from routilux.machine.ringing import ring
from routilux.slots import OUTPUT


def apply(machine: Machine, fact: Fact) -> None:
    """Changes the machine by what happened. The same facts in the same order give the same job."""
    match fact:
        case Settled():
            settle(machine, fact)
            machine.rest(fact.ended)
            return
        case Taken():
            machine.take(fact.moment, None if fact.mode is None else ExecutionMode(fact.mode))
        case Rang():
            ring(machine, fact.moment, fact.later, fact.over)
        case Started():
            machine.start(fact.messages, fact.moment)
        case Paused():
            machine.paused = not machine.done
            machine.ledger.note_pause(fact.moment, paused=True)
        case Resumed():
            machine.paused = False
            machine.ledger.note_pause(fact.moment, paused=False)
        case Freed():
            machine.admission.offer_all()
        case _:
            machine.cancel(fact.reason)
    machine.rest(fact.moment)


def settle(machine: Machine, fact: Settled) -> None:
    """An outcome came: of a running attempt, of one that is over already, or after the job was stopped."""
    activation = machine.answered(fact.activation_id, fact.attempt)
    if fact.measured is not None:
        machine.ledger.measure(fact, fact.measured)
    if activation is None:
        machine.ledger.late += not fact.stopped
        return
    if machine.end is not None:
        if fact.wrote:
            machine.ledger.add(activation, ActivationStatus.COMPLETED, fact.began, fact.ended, fact.worker)
        else:
            machine.ledger.discard(activation, fact.error, fact.began, fact.ended, fact.worker)
        machine.admission.leave(activation)
    elif fact.error is None and activation[1].plain and _is_one_value(fact):
        value = fact.emissions[0][1] if fact.emissions else None
        machine.settled(activation, value, fact.began, fact.ended, fact.worker)
    elif fact.error is not None:
        machine.failed(activation, fact.error, fact.began, fact.ended, fact.worker, fact.frames, fact.decision)
    else:
        machine.emitted(
            activation, fact.emissions, fact.began, fact.ended, fact.worker, more=fact.more, asked=fact.asked
        )


def _is_one_value(fact: Settled) -> bool:
    """Whether a handler just returned, with a value or without one."""
    emissions = fact.emissions
    return not fact.more and (not emissions or (len(emissions) == 1 and emissions[0][0] == OUTPUT))
