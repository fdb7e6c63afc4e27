"""What a machine does when a moment comes that it waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routilux.facts import JobStatus
from routilux.machine.complaints import handler_timeout, job_timeout
from routilux.machine.delivery import Activation
from routilux.machine.machine import Machine
from routilux.machine.timers import Alarm
from routilux.strategies import seconds_of


def ring(
    machine: Machine,
    moment: int,
    later: Mapping[int, int] | None = None,
    over: Sequence[tuple[int, int]] | None = None,
) -> None:
    """The moment came that `timers.next_due` named; `later` are the timeouts that are put off, by activation.

    `over` are timeouts, by activation and attempt, that are over whether or not there are timers for them.
    """
    for number, attempt in over or ():
        running = machine.running.get(number)
        if running is not None and running[5] == attempt:
            _time_out(machine, running, moment)
    for alarm, subject in machine.timers.due(moment):
        if not machine.is_live(alarm, subject):
            continue
        if alarm is Alarm.RETRY:
            machine.delivery.admit(subject)
        elif alarm is Alarm.BATCH:
            machine.delivery.flush(subject[0], moment)
            machine.after_delivery(moment)
        elif alarm is Alarm.LIMIT:
            machine.admission.offer(subject)
        elif alarm is Alarm.TIMEOUT and later and subject[0] in later:
            machine.timers.set(later[subject[0]], alarm, subject)
        elif alarm is Alarm.TIMEOUT:
            _time_out(machine, subject, moment)
        else:
            seconds = seconds_of("timeout", machine.settings.timeout)
            machine.given_up += machine.running.values()
            machine.stop(JobStatus.FAILED, job_timeout(machine.plan.flow_id, machine.ledger.origin.job_id, seconds))


def _time_out(machine: Machine, activation: Activation, moment: int) -> None:
    del machine.running[activation[0]]
    machine.given_up.append(activation)
    error = handler_timeout(machine.plan.flow_id, activation[1])
    began = moment - (activation[1].timeout_ns or 0)
    if machine.end is None:
        machine.failed(activation, error, began, moment)
    else:
        machine.ledger.discard(activation, error, began, moment, 0)
        machine.admission.leave(activation)
        machine.done = not machine.running
