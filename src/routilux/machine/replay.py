"""Replay: the facts of a job happen to a fresh machine, which then stands where the first one stood.

Which worker took what, and when, is not among the facts that are kept. So all that could be running counts as running
while they are applied; what none of them answered is ready again afterwards, in the order in which it became so. Pages
of activations stay folded but for those that a fact is about.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable

from routilux.execution_mode import ExecutionMode
from routilux.facts import Fact, Settled
from routilux.machine.delivery import Activation, Queue
from routilux.machine.folded import page_of, unfolded
from routilux.machine.machine import Machine
from routilux.machine.snapshot import Snapshot, restore
from routilux.machine.step import apply


class Replay:
    """Brings a machine to where facts other than `Taken` and `Freed` have brought one like it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._firsts: list[int] = []
        """The first activation of each page that was folded."""
        self._newest = dict.fromkeys(machine.queues, 0)
        """By mode: the last activation that has become ready."""
        self._again: dict[int, int] = {}
        """By activation that became ready once more: the last one that was ready before it did."""
        self._begin_all()

    def resume(self, snapshot: Snapshot, moment: int) -> None:
        """All that a snapshot stands for has happened; it was taken at that moment."""
        restore(self._machine, snapshot, moment)
        self._begin_all()

    def tell(self, fact: Fact) -> None:
        """A fact happens."""
        if self._firsts and isinstance(fact, Settled):
            self.activation(fact.activation_id)
        apply(self._machine, fact)
        self._begin_all()

    def activation(self, number: int) -> Activation | None:
        """The activation of a number, if it counts as running."""
        running = self._machine.running
        found = running.get(number)
        if self._firsts and (found is None or found[1].folded):
            self._unfold(running.get(self._firsts[bisect(self._firsts, number) - 1]), number)
            found = running.get(number)
        return found

    def end(self) -> None:
        """All has happened: nothing runs any more, and what did is ready."""
        machine = self._machine
        left = list(machine.running.values())
        machine.running.clear()
        machine.given_up.clear()
        machine.unwanted.clear()
        if machine.end is not None:
            machine.done = True
            return
        if self._firsts:
            left.sort(key=self._place)
        for activation in left:
            if activation[1].folded:
                machine.queues[activation[1].mode].folded += page_of(activation).count - 1
            if machine.fan_outs.yields_of(activation[0]) and not activation[1].on_cycle:
                machine.admission.suspend(activation)
            else:
                machine.delivery.admit(activation)

    def _begin_all(self) -> None:
        for mode, queue in self._machine.queues.items():
            if queue.ready:
                self._begin(mode, queue)
            for _, activation in queue.suspended:
                self._machine.running[activation[0]] = activation
            queue.suspended.clear()

    def _begin(self, mode: ExecutionMode, queue: Queue) -> None:
        running, newest = self._machine.running, self._newest[mode]
        for activation in queue.ready:
            number = activation[0]
            running[number] = activation
            if number <= newest:
                self._again[number] = newest
            elif activation[1].folded:
                self._firsts.append(number)
                newest = number + page_of(activation).count - 1
            else:
                newest = number
        self._newest[mode] = newest
        queue.ready.clear()
        queue.folded = 0

    def _unfold(self, folded: Activation | None, number: int) -> None:
        if folded is not None and folded[1].folded and 0 <= number - folded[0] < page_of(folded).count:
            activations, _ = unfolded(self._machine.plan, folded)
            self._machine.running.update((one[0], one) for one in activations)

    def _place(self, activation: Activation) -> int:
        """Where it stands among what became ready."""
        again = self._again.get(activation[0])
        return 2 * activation[0] if again is None else 2 * again + 1


def replay(machine: Machine, facts: Iterable[Fact]) -> None:
    """All facts of a job happen to a machine."""
    replaying = Replay(machine)
    for fact in facts:
        replaying.tell(fact)
    replaying.end()
