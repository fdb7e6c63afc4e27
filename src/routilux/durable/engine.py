"""The engine of durable jobs: nothing happens to a machine before the store has it.

A fact goes from the inbox to the store, and comes back when it is durable; only then is the machine stepped. So nothing
that follows from a fact - a handler that starts, a result that is read - is ever ahead of what a recovery would find.
Facts come back in the order in which they were kept, and that is the order in which they would be replayed.

::

    inbox -> [turn] -> log -> store . . . durable -> kept -> [turn] -> machine -> what follows
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from routilux.course import Course, Latch
from routilux.crew import Crew
from routilux.decision import TryAgain, Verdict
from routilux.drivers.invoke import Invoker
from routilux.drivers.port import Driver, Following, LocalDriver, Seat
from routilux.drivers.threads import Worker
from routilux.durable.log import JobLog, Then
from routilux.engine import Engine, settled_by
from routilux.errors import ClusterUnavailableError, StoreError, TransactionError
from routilux.facts import Begun, Fact, Freed, Happening, Rang, Settled, Taken
from routilux.machine.delivery import Activation
from routilux.machine.forecast import decision_on, is_due
from routilux.ports import Alarms, Clock
from routilux.rotation import Rotation, Word
from routilux.slots import OUTPUT

LONG = 1_000_000
"""Nanoseconds after which what a generator gave is kept, whatever more it has to give."""


class Pulled:
    """What one generator has given since it was last told of."""

    __slots__ = ("asked", "began", "emissions")

    def __init__(self, began: int) -> None:
        self.began = began
        self.asked = 0
        self.emissions: list[tuple[str, Any]] = []


class DurableSeat(Seat):
    """The place of a durable job in its engine."""

    __slots__ = ("broken", "kept", "leaving", "log", "pulled", "stepped")

    kept: Then
    """Is told of its facts that are durable and that nobody waits for."""

    def __init__(self, course: Course, invoker: Invoker, context: Context, log: JobLog) -> None:
        super().__init__(course, invoker, context)
        self.log = log
        self.pulled: dict[int, Pulled] = {}
        """By activation: what generators have given that is not kept yet."""
        self.broken: dict[int, Settled] = {}
        """By activation: how generators failed after that; it is told when they are asked again."""
        self.stepped = True
        """Whether something has happened to the job since it was last looked after."""
        self.leaving: BaseException | None = None
        """Why the job is to be let go."""


@dataclass(slots=True, eq=False)
class Kept(Word):
    """Facts are durable, or why they never will be."""

    facts: Sequence[Happening]
    error: StoreError | None
    happened: Latch | None
    """Set when they have happened to the machine."""


@dataclass(slots=True, eq=False)
class Noted(Word):
    """It is durable that an attempt begins, or it never will be."""

    driver: Driver
    activation: Activation
    error: StoreError | None


class DurableRotation(Rotation):
    """Starts an attempt only when the store has what must be known of it."""

    hear: Callable[[Seat, Word], Callable[[], None]]
    """Tells the engine, from any thread."""

    def begin(self, driver: Driver, seat: Seat, activation: Activation) -> None:
        assert isinstance(seat, DurableSeat)
        broken = seat.broken.pop(activation[0], None)
        if broken is not None:
            self._tell((seat, broken, None))
            return
        seat.log.shortening.begins(activation)
        if seat.log.must_note(activation):
            self.reserved[driver.mode] += 1
            begins = Begun(activation[0], activation[5], self._clock.now())
            seat.log.append_begun(begins, lambda error: self.hear(seat, Noted(driver, activation, error)))
        else:
            super().begin(driver, seat, activation)

    def queue_up(self, seat: Seat) -> None:
        assert isinstance(seat, DurableSeat)
        if seat.leaving is None:
            super().queue_up(seat)

    def hold_back(self, seat: Seat) -> None:
        """Nothing more of a job starts."""
        for mode in seat.queued:
            self._turns[mode].remove(seat)
        seat.queued.clear()

    def may_follow(self, seat: Seat, activation: Activation) -> bool:
        assert isinstance(seat, DurableSeat)
        follows = activation[0] not in seat.broken and not seat.log.must_note(activation)
        if follows:
            seat.log.shortening.begins(activation)
        return follows

    def begin_noted(self, seat: Seat, noted: Noted) -> None:
        """Starts an attempt if it is durable that it begins and it is still wanted; also of a job to be let go."""
        self.reserved[noted.driver.mode] -= 1
        activation, machine = noted.activation, seat.course.machine
        if noted.error is not None or seat.told or machine.running.get(activation[0]) is not activation:
            return
        if machine.end is None:
            super().begin(noted.driver, seat, activation)
        else:
            self._tell_stopped(seat, activation)


class DurableEngine(Engine):
    """Runs any number of durable jobs."""

    rotation = DurableRotation
    _jobs: DurableRotation

    def __init__(self, crew: Crew, new_alarms: Callable[[Engine], Alarms[Seat]], clock: Clock) -> None:
        self._awaited: dict[int, Latch] = {}
        """By the identity of a fact in the inbox: what is to be set when it has happened."""
        super().__init__(crew, new_alarms, clock)
        self._jobs.hear = self._hear

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
            self._leave(seat, error)
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
        assert isinstance(seat, DurableSeat)
        if not activation[1].is_generator:
            outcome = settled_by(activation, value, began, ended, worker)
            if self._turn.acquire(False):
                return self._kept_on(driver, seat, outcome)
            self.inbox.append((seat, outcome, driver))
            return self._drain(driver)
        number, attempt, machine = activation[0], activation[5], seat.course.machine
        pulled = seat.pulled.get(number) or seat.pulled.setdefault(number, Pulled(began))
        pulled.asked += 1
        if value is not None:
            pulled.emissions.append((OUTPUT, value))
        if ended - pulled.began < LONG and machine.admission.pending + pulled.asked < machine.window:
            return seat, activation
        del seat.pulled[number]
        given = Settled(number, attempt, pulled.began, ended, worker, pulled.emissions, more=True, asked=pulled.asked)
        return self.settled(driver, seat, given)

    def settled(self, driver: LocalDriver, seat: Seat, outcome: Settled) -> Following:
        assert isinstance(seat, DurableSeat)
        pulled = seat.pulled.pop(outcome.activation_id, None)
        if pulled is not None:
            more = outcome.error is not None
            if more:
                seat.broken[outcome.activation_id] = outcome
            emissions, asked = [*pulled.emissions, *outcome.emissions], pulled.asked + (not more)
            outcome = Settled(
                outcome.activation_id,
                outcome.attempt,
                pulled.began,
                outcome.ended,
                outcome.worker,
                emissions,
                more=more,
                asked=asked,
                statements=outcome.statements,
            )
        self.inbox.append((seat, outcome, driver))
        return self._drain(driver)

    def keep(self, wake: Callable[[], None]) -> bool:
        return False

    def _kept_on(self, driver: LocalDriver, seat: DurableSeat, outcome: Settled) -> Following:
        """The hot path, with the turn: while an outcome is on its way to the store, its worker goes on with another."""
        machine, jobs = seat.course.machine, self._jobs
        try:
            self._heed(seat, outcome)
            usual = machine.ready and not self.inbox and seat.leaving is None and not machine.timers.heap
            if usual and len(jobs.seats) == 1 and len(self.crew) == 1:
                following = machine.take(outcome.ended)
                if following is not None and jobs.may_follow(seat, following):
                    return seat, following
                if following is not None:
                    jobs.begin(driver, seat, following)
            driver.release(seat, None)
            self.inbox.append((seat, 0, None))
        finally:
            self._turn.release()
        return self._drain(driver)

    def _heed(self, seat: Seat, fact: Fact | Word) -> None:
        """Has the store keep a fact; what only affects who waits for a limit, or comes too late, need not be."""
        assert isinstance(seat, DurableSeat)
        if isinstance(fact, Settled) and fact.error is None and not seat.told:
            seat.log.append(fact, seat.kept)
            return
        if isinstance(fact, Word):
            self._take_word(seat, fact)
            return
        machine, happened = seat.course.machine, self._awaited.pop(id(fact), None)
        passing = isinstance(fact, Rang) and not is_due(machine, fact.moment)
        if seat.told or passing or isinstance(fact, (Freed, Taken)):
            seat.stepped = True
            super()._heed(seat, fact)
            if happened is not None:
                happened.set()
            return
        if isinstance(fact, Rang):
            seat.alarm = machine.timers.next_due
        if isinstance(fact, Settled) and isinstance(fact.error, ClusterUnavailableError):
            decision = decision_on(machine, fact)
            if decision is Verdict.STOP:
                # Nothing is wrong with the job: it goes on with another attempt when its cluster is there again.
                decision = TryAgain(0)
                self._leave(seat, fact.error)
            fact = fact._replace(decision=decision)
        if happened is None:
            seat.log.append(fact, seat.kept)
        else:
            seat.log.append(fact, partial(self.hear_kept, seat, happened))

    def hear_kept(
        self, seat: Seat, happened: Latch | None, facts: Sequence[Happening], error: StoreError | None
    ) -> Callable[[], None]:
        """What a log tells of facts."""
        return self._hear(seat, Kept(facts, error, happened))

    def _hear(self, seat: Seat, word: Word) -> Callable[[], None]:
        """Puts into the inbox what a store has kept; gives what is to be called when that is all for now."""
        self.inbox.append((seat, word, None))
        return self._attend

    def _take_word(self, seat: DurableSeat, word: Word) -> None:
        """What was kept happens now, unless the job has been let go meanwhile."""
        assert isinstance(word, (Kept, Noted))
        seat.stepped = True
        if isinstance(word, Noted):
            self._jobs.begin_noted(seat, word)
        if isinstance(word, Kept) and isinstance(word.error, TransactionError) and not seat.told:
            # An outcome that writes comes alone.
            for outcome in word.facts:
                assert isinstance(outcome, Settled)
                seat.log.append_refused(outcome, word.error, seat.kept)
            return
        if word.error is not None:
            seat.leaving = word.error
        elif not seat.told and isinstance(word, Kept):
            for fact in word.facts:
                if isinstance(fact, Rang):
                    seat.alarm = None
                super()._heed(seat, fact)
                seat.log.happened(fact)
        if isinstance(word, Kept) and word.happened is not None:
            word.happened.set()

    def _look_after(self, seat: Seat, finished: list[Seat]) -> None:
        assert isinstance(seat, DurableSeat)
        if not (seat.stepped or seat.course.machine.timers):
            return
        seat.stepped = False
        lost = isinstance(seat.leaving, StoreError)
        if not seat.told and seat.leaving is not None and (lost or not seat.course.machine.running):
            seat.told = True
            self._jobs.remove(seat)
            finished.append(seat)
        elif not seat.told:
            super()._look_after(seat, finished)

    def _leave(self, seat: DurableSeat, error: BaseException) -> None:
        """Nothing more of a job starts, and it is let go when nothing of it runs; its machine knows nothing of that."""
        seat.leaving = error
        seat.stepped = True
        self._jobs.hold_back(seat)

    def _finish(self, seat: Seat) -> None:
        assert isinstance(seat, DurableSeat)
        if seat.leaving is None:
            super()._finish(seat)
            return
        seat.invoker.close()
        seat.course.let_go(seat.leaving)
        self.alarms.finished(seat)
