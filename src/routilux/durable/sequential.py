"""Durable jobs in sequence: an outcome is durable before anything follows from it, and one thread does it all.

What follows from an outcome is an activation that it fired. Until one of those is to run, the outcome may wait for
others to be written with it, if to run it again would not take long: a chain commits each step, a stream many at once.
"""

from __future__ import annotations

import threading
from collections import deque

from routilux.course import Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.sequential import SequentialDriver
from routilux.durable.log import JobLog
from routilux.durable.turns import Turns
from routilux.errors import StoreError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Begun, Cancelled, Fact, Freed, Happening, Rang, Settled, Started, Taken
from routilux.machine.delivery import Activation
from routilux.machine.forecast import is_due
from routilux.machine.step import apply
from routilux.modes import SequentialMode
from routilux.ports import Clock
from routilux.undisturbed import undisturbed

LONG = 1_000_000
"""Nanoseconds of work that nobody should have to do again."""

PATIENCE = 2_000_000
"""Nanoseconds that an outcome waits for others at most while something runs."""

MOST = 256
"""Outcomes that wait to be written at once."""

WINDOW = 64
"""How many activations may be ready before sources are held back, so that many are written at once."""


class DurableSequentialDriver(SequentialDriver):
    """Runs one job, whose log is always ahead of its machine."""

    def __init__(self, course: Course, invoker: Invoker, clock: Clock, log: JobLog) -> None:
        super().__init__(course, invoker, clock)
        self._log = log
        self._writing = threading.Lock()
        """So that facts happen to the machine in the order in which they were kept."""
        self._told: deque[Fact] = deque()
        self._waiting_since: int | None = None
        """When the oldest outcome ended that is not durable."""
        self._durable = 0
        """Of activations up to this number it is durable that they fired."""
        self._generator = 0
        """The one that was asked last."""
        self.broken_off: BaseException | None = None
        """What a handler raised that is no failure but the end of its program, or means to be."""
        self.turns: Turns | None = None
        """Where it has its turn, if it needs one and does not only wait."""
        self._left: Turns | None = None

    def post(self, fact: Fact) -> None:
        """Tells the job something, from any thread; durable when this returns, it is heeded between two handlers."""
        with self._writing:
            self._told.append(fact if isinstance(fact, (Freed, Taken)) else self._log.keep(fact))
        super().post(fact)

    def heed(self, fact: Fact) -> None:
        self._heed_told()

    def ring(self, moment: int) -> None:
        if is_due(self._machine, moment):
            self._keep(Rang(moment))
        else:
            super().ring(moment)

    def rest(self) -> None:
        self._write()
        super().rest()
        self.leave_turn()

    def leave_turn(self) -> None:
        """Lets others have their turn, until it goes on."""
        if self.turns is not None:
            self._left, self.turns = self.turns, None
            self._left.leave()

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._write()

    def _keep(self, fact: Happening) -> None:
        with self._writing:
            if isinstance(fact, Settled) and fact.statements:
                # Whether it counts, and what it wrote with it, is decided before it happens.
                self._heed_told()
            complete = self._log.defer(fact)
            self._heed_told()
        apply(self._machine, complete)
        since = self._waiting_since
        if isinstance(complete, Settled) and complete.wrote:
            self._write()
        elif isinstance(complete, Settled):
            since = self._waiting_since = complete.ended if since is None else since
            if complete.ended - complete.began >= LONG or complete.ended - since >= PATIENCE:
                self._write()
        if self._log.waiting >= MOST:
            self._write()

    def _write(self) -> None:
        """Makes all durable that has happened."""
        with self._writing:
            self._log.flush()
        self._waiting_since = None
        self._durable = self._machine.delivery.fired

    def _shorten(self) -> None:
        """Between two handlers: puts what the job's facts come to in their place."""
        self._write()
        with self._writing:
            if not self._told:
                self._log.shorten()

    def _heed_told(self) -> None:
        while self._told:
            apply(self._machine, self._told.popleft())

    def _burst(self) -> None:
        """Nothing may follow from an outcome that is not kept."""

    def _perform(self, activation: Activation) -> None:
        machine, now = self._machine, self._clock.now
        if self._left is not None:
            self.turns, self._left = self._left, None
            self.turns.go_on()
        number, attempt = activation[0], activation[5]
        if self._log.shortening.is_due:
            self._shorten()
        if activation[1].is_generator and number != self._generator:
            self._generator = number
            self._log.shortening.begins(activation)
        if self._log.must_note(activation):
            self._log.note(Begun(number, attempt, now()))
            self._write()
        elif number > self._durable or attempt > 1:
            self._write()
        began = now()
        outcome = self._invoker(activation, machine.fan_outs.yields_of(number))
        emissions, error, more, measured, statements = outcome
        if error is not None and not isinstance(error, Exception):
            self.broken_off = error
            raise error
        settled = Settled(number, attempt, began, now(), 0, emissions, error, more, measured=measured)
        self._keep(settled._replace(statements=statements) if statements else settled)


