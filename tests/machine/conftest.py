"""A machine in the hands of a test: facts go in by name of routine, and what follows can be looked at.

No handler is ever called: the test says what each would have given.
"""

from __future__ import annotations

from typing import Any

import pytest

from routilux.checks import entry_receiver
from routilux.facts import Cancelled, Freed, Origin, Paused, Rang, Resumed, Settled, Started, Taken
from routilux.flow import FlowDefinition
from routilux.limits import Limits
from routilux.machine.compile import compile_plan
from routilux.machine.machine import Machine
from routilux.machine.step import apply
from routilux.settings import Settings

SECOND = 1_000_000_000


class Play:
    """One job; time stands still but for what a test says, in seconds."""

    def __init__(self, flow, entry, params=None, *, window=8, streaming=False, limits=None, job_id="job", **settings):
        """`limits`: those that it shares with other jobs."""
        messages = entry_receiver(flow, entry, params or {})(params or {})
        plan = compile_plan(flow, entry, messages)
        limits = limits or Limits(flow.limits)
        for name, rate in plan.rates.items():
            limits.add_rate(name, rate)
        permits = limits.of_job(job_id)
        self.machine = Machine(
            plan, Settings(**settings), Origin(job_id, "flow", 0), window, permits, streaming=streaming
        )
        self.moment = 0
        self._freed = []
        """As often as it was told that a limit it waits for was given back, and has not heeded it."""
        permits.when_freed(lambda: self._freed.append(True))
        self.machine.rest(0)
        assert self.machine.status == "pending", "nothing has begun, so nothing is over"
        self.post(Started(0, messages))

    def post(self, fact):
        self._heed()
        apply(self.machine, fact)
        self._heed()

    def _heed(self):
        while self._freed:
            self._freed.pop()
            apply(self.machine, Freed(self.moment))

    def take(self):
        """A worker takes what is next: its routine and arguments, or nothing."""
        before = set(self.machine.running)
        self.post(Taken(self.moment))
        new = [one for number, one in self.machine.running.items() if number not in before]
        return (new[0][1].routine_id, *new[0][2]) if new else None

    def take_all(self):
        """Workers take all there is."""
        return list(iter(self.take, None))

    def settle(self, who, *emissions, error=None, more=False, took=0.0):
        """An attempt ended, of an activation by number or of the oldest one of a routine that runs."""
        number = who if isinstance(who, int) else self.running_of(who)[0]
        attempt = self.machine.running[number][5] if number in self.machine.running else 1
        began = self.moment
        self.moment += int(took * SECOND)
        self.post(Settled(number, attempt, began, self.moment, 0, emissions, error, more))

    def gives(self, who, *values, more=False):
        """An attempt ended with these values on `output`."""
        self.settle(who, *(("output", value) for value in values), more=more)

    def does(self, who, *values):
        """Takes what is next, which must be of this routine, and settles it."""
        taken = self.take()
        assert taken is not None
        assert taken[0] == who
        self.gives(max(self.running_of(who)), *values)
        return taken[1:]

    def yields(self, who, value):
        """Takes what is next, which must be this generator, and settles it with one value and more to come."""
        taken = self.take()
        assert taken is not None
        assert taken[0] == who
        self.gives(max(self.running_of(who)), value, more=True)

    def fails(self, who, error):
        """Takes what is next, which must be of this routine, and has it raise."""
        taken = self.take()
        assert taken is not None
        assert taken[0] == who
        self.settle(max(self.running_of(who)), error=error)

    def ring(self, seconds):
        """It is now so many seconds after the start."""
        self.moment = int(seconds * SECOND)
        self.post(Rang(self.moment))

    def pause(self):
        self.post(Paused(self.moment))

    def resume(self):
        self.post(Resumed(self.moment))

    def cancel(self, reason="enough"):
        self.post(Cancelled(self.moment, reason))

    def running_of(self, routine_id):
        return [number for number, one in self.machine.running.items() if one[1].routine_id == routine_id]

    @property
    def running(self):
        return [one[1].routine_id for one in self.machine.running.values()]

    @property
    def status(self):
        return str(self.machine.status)

    @property
    def left(self):
        return [value for _, _, value in self.machine.delivery.left]

    @property
    def records(self):
        """Routine, attempt and status of each attempt that ended."""
        return [(routine, attempt, status) for _, _, routine, attempt, status, *_ in self.machine.ledger.records]

    @property
    def causes(self):
        """Of each activation that ended: what caused it."""
        return {number: cause for _, number, _, _, _, cause, *_ in self.machine.ledger.records}

    @property
    def due(self):
        """When the machine wants to be woken next, in seconds."""
        due = self.machine.timers.next_due
        return None if due is None else due / SECOND


@pytest.fixture
def play() -> type[Play]:
    return Play


@pytest.fixture
def flow() -> Any:
    return FlowDefinition("flow")
