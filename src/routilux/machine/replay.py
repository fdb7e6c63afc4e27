"""Replay: the facts of a job happen to a fresh machine, which then stands where the first one stood.

Which worker took what, and when, is not among the facts that are kept. So all that could be running counts as running
while they are applied; what none of them answered is ready again afterwards, in the order in which it became so.
"""

from __future__ import annotations

from collections.abc import Iterable

from routilux.facts import Fact
from routilux.machine.machine import Machine
from routilux.machine.step import apply


def replay(machine: Machine, facts: Iterable[Fact]) -> None:
    """Brings a machine to where facts other than `Taken` and `Freed` have brought one like it."""
    _begin_all(machine)
    for fact in facts:
        apply(machine, fact)
        _begin_all(machine)
    _let_go_of_all(machine)


def _begin_all(machine: Machine) -> None:
    running = machine.running
    for queue in machine.queues.values():
        while queue.ready:
            activation = queue.ready.popleft()
            running[activation[0]] = activation
        for _, activation in queue.suspended:
            running[activation[0]] = activation
        queue.suspended.clear()


def _let_go_of_all(machine: Machine) -> None:
    left = list(machine.running.values())
    machine.running.clear()
    machine.given_up.clear()
    machine.unwanted.clear()
    if machine.end is not None:
        machine.done = True
        return
    for activation in left:
        if machine.fan_outs.yields_of(activation[0]) and not activation[1].on_cycle:
            machine.admission.suspend(activation)
        else:
            machine.delivery.admit(activation)
