"""The scout of auto mode: runs a job in sequence, and looks every few milliseconds at what its activations need.

The machine does not know who steps it, and between two activations of a job that runs in sequence nothing is under
way: so then whoever runs it can look, and leave it to others.
"""

from __future__ import annotations

import time
from typing import Any

from routilux.auto.gauge import Gauge
from routilux.auto.quarters import Quarters
from routilux.auto.senses import Senses
from routilux.course import BATCH, Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.sequential import SequentialDriver
from routilux.execution_mode import ExecutionMode
from routilux.loading import loaded
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan
from routilux.ports import Clock
from routilux.tuning.load import Load
from routilux.tuning.tuning import PilotedTuning

LOOK_NS = 5_000_000
"""About so often a scout looks."""

MOST_TURNS = 64
"""After so many turns it looks, however short they were: they may become longer."""


class Scout(SequentialDriver):
    """Runs a job in sequence, and looks at what its activations need; `leaves` once others should go on with it."""

    def __init__(
        self, course: Course, invoker: Invoker, clock: Clock, tuning: PilotedTuning, quarters: Quarters
    ) -> None:
        super().__init__(course, invoker, clock)
        self._tuning = tuning
        self._quarters = quarters
        self.plan_elsewhere: Plan | None = None
        """By what the job can go on in processes, once that is proven."""
        self._turns, self._until_look = 1, 1
        self._learns = False
        self._senses = Senses()
        course.when_finished.append(lambda _: self._senses.close())
        self._proof: Any = None
        self._gauge: Gauge | None = None
        self._wall = self._cpu = 0
        self._fired = 0
        self._looks, self._others = 0, 0.0

    def run(self) -> None:
        self._begin()
        try:
            super().run()
        finally:
            self._end()

    def _burst(self) -> None:
        super()._burst()
        self._until_look -= 1
        if self._until_look <= 0:
            self._look()

    def _begin(self) -> None:
        """Measures from here on, if it is time to."""
        self._learns = self._tuning.learns
        if self._learns:
            self._senses.open()
            self._gauge = self._gauge or Gauge(self._course)
            self.burst, self._turns = min(self.burst, 8), 1
            self._gauge.reads = True
            self._mark()
        else:
            self.burst, self._turns = BATCH, MOST_TURNS
        self._until_look = self._turns

    def _mark(self) -> None:
        if self._gauge is not None:
            self._gauge.take()
        self._wall, self._cpu = time.perf_counter_ns(), self._senses.computed()
        self._fired, self._looks, self._others = settled_in(self._machine), 0, 0.0

    def _look(self) -> None:
        self._until_look = self._turns
        if self._tries:
            self._try()
            return
        if not self._learns:
            if self._tuning.learns:
                self._begin()
            elif self._tuning.workers > 1 and not self._tuning.frozen:
                self.leaves = True
            return
        machine = self._machine
        self._looks += 1
        self._others += float("inf") if machine.suspended else max(0, len(machine.ready) - 1)
        self._pace(time.perf_counter_ns() - self._wall)
        self._tell()

    @property
    def _tries(self) -> bool:
        """Whether it is to be tried whether the job can go on in other processes, as it might, or as others do."""
        tuning = self._tuning
        return tuning.needs_proof or (tuning.mode is ExecutionMode.MULTIPROCESSING and not tuning.frozen)

    def _try(self) -> None:
        """Between two activations, tries what the next one is given; once enough was tried, has the tuning know."""
        if self._proof is None:
            plan = self._quarters.plan_elsewhere()
            if plan is None:
                return
            self._proof = loaded("routilux.auto.proof", "Proof")(self._machine, plan, self._course.states)
            self.plan_elsewhere = plan
            self.burst = self._turns = self._until_look = 1
        self._proof.look()
        if self._proof.done:
            self._conclude()
        self._mark()

    def _conclude(self) -> None:
        self.leaves = self._tuning.prove(self._proof.sending) > 1
        self._proof = None
        self._begin()

    def _pace(self, took: int) -> None:
        """As many turns, of as many activations, as make the time between two looks."""
        if took > LOOK_NS:
            if self._turns > 1:
                self._turns = max(1, self._turns // 2)
            else:
                self.burst = max(1, self.burst // 2)
        elif self.burst < BATCH:
            self.burst = min(BATCH, self.burst * 4)
        else:
            self._turns = min(MOST_TURNS, self._turns * 4)

    def _tell(self) -> None:
        """Has the tuning learn what was measured since the last time."""
        wall, cpu = time.perf_counter_ns() - self._wall, self._senses.computed() - self._cpu
        count = settled_in(self._machine) - self._fired
        load = Load(count, wall / 1e9, cpu / 1e9, self._looks, self._others, *self._senses.probed())
        runs = {} if self._gauge is None else self._gauge.take()
        self._mark()
        self.leaves = self._tuning.learn(load, runs) > 1
        self._learns = self._tuning.learns
        if not self._learns:
            self._rest()
        elif self._tuning.needs_gil_share:
            self._senses.look()

    def _end(self) -> None:
        """Others have the thread: whoever reads a stream, for a while, or for good."""
        if self._proof is not None and self._machine.done:
            self._tuning.prove(self._proof.sending)
        elif self._learns and not self.leaves and settled_in(self._machine) > self._fired:
            self._tell()
        if self.leaves or self._machine.done:
            self._rest()
        else:
            self._senses.pause()

    def _rest(self) -> None:
        """Nothing is measured any more, for a while or for good, and so nothing is to be paid for it."""
        self._senses.close()
        if self._gauge is not None:
            self._gauge.reads = False


def settled_in(machine: Machine) -> int:
    """How many activations of a job have ended or are under way."""
    return machine.delivery.fired - len(machine.ready)
