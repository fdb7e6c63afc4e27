"""The engine of durable jobs: nothing happens to a machine before the store has it.

A fact goes from the inbox to the store, and comes back when it is durable; only then is the machine stepped. So nothing
that follows from a fact - a handler that starts, a result that is read - is ever ahead of what a recovery would find.
Facts come back in the order in which they were kept, and that is the order in which they would be replayed.

::

    inbox -> [turn] -> log -> store . . . durable -> kept -> [turn] -> machine -> what follows
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, NamedTuple

from routilux.course import Course, Latch
from routilux.crew import Crew
from routilux.drivers.invoke import Invoker
from routilux.drivers.port import Driver, Following, LocalDriver, Seat
from routilux.drivers.threads import Worker
from routilux.durable.log import JobLog
from routilux.engine import Engine, settled_by
from routilux.errors import StoreError
from routilux.facts import Begun, Fact, Freed, Rang, Settled
from routilux.machine.delivery import Activation
from routilux.ports import Alarms, Clock
from routilux.rotation import News, Rotation


class DurableSeat(Seat):
    """The place of a durable job in its engine."""

    __slots__ = ("leaving", "log")

    def __init__(self, course: Course, invoker: Invoker, context: Context, log: JobLog) -> None:
        super().__init__(course, invoker, context)
        self.log = log
        self.leaving: BaseException | None = None
        """Why the job is to be let go."""


class Kept(NamedTuple):
    """A fact that is durable, or why it never will be."""

    seat: DurableSeat
    fact: Fact
    error: StoreError | None
    happened: Latch | None
    """Set when it has happened."""


class Noted(NamedTuple):
    """It is durable that an attempt begins, or it never will be."""

    seat: DurableSeat
    driver: Driver
    activation: Activation
    error: StoreError | None


class DurableRotation(Rotation):
    """Starts an attempt only when the store has what must be known of it."""

    def __init__(self, crew: Crew, clock: Clock, tell: Callable[[News], None], noted: Callable[[Noted], None]) -> None:
        """`noted` is called by another thread, later."""
        super().__init__(crew, clock, tell)
        self._noted = noted

    def begin(self, driver: Driver, seat: Seat, activation: Activation) -> None:
        assert isinstance(seat, DurableSeat)
        if seat.log.must_note(activation):
            begins = Begun(activation[0], activation[5], self._clock.now())
            seat.log.append_begun(begins, lambda error: self._noted(Noted(seat, driver, activation, error)))
        else:
            super().begin(driver, seat, activation)

    def begin_noted(self, noted: Noted) -> None:
        """Starts an attempt if it is still wanted."""
        if noted.seat.course.machine.running.get(noted.activation[0]) is noted.activation:
            super().begin(noted.driver, noted.seat, noted.activation)


class DurableEngine(Engine):
    """Runs any number of durable jobs."""

    _jobs: DurableRotation

    def __init__(self, crew: Crew, new_alarms: Callable[[Engine], Alarms[Seat]], clock: Clock) -> None:
        self._kept: deque[Kept | Noted] = deque()
        self._awaited: dict[int, Latch] = {}
        """By the identity of a fact in the inbox: what is to be set when it has happened."""
        super().__init__(crew, new_alarms, clock)

    def new_rotation(self) -> DurableRotation:
        return DurableRotation(self.crew, self._clock, self.inbox.append, self._come_back)

    def tell(self, seat: Seat, fact: Fact) -> None:
        """As `post`, and returns when it has happened; at once where the calling thread may be needed for that."""
        if isinstance(threading.current_thread(), Worker) or threading.get_ident() in self.crew.loops or seat.told:
            self.post(seat, fact)
            return
        happened = self._awaited[id(fact)] = Latch()
        self.post(seat, fact)
        happened.wait()

    def leave(self, seat: DurableSeat, error: BaseException) -> None:
        """Lets a job go as soon as nothing of it runs; until then nothing more of it starts."""
        with self._turn:
            seat.course.machine.paused = True
            seat.leaving = error
        self.look_again(seat)

    def returned(
        self,
        driver: LocalDriver,
        seat: Seat,
        activation: Activation,
        value: Any,
        began: int,
        ended: int,
        worker: int,
    ) -> Following:
        return self.settled(driver, seat, settled_by(activation, value, began, ended, worker))

    def settled(self, driver: LocalDriver, seat: Seat, outcome: Settled) -> Following:
        self.inbox.append((seat, outcome, driver))
        self._drain(None)
        return None

    def keep(self, wake: Callable[[], None]) -> bool:
        return False

    def _come_back(self, news: Kept | Noted) -> None:
        self._kept.append(news)
        self.look_again(news.seat)

    def _apply_all(self) -> dict[Seat, None]:
        # What came back was put there before the inbox was told, so it is looked for after the inbox.
        changed = super()._apply_all()
        while self._kept:
            news = self._kept.popleft()
            changed[news.seat] = None
            if not news.seat.told:
                self._step(news)
            if isinstance(news, Kept) and news.happened is not None:
                news.happened.set()
        return changed

    def _heed(self, seat: Seat, fact: Fact) -> None:
        """Has the store keep a fact; what only affects who waits for a limit, or comes too late, need not be."""
        assert isinstance(seat, DurableSeat)
        happened = self._awaited.pop(id(fact), None)
        ringing = isinstance(fact, Rang)
        if seat.told or isinstance(fact, Freed) or (ringing and not seat.course.machine.is_due(fact.moment)):
            super()._heed(seat, fact)
            if happened is not None:
                happened.set()
            return
        if ringing:
            seat.alarm = seat.course.machine.timers.next_due
        seat.log.append(fact, lambda complete, error: self._come_back(Kept(seat, complete, error, happened)))

    def _step(self, news: Kept | Noted) -> None:
        seat = news.seat
        if news.error is not None:
            seat.leaving = news.error
        elif isinstance(news, Noted):
            self._jobs.begin_noted(news)
        else:
            if isinstance(news.fact, Rang):
                seat.alarm = None
            super()._heed(seat, news.fact)

    def _look_after(self, seat: Seat, finished: list[Seat]) -> None:
        assert isinstance(seat, DurableSeat)
        lost = isinstance(seat.leaving, StoreError)
        if not seat.told and seat.leaving is not None and (lost or not seat.course.machine.running):
            seat.told = True
            self._jobs.remove(seat)
            finished.append(seat)
        elif not seat.told:
            super()._look_after(seat, finished)

    def _finish(self, seat: Seat) -> None:
        assert isinstance(seat, DurableSeat)
        if seat.leaving is None:
            super()._finish(seat)
            return
        seat.invoker.close()
        seat.course.let_go(seat.leaving)
        self.alarms.finished(seat)
