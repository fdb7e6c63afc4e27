"""The engine of jobs that run on workers: one inbox, one turn.

Whatever happens - an outcome, a ring, a request - is put into the inbox by the thread that knows of it.
Whoever can take the turn applies what is there to the machines and starts what then may start; whoever cannot
goes on, because the one who has it will look again. So one thread at a time steps any machine, no thread waits
for another to do so, and nothing polls. A worker that has the turn keeps the first thing to start for itself.

::

    worker: handler -> inbox -> turn? -- no ---------------------> wait for work
                                  |
                                  +-- apply all, start others -> go straight on with one
"""

from __future__ import annotations

import heapq
import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from routilux.course import BATCH, Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.threads import ThreadDriver, Worker
from routilux.facts import Fact, Rang, Settled, Started
from routilux.machine.delivery import Activation
from routilux.machine.step import apply
from routilux.ports import Clock
from routilux.slots import OUTPUT


class Seat:
    """A job's place in an engine."""

    __slots__ = ("alarm", "course", "invoker", "lost", "performed_by", "told")

    def __init__(self, course: Course, invoker: Invoker) -> None:
        self.course = course
        self.invoker = invoker
        self.alarm: int | None = None
        """The moment for which the attendant was last told to wake this job."""
        self.performed_by: dict[tuple[int, int], int] = {}
        """By activation and attempt: the worker whose handler runs."""
        self.lost: set[tuple[int, int]] = set()
        """Those whose handlers run on past their timeout."""
        self.told = False
        """Whether the job's end has been told."""


