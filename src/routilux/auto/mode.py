"""Auto mode: a job begins in the caller's thread, and goes on on threads, or in processes, where that pays.

Its scout looks at what its activations need, and has it handed to an engine. From then on the thread that waits for
the job is its pilot's: it measures, and has the engine add workers or take some.

::

    caller:  handler, handler, look, handler, look --move--> wait, measure, wait, measure ... job over
    engine:                                          handlers on k threads, or in k processes
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial

from routilux.auto.piloted import PilotedMode
from routilux.auto.quarters import Quarters
from routilux.auto.scout import Scout
from routilux.course import Course
from routilux.drivers.invoke import Invoker
from routilux.execution_mode import ExecutionMode
from routilux.facts import Fact, Started
from routilux.machine.rehoming import rehome
from routilux.machine.step import apply
from routilux.modes import SequentialMode
from routilux.ports import Clock
from routilux.tuning.tuning import PilotedTuning
from routilux.undisturbed import undisturbed


class AutoMode(SequentialMode):
    """In the caller's thread, or that of a started job, until it moves to an engine."""

    def __init__(
        self, course: Course, invoker: Invoker, clock: Clock, tuning: PilotedTuning, quarters: Quarters
    ) -> None:
        self._scout = Scout(course, invoker, clock, tuning, quarters)
        super().__init__(course, invoker, clock, self._scout)
        self._tuning = tuning
        self._quarters = quarters
        self._moving = threading.Lock()
        self._moved: PilotedMode | None = None
        self._streaming = False

    def workers(self, mode: ExecutionMode) -> int:
        return 1 if self._moved is None else self._moved.workers(mode)

    @property
    def is_idle(self) -> bool:
        return super().is_idle and self._moved is None

    def execute(self, first: Started) -> None:
        apply(self.course.machine, first)
        self._see_through()

    def _start(self, first: Started) -> None:
        apply(self.course.machine, first)
        self._go(partial(copy_context().run, self._see_through))

    def run_beside(self, first: Started) -> None:
        apply(self.course.machine, first)
        self._run()

    def start_stream(self, first: Started) -> None:
        self._streaming = True
        super().start_stream(first)

    def advance_stream(self) -> None:
        if self._moved is None:
            self._run()
        if self._moved is not None and not self.course.machine.delivery.left:
            self._moved.advance_stream()

    def make_room(self) -> None:
        if self._moved is not None:
            self._moved.make_room()

    def end_stream(self) -> None:
        if self._moved is None:
            super().end_stream()
        else:
            self._moved.end_stream()

    def post(self, fact: Fact) -> None:
        with self._moving:
            moved = self._moved
            if moved is None:
                self._scout.post(fact)
        if moved is not None:
            moved.post(fact)

    def wait(self, timeout: float | None) -> bool:
        if self._moved is None:
            return super().wait(timeout)
        done = self._moved.wait(timeout)
        if done and self._thread is not None:
            self._thread.join()
        return done

    def _see_through(self) -> None:
        self._run()
        if self._moved is not None:
            self._moved.see_through()

    def _run(self) -> None:
        super()._run()
        if self._scout.leaves and not self.course.machine.done:
            self._move()

    def _move(self) -> None:
        """Hands the job, of which nothing runs now, to an engine."""
        machine = self.course.machine
        plan = self._scout.plan_elsewhere if self._tuning.mode is ExecutionMode.MULTIPROCESSING else None
        if plan is not None:
            undisturbed(rehome, machine, plan)
        engine, own = self._quarters.engine_for(machine.plan, self._tuning.workers)
        moved = PilotedMode(self.course, self._invoker, self._clock, engine, self._tuning, own_engine=own)
        with self._moving:
            self._moved = moved
            told = self._scout.take_posted()
        moved.take_over(streaming=self._streaming)
        for fact in told:
            moved.post(fact)