class DurableSequentialMode(SequentialMode):
    """In the caller's thread. A job that cannot go on is let go: it stays in its store, to be recovered."""

    def __init__(self, course: Course, invoker: Invoker, clock: Clock, log: JobLog) -> None:
        self._own_driver = DurableSequentialDriver(course, invoker, clock, log)
        super().__init__(course, invoker, clock, self._own_driver)
        self._leaving: BaseException | None = None
        """What left the block of the flow."""
        self._turns: Turns | None = None
        """Where it waits for its turn, or has."""

    @property
    def is_idle(self) -> bool:
        return super().is_idle and not self._waits

    @property
    def _waits(self) -> bool:
        return self._turns is not None and self._turns.waits(self)

    def workers(self, mode: ExecutionMode) -> int:
        return 0 if self._waits else super().workers(mode)

    def start_in_turn(self, first: Started, turns: Turns) -> None:
        """As `start`, when its turn comes."""
        undisturbed(self._line_up, first, turns)

    def _line_up(self, first: Started, turns: Turns) -> None:
        self._begin(first)
        self._turns = turns
        turns.wait_for(self, self._begin_turn)

    def _begin_turn(self) -> None:
        self._own_driver.turns = self._turns
        self._go(self._run_in_turn)

    def _run_in_turn(self) -> None:
        try:
            self._run()
        finally:
            self._own_driver.leave_turn()

    def post(self, fact: Fact) -> None:
        super().post(fact)
        if isinstance(fact, Cancelled) and self._turns is not None and self._turns.withdraw(self):
            # Nothing of it runs any more, so it need not wait for that.
            self._go(self._run)

    def _begin(self, first: Started) -> None:
        if not self.course.machine.started:
            apply(self.course.machine, first)

    def break_off(self, error: BaseException) -> None:
        if self._turns is not None and self._turns.withdraw(self):
            self._let_go(error)
            return
        self._leaving = error
        self._driver.leaves = True
        self._driver.post(Freed(self._clock.now()))

    def end_idle(self, error: BaseException | None = None) -> None:
        self.course.thread = None
        if error is None:
            super().end_idle()
        elif not self.course.finished.is_set():
            self._let_go(error)

    def _run(self) -> None:
        machine, started = self.course.machine, self._thread is not None
        try:
            self._driver.run()
            if self._leaving is not None and not machine.done:
                self._let_go(self._leaving)
        except (KeyboardInterrupt, SystemExit, StoreError) as error:
            self._let_go(error)
            if not (started and isinstance(error, StoreError)):
                raise
        finally:
            self.course.thread = None
            broken_off, stays = self._own_driver.broken_off, self.course.let_go_by is not None
            if broken_off is not None and not stays:
                self._let_go(broken_off)
            elif machine.done and not stays and self.course.ended_at is None:
                self.course.finish(self._clock.now(), self._invoker.close())

    def _let_go(self, error: BaseException) -> None:
        self._invoker.close()
        self.course.let_go(error)