class Engine:
    """Runs any number of jobs on one set of workers, each job in its turn."""

    def __init__(self, driver: ThreadDriver, clock: Clock, name: str) -> None:
        self.driver = driver
        self._clock = clock
        self._inbox: deque[tuple[Seat | None, Fact | int]] = deque()
        """What happened, by job; 0: look at this job again; without a job: so many workers more or fewer."""
        self._turn = threading.Lock()
        self._seats: deque[Seat] = deque()
        self._attendant = Attendant(self, clock, f"{name}-attendant")

    def close_after(self, seat: Seat, *, keep_program: bool) -> None:
        """Has the attendant close this engine when the job is over; with `keep_program`, no exit before that."""
        self._attendant.close_after(seat, keep_program=keep_program)

    def post(self, seat: Seat, fact: Fact) -> None:
        """Tells a job something, from any thread."""
        self._inbox.append((seat, fact))
        self._drain(keep=False)

    def look_again(self, seat: Seat) -> None:
        """The reader of a stream has made room."""
        self._inbox.append((seat, 0))
        self._drain(keep=False)

    def ring(self, seats: list[Seat]) -> None:
        """The moment came that these jobs wait for."""
        moment = self._clock.now()
        self._inbox.extend((seat, Rang(moment)) for seat in seats)
        self._drain(keep=False)

    @contextmanager
    def one_more_worker(self) -> Iterator[None]:
        """While a handler waits for another job, its worker does nothing: somebody else may take its place."""
        self._inbox.append((None, 1))
        self._drain(keep=False)
        try:
            yield
        finally:
            self._inbox.append((None, -1))
            self._drain(keep=False)

    def close(self, *, wait: bool = True) -> None:
        """Ends the workers and the attendant; not for a worker to call."""
        self._attendant.close()
        self.driver.close(wait=wait)

    def wait_closed(self) -> None:
        """Waits for an engine that closes itself after its last job; not for a worker to call."""
        self._attendant.join()

    def perform(self, seat: Seat, activation: Activation, worker: Worker) -> None:
        """Runs an activation on a worker, and then what the worker can go straight on with, until there is nothing."""
        now = self._clock.now
        following: tuple[Seat, Activation] | None = (seat, activation)
        while following is not None:
            seat, activation = following
            worker.busy_with = seat.course
            station = activation[1]
            generator = seat.invoker.pulls.get(activation[0]) if station.pulled else None
            if station.plain or generator is not None:
                began = now()
                try:
                    value = station.call(*activation[2]) if generator is None else next(generator)
                except BaseException as error:
                    fact = _raised(seat, activation, error, began, now(), worker)
                else:
                    ended = now()
                    if self._turn.acquire(False):
                        following = self._go_on(seat, activation, value, began, ended, worker)
                        continue
                    fact = _settled(activation, value, began, ended, worker)
            else:
                fact = self._invoke(seat, activation, worker)
            self._inbox.append((seat, fact))
            following = self._drain(keep=True)
        worker.busy_with = None

    def _invoke(self, seat: Seat, activation: Activation, worker: Worker) -> Settled:
        """Runs an activation that needs more than a call: a context, a generator, a limit."""
        now, number, attempt = self._clock.now, activation[0], activation[5]
        seat.performed_by[number, attempt] = worker.number
        if activation[1].timeout_ns is not None and seat.course.machine.running.get(number) is not activation:
            # It timed out before it began: `_give_up` may have come too early to see this worker, so it must not begin.
            return Settled(number, attempt, now(), now(), worker.number)
        skip = seat.course.machine.fan_outs.yields_of(number) if activation[1].is_generator else 0
        began = now()
        emissions, error, more = seat.invoker(activation, skip)
        return Settled(number, attempt, began, now(), worker.number, emissions, error, more)

    def _go_on(
        self, seat: Seat, activation: Activation, value: Any, began: int, ended: int, worker: Worker
    ) -> tuple[Seat, Activation] | None:
        """With the turn: settles a plain activation at once, and gives what its worker does next.

        This is the hot path, written out: the same as to post a fact and drain, without making one.
        """
        machine = seat.course.machine
        try:
            if machine.end is None:
                del machine.running[activation[0]]
                follow = machine.settled if activation[1].plain else machine.yielded
                follow(activation, value, began, ended, worker.number)
            else:
                apply(machine, _settled(activation, value, began, ended, worker))
            if (
                (machine.ready or machine.suspended)
                and not self._inbox
                and len(self._seats) == 1
                and not machine.timers.heap
            ):
                following = machine.take(ended)
                if following is not None:
                    if machine.ready and self.driver.free > 0:
                        self._start(keep=False)
                    if len(machine.ledger.records) >= BATCH:
                        seat.course.read()
                    if seat.course.unread is not None and machine.delivery.left:
                        seat.course.unread.set()
                    return seat, following
            self.driver.release()
            self._inbox.append((seat, 0))
        finally:
            self._turn.release()
        return self._drain(keep=True)

    def _drain(self, *, keep: bool) -> tuple[Seat, Activation] | None:
        """Applies what is in the inbox, if nobody else does; gives what a worker may go straight on with."""
        kept: tuple[Seat, Activation] | None = None
        while self._inbox and self._turn.acquire(False):
            finished: list[Seat] = []
            try:
                changed = self._apply_all()
                kept = self._start(keep=keep and kept is None) or kept
                for seat in changed:
                    self._look_after(seat, finished)
            finally:
                self._turn.release()
            for seat in finished:
                self._finish(seat)
        return kept

    def _apply_all(self) -> dict[Seat, None]:
        """Steps the machines by what happened; gives the jobs that it happened to."""
        inbox = self._inbox
        changed: dict[Seat, None] = {}
        while inbox:
            seat, fact = inbox.popleft()
            if seat is None:
                self.driver.capacity += fact if isinstance(fact, int) else 0
                continue
            changed[seat] = None
            if isinstance(fact, Started):
                self._seats.append(seat)
            if not isinstance(fact, int):
                if isinstance(fact, Settled) and fact.worker >= 0:
                    self._come_back(seat, fact)
                apply(seat.course.machine, fact)
                if isinstance(fact, Rang):
                    self._give_up(seat)
        return changed

    def _start(self, *, keep: bool) -> tuple[Seat, Activation] | None:
        """Starts what may start, job by job; the first of it is given to the caller if it keeps one."""
        kept: tuple[Seat, Activation] | None = None
        driver, seats, moment = self.driver, self._seats, self._clock.now()
        idle = 0
        while idle < len(seats) and driver.free > 0:
            seat = seats[0]
            seats.rotate(-1)
            activation = seat.course.machine.take(moment)
            if activation is None:
                idle += 1
            elif keep and kept is None:
                driver.claim()
                kept = seat, activation
            else:
                idle = 0
                try:
                    driver.start(partial(self.perform, seat, activation))
                except RuntimeError as error:  # there is not one thread, and none can be had
                    self._inbox.append((seat, _unstarted(activation, error, moment)))
        return kept

    def _look_after(self, seat: Seat, finished: list[Seat]) -> None:
        """What else follows for a job: its end, its next alarm, its stream's reader."""
        machine = seat.course.machine
        machine.rest(self._clock.now())
        if machine.done:
            if not seat.told:
                seat.told = True
                if seat in self._seats:
                    self._seats.remove(seat)
                finished.append(seat)
            return
        if seat.course.unread is not None and machine.delivery.left:
            seat.course.unread.set()
        due = machine.timers.next_due
        if due is not None and (seat.alarm is None or due < seat.alarm):
            seat.alarm = due
            self._attendant.wake_at(due, seat)
        if len(machine.ledger.records) >= BATCH:
            seat.course.read()

    def _finish(self, seat: Seat) -> None:
        seat.course.finish(self._clock.now(), seat.invoker.close())
        self._attendant.finished(seat)

    def _come_back(self, seat: Seat, fact: Settled) -> None:
        """A worker has answered and is free again."""
        attempt = fact.activation_id, fact.attempt
        seat.performed_by.pop(attempt, None)
        if attempt in seat.lost:
            seat.lost.discard(attempt)
            self.driver.regain(fact.worker)
        else:
            self.driver.release()

    def _give_up(self, seat: Seat) -> None:
        """After a ring: workers whose handlers timed out are lost until they come back."""
        seat.alarm = None
        running = seat.course.machine.running
        for attempt, worker in list(seat.performed_by.items()):
            current = running.get(attempt[0])
            if (current is None or current[5] != attempt[1]) and attempt not in seat.lost:
                seat.lost.add(attempt)
                self.driver.abandon(worker)


