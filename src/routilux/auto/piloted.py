"""Piloted jobs: on workers that change while whoever waits for the job measures what they give."""

from __future__ import annotations

import time
from collections.abc import Mapping

from routilux.auto.gauge import Gauge
from routilux.course import Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.port import LocalDriver
from routilux.engine import Engine
from routilux.errors import UnsendableError
from routilux.execution_mode import ExecutionMode
from routilux.modes import EngineMode
from routilux.ports import Clock
from routilux.tuning.sending import Sending
from routilux.tuning.tuning import PilotedTuning
from routilux.tuning.yardstick import Runs

PAUSE = 0.05
"""Seconds between two measurements."""


class PilotedMode(EngineMode):
    """On threads whose number changes while whoever executes the job waits for it."""

    def __init__(
        self, course: Course, invoker: Invoker, clock: Clock, engine: Engine, tuning: PilotedTuning, *, own_engine: bool
    ) -> None:
        super().__init__(course, invoker, clock, engine, own_engine=own_engine)
        self._tuning = tuning
        self._is_away = course.machine.plan.mode is ExecutionMode.MULTIPROCESSING
        if self._is_away:
            course.when_finished.append(self._heed_refusals)
        stations = course.machine.plan.stations
        self._far = {one.routine_id for one in stations if one.mode is ExecutionMode.MULTIPROCESSING}
        self._has_begun = not self._is_away
        """Whether processes have done anything yet."""
        self._starting = 0.0
        """Seconds until they did: what a job pays once, however long it is."""
        self._gauge: Gauge | None = None
        self._waited = 0.0
        """Seconds that the reader of a stream has waited since it was last measured."""
        self._resize_if_known()

    def take_over(self, *, streaming: bool) -> None:
        """Goes on with a job that began elsewhere."""
        machine = self.course.machine
        if streaming:
            self.course.unread = self._unread
        machine.window = machine.settings.max_pending or self._engine.crew.window(machine.plan.in_use)
        self._engine.look_again(self._seat, new=True)

    def advance_stream(self) -> None:
        """As the law says. What counts is how long the reader waits: while it does something else, nobody does."""
        self._gauge = self._gauge or Gauge(self.course)
        before = time.perf_counter()
        super().advance_stream()
        self._waited += time.perf_counter() - before
        if self._waited >= PAUSE:
            with self._tuning.piloted() as mine:
                runs, waited, self._waited = self._gauge.take(), self._waited, 0.0
                if mine:
                    self._measure(runs, waited)
                    self._resize_if_known()

    def _await_end(self) -> None:
        with self._tuning.piloted() as mine:
            if mine and (self._is_away or self.threads is not None):
                self._watch()
        self.wait(None)

    def _close(self, *, wait: bool = True) -> None:
        """To end processes takes time that each job without a block has to pay, so it counts."""
        before = time.perf_counter()
        super()._close(wait=wait)
        if self._is_away:
            self._tuning.measure({}, time.perf_counter() - before)

    def _heed_refusals(self, course: Course) -> None:
        """What could not be sent after all keeps later jobs of the flow from being sent anywhere."""
        errors = [one.error for one in course.machine.ledger.errors]
        refused = next(
            (one for one in (*errors, course.machine.cause_of_end) if isinstance(one, UnsendableError)), None
        )
        if refused is not None:
            self._tuning.prove(Sending(str(refused)))

    @property
    def threads(self) -> LocalDriver | None:
        """What runs plain handlers, where that is threads."""
        driver = self._engine.crew[ExecutionMode.CONCURRENT] if self._has_threads else None
        return driver if isinstance(driver, LocalDriver) else None

    @property
    def _has_threads(self) -> bool:
        return not self._is_away and ExecutionMode.CONCURRENT in self.course.machine.plan.modes

    def _resize_if_known(self) -> None:
        """Has the engine have as many threads as are known to be best."""
        driver = self.threads
        if driver is None or not self._tuning.knows or self._tuning.mode is ExecutionMode.MULTIPROCESSING:
            return
        with self._tuning.sizing:
            change, driver.hired = self._tuning.workers - driver.hired, self._tuning.workers
            self.course.workers = self._tuning.workers
            if change:
                self._engine.add_workers(driver, change)

    def _watch(self) -> None:
        """Measures, and has workers added or taken, until the job is over."""
        gauge, finished, over, since = Gauge(self.course), self.course.finished, False, time.perf_counter()
        while not over:
            over = finished.wait(PAUSE)
            before, since = since, time.perf_counter()
            self._measure(gauge.take(), since - before)
            if not over:
                self._resize_if_known()
        self._tuning.measure({}, self._starting)

    def _measure(self, runs: Mapping[str, Runs], seconds: float) -> None:
        """So much has ended in these seconds. In some of them nothing could: what waits for a moment says nothing."""
        machine, tuning = self.course.machine, self._tuning
        self._has_begun = self._has_begun or not self._far.isdisjoint(runs)
        if not self._has_begun:
            self._starting += seconds
        elif runs or (not machine.paused and (machine.running or machine.ready)):
            others = ExecutionMode.CONCURRENT if self._is_away else ExecutionMode.MULTIPROCESSING
            if tuning.mode is not others:
                tuning.measure(runs, seconds)
