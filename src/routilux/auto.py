"""Auto mode: a job begins in the caller's thread, and goes on on threads where that pays.

The machine does not know who steps it, and between two activations of a job that runs in sequence nothing is under
way. So whoever runs it can look, every few milliseconds, at what its activations need, and hand the job to an engine.
From then on the thread that waits for the job is its pilot's: it measures, and has the engine add workers or take some.

::

    caller:  handler, handler, look, handler, look --move--> wait, measure, wait, measure ... job over
    engine:                                          handlers on k threads
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeAlias

from routilux.course import BATCH, Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.port import LocalDriver
from routilux.drivers.sequential import SequentialDriver
from routilux.engine import Engine
from routilux.execution_mode import ExecutionMode
from routilux.facts import Fact, Started
from routilux.insight.trace import ThreadState
from routilux.loading import loaded
from routilux.machine.machine import Machine
from routilux.machine.step import apply
from routilux.modes import EngineMode, SequentialMode
from routilux.ports import Clock
from routilux.tuning.load import ENOUGH_LOOKS, Load
from routilux.tuning.tuning import PilotedTuning

LOOK_NS = 5_000_000
"""About so often a scout looks."""

MOST_TURNS = 64
"""After so many turns it looks, however short they were: they may become longer."""

HERTZ = 200.0

PAUSE = 0.05
"""Seconds between two measurements of a job on threads."""

SELF = "job"

NewEngine: TypeAlias = Callable[[], tuple[Engine, bool]]
"""Gives an engine, and whether it is for this job alone."""


class Scout(SequentialDriver):
    """Runs a job in sequence, and looks at what its activations need; `leaves` once others should go on with it."""

    def __init__(self, course: Course, invoker: Invoker, clock: Clock, tuning: PilotedTuning) -> None:
        super().__init__(course, invoker, clock)
        self._tuning = tuning
        self._turns, self._until_look = 1, 1
        self._learns = False
        self._queue: Any = None
        self._probe: Any = None
        self._found = 0.0, 0.0
        """What the probe had seen when it was last asked."""
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
            self._queue = self._queue or loaded("routilux.signals.probe", "CoreQueue")()
            self.burst, self._turns = min(self.burst, 8), 1
            self._mark()
        else:
            self.burst, self._turns = BATCH, MOST_TURNS
        self._until_look = self._turns

    def _mark(self) -> None:
        self._wall, self._cpu = time.perf_counter_ns(), self._computed()
        self._fired, self._looks, self._others = settled_in(self._machine), 0, 0.0

    def _look(self) -> None:
        self._until_look = self._turns
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
        wall, cpu = time.perf_counter_ns() - self._wall, self._computed() - self._cpu
        count = settled_in(self._machine) - self._fired
        load = Load(count, wall / 1e9, cpu / 1e9, self._looks, self._others, *self._probed())
        self._mark()
        self.leaves = self._tuning.learn(load) > 1
        self._learns = self._tuning.learns
        if self._tuning.needs_gil_share and self._probe is None:
            self._probe = loaded("routilux.signals.probe", "Probe")(HERTZ)
            self._probe.start()
            self._probe.watch().enter(SELF)

    def _computed(self) -> int:
        """Nanoseconds that this thread has computed, or would have if others had not had the cores: no wait for I/O."""
        return time.thread_time_ns() + (0 if self._queue is None else int(self._queue.waited()))

    def _probed(self) -> tuple[float, float]:
        """How often the probe, if there is one, found Python running since the last time, and native code."""
        if self._probe is None:
            return 0.0, 0.0
        if not self._probe.sees:
            return float(ENOUGH_LOOKS), 0.0
        states = self._probe.states.get(SELF, {})
        found = states.get(ThreadState.PYTHON, 0.0), states.get(ThreadState.NATIVE, 0.0)
        before, self._found = self._found, found
        return found[0] - before[0], found[1] - before[1]

    def _end(self) -> None:
        if self._learns and not self.leaves and settled_in(self._machine) > self._fired:
            self._tell()
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        if self._probe is not None:
            self._probe.stop()
            self._probe, self._found = None, (0.0, 0.0)


class PilotedMode(EngineMode):
    """On threads whose number changes while whoever executes the job waits for it."""

    def __init__(
        self, course: Course, invoker: Invoker, clock: Clock, engine: Engine, tuning: PilotedTuning, *, own_engine: bool
    ) -> None:
        super().__init__(course, invoker, clock, engine, own_engine=own_engine)
        self._tuning = tuning
        self._resize_if_known()

    def take_over(self, *, streaming: bool) -> None:
        """Goes on with a job that began elsewhere."""
        machine = self.course.machine
        if streaming:
            self.course.unread = self._unread
        machine.window = machine.settings.max_pending or self._engine.crew.window(machine.plan.modes)
        self._engine.look_again(self._seat, new=True)

    def _await_end(self) -> None:
        with self._tuning.piloted() as mine:
            if mine and self.threads is not None:
                self._watch(self.threads)
        self.wait(None)

    @property
    def threads(self) -> LocalDriver | None:
        """What runs plain handlers."""
        driver = self._engine.crew[ExecutionMode.CONCURRENT] if self._has_threads else None
        return driver if isinstance(driver, LocalDriver) else None

    @property
    def _has_threads(self) -> bool:
        return ExecutionMode.CONCURRENT in self.course.machine.plan.modes

    def _resize_if_known(self) -> None:
        """Has the engine have as many threads as are known to be best."""
        if self.threads is not None and self._tuning.knows:
            self._resize(self.threads)

    def _resize(self, driver: LocalDriver) -> None:
        with self._tuning.sizing:
            change, driver.hired = self._tuning.workers - driver.hired, self._tuning.workers
            self.course.workers = self._tuning.workers
            if change:
                self._engine.add_workers(driver, change)

    def _watch(self, driver: LocalDriver) -> None:
        """Measures, and has workers added or taken, until the job is over."""
        machine, tuning, finished = self.course.machine, self._tuning, self.course.finished
        over, since, settled = False, time.perf_counter(), settled_in(machine)
        while not over:
            over = finished.wait(PAUSE)
            before, since = since, time.perf_counter()
            ended, settled = settled_in(machine) - settled, settled_in(machine)
            if not machine.paused:
                tuning.measure(ended, since - before)
            if not over:
                self._resize(driver)


class AutoMode(SequentialMode):
    """In the caller's thread, or that of a started job, until it moves to an engine."""

    def __init__(
        self, course: Course, invoker: Invoker, clock: Clock, tuning: PilotedTuning, new_engine: NewEngine
    ) -> None:
        self._scout = Scout(course, invoker, clock, tuning)
        super().__init__(course, invoker, clock, self._scout)
        self._tuning = tuning
        self._new_engine = new_engine
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
        through = copy_context().run
        name = f"routilux-{self.course.origin.flow_id}"
        self._thread = threading.Thread(target=through, args=(self._see_through,), name=name)
        self._thread.start()

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
        engine, own = self._new_engine()
        moved = PilotedMode(self.course, self._invoker, self._clock, engine, self._tuning, own_engine=own)
        with self._moving:
            self._moved = moved
            told = self._scout.take_posted()
        moved.take_over(streaming=self._streaming)
        for fact in told:
            moved.post(fact)


def settled_in(machine: Machine) -> int:
    """How many activations of a job have ended or are under way."""
    return machine.delivery.fired - len(machine.ready)