def _raised(
    seat: Seat, activation: Activation, error: BaseException, began: int, ended: int, worker: Worker
) -> Settled:
    """The fact that a handler raised; from a generator that is pulled, StopIteration is its end and no failure."""
    failure: BaseException | None = error
    if activation[1].pulled:
        seat.invoker.forget(activation)
        failure = None if isinstance(error, StopIteration) else error
    return Settled(activation[0], activation[5], began, ended, worker.number, (), failure)


def _unstarted(activation: Activation, error: BaseException, moment: int) -> Settled:
    """The fact that no worker could be had for an activation."""
    return Settled(activation[0], activation[5], moment, moment, -1, (), error)


def _settled(activation: Activation, value: Any, began: int, ended: int, worker: Worker) -> Settled:
    """The fact that a handler returned `value`, or that a generator gave it."""
    emissions = () if value is None else ((OUTPUT, value),)
    more = activation[1].is_generator
    return Settled(activation[0], activation[5], began, ended, worker.number, emissions, more=more)


class Attendant:
    """A thread that waits for moments, and closes the engine of a job that nobody waits for.

    It starts when it is first needed. It is a daemon like the workers, unless the program is not to end before
    such a job.
    """

    def __init__(self, engine: Engine, clock: Clock, name: str) -> None:
        self._engine = engine
        self._clock = clock
        self._name = name
        self._inbox: queue.SimpleQueue[tuple[int, Seat] | Seat | bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: Seat | None = None

    def wake_at(self, due: int, seat: Seat) -> None:
        """Rings for a job when the moment has come."""
        self._needed(daemon=True)
        self._inbox.put((due, seat))

    def close_after(self, seat: Seat, *, keep_program: bool) -> None:
        """Closes the engine when this job is over, or at once if it is."""
        self._last = seat
        self._needed(daemon=not keep_program)
        if seat.told:
            self._inbox.put(seat)

    def finished(self, seat: Seat) -> None:
        """A job is over: its alarms are forgotten, so that nothing keeps it."""
        if self._thread is not None and (seat is self._last or seat.alarm is not None):
            self._inbox.put(seat)

    def close(self) -> None:
        """Ends the thread."""
        self._inbox.put(False)
        self.join()

    def join(self) -> None:
        """Waits for the thread's end."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _needed(self, *, daemon: bool) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._attend, name=self._name, daemon=daemon)
            self._thread.start()

    def _attend(self) -> None:
        alarms: list[tuple[int, int, Seat]] = []
        arrived = 0
        while True:
            message = self._clock.wait(self._inbox, alarms[0][0] if alarms else None, idle=False)
            if isinstance(message, tuple):
                arrived += 1
                heapq.heappush(alarms, (message[0], arrived, message[1]))
            elif message is False:
                return
            elif isinstance(message, Seat):
                if message is self._last:
                    self._engine.close()
                    return
                alarms = [alarm for alarm in alarms if alarm[2] is not message]
                heapq.heapify(alarms)
            else:
                moment = self._clock.now()
                due = []
                while alarms and alarms[0][0] <= moment:
                    due.append(heapq.heappop(alarms)[2])
                self._engine.ring(due)
