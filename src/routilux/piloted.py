"""Piloted jobs: on workers that change while whoever waits for the job measures what they give."""

from __future__ import annotations

import time

from routilux.course import Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.port import LocalDriver
from routilux.engine import Engine
from routilux.errors import UnsendableError
from routilux.execution_mode import ExecutionMode
from routilux.modes import EngineMode
from routilux.ports import Clock
from routilux.scout import settled_in
from routilux.tuning.sending import Sending
from routilux.tuning.tuning import PilotedTuning

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
            if mine and (self._is_away or self.threads is not None):
                self._watch()
        self.wait(None)

    def _close(self, *, wait: bool = True) -> None:
        """To end processes takes time that each job without a block has to pay, so it counts."""
        before = time.perf_counter()
        super()._close(wait=wait)
        if self._is_away:
            self._tuning.measure(0, time.perf_counter() - before)

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
        if self.threads is not None and self._tuning.knows:
            self._resize(self.threads)

    def _resize(self, driver: LocalDriver) -> None:
        if self._tuning.mode is ExecutionMode.MULTIPROCESSING:
            return
        with self._tuning.sizing:
            change, driver.hired = self._tuning.workers - driver.hired, self._tuning.workers
            self.course.workers = self._tuning.workers
            if change:
                self._engine.add_workers(driver, change)

    def _watch(self) -> None:
        """Measures, and has workers added or taken, until the job is over."""
        driver, others = self.threads, ExecutionMode.CONCURRENT if self._is_away else ExecutionMode.MULTIPROCESSING
        machine, tuning, finished = self.course.machine, self._tuning, self.course.finished
        over, since, settled = False, time.perf_counter(), settled_in(machine)
        while not over:
            over = finished.wait(PAUSE)
            before, since = since, time.perf_counter()
            ended, settled = settled_in(machine) - settled, settled_in(machine)
            if not machine.paused and tuning.mode is not others:
                tuning.measure(ended, since - before)
            if not over and driver is not None:
                self._resize(driver)
