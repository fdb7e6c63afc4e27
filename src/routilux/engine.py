"""The engine of jobs that run on workers: one inbox, one turn.

Whatever happens - an outcome, a ring, a request - is put into the inbox by the thread that knows of it.
Whoever can take the turn applies what is there to the machines and starts what then may start; whoever cannot
goes on, because the one who has it will look again. So one thread at a time steps any machine, no thread waits
for another to do so, and nothing polls. A worker that has the turn keeps the first thing to start for itself.

::

    worker: handler -> inbox -> turn? -- no ---------------------> wait for work
                                  |
                                  +-- apply all, start others -> go straight on with one

Each execution mode that its jobs need has a driver. An engine knows none of them but by their port.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from routilux.course import BATCH
from routilux.crew import Crew
from routilux.drivers.port import Following, LocalDriver, LocalHost, Seat
from routilux.facts import Fact, Rang, Settled, Started
from routilux.machine.delivery import Activation
from routilux.machine.step import apply
from routilux.ports import Alarms, Clock
from routilux.rotation import News, Rotation, Word
from routilux.slots import OUTPUT
from routilux.undisturbed import undisturbed


class Engine(LocalHost):
    """Runs any number of jobs on one set of drivers, each job in its turn."""

    rotation: type[Rotation] = Rotation
    """What gives each job its turn."""

    def __init__(self, crew: Crew, new_alarms: Callable[[Engine], Alarms[Seat]], clock: Clock) -> None:
        """`new_alarms` makes what waits for moments."""
        self.crew = crew
        self._clock = clock
        self.inbox: deque[News] = deque()
        self._turn = threading.Lock()
        self._wake: Callable[[], None] = lambda: None
        self._jobs = self.rotation(crew, clock, self.inbox.append)
        self.alarms = new_alarms(self)

    def post(self, seat: Seat, fact: Fact) -> None:
        """Tells a job something, from any thread."""
        self.inbox.append((seat, fact, None))
        self._attend()

    def add_workers(self, driver: LocalDriver, change: int) -> None:
        """A driver has so many more workers from now on, or fewer; those that are busy finish what they are at."""
        self.inbox.append((None, change, driver))
        self._attend()

    def look_again(self, seat: Seat | None = None, *, new: bool = False) -> None:
        """The reader of a stream has made room, or a driver has; or a job that has begun elsewhere is to go on here."""
        self.inbox.append((seat, int(new), None))
        self._attend()

    def settle(self, seat: Seat, outcomes: Sequence[Settled]) -> None:
        self.inbox.extend((seat, outcome, None) for outcome in outcomes)
        self._attend()

    def settled(self, driver: LocalDriver, seat: Seat, outcome: Settled) -> Following:
        self.inbox.append((seat, outcome, driver))
        return self._drain(driver)

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
        """The hot path, written out: the same as to post a fact and drain, without making one."""
        if not self._turn.acquire(False):
            return self.settled(driver, seat, settled_by(activation, value, began, ended, worker))
        machine = seat.course.machine
        try:
            if machine.end is None:
                del machine.running[activation[0]]
                follow = machine.settled if activation[1].plain else machine.yielded
                follow(activation, value, began, ended, worker)
            else:
                apply(machine, settled_by(activation, value, began, ended, worker))
            if (
                (machine.ready or machine.suspended)
                and not self.inbox
                and len(self._jobs.seats) == 1
                and len(self.crew) == 1
                and not machine.timers.heap
            ):
                following = machine.take(ended)
                if following is not None:
                    if machine.ready and driver.free > 0:
                        self._jobs.queue_up(seat)
                        self._jobs.start(None)
                    if len(machine.ledger.records) >= BATCH:
                        seat.course.read()
                    if seat.course.unread is not None and machine.delivery.left:
                        seat.course.unread.set()
                    return seat, following
            driver.release(seat, None)
            self.inbox.append((seat, 0, None))
        finally:
            self._turn.release()
        return self._drain(driver)

    def keep(self, wake: Callable[[], None]) -> bool:
        if not self.kept and self.crew.only_coroutines and self._turn.acquire(False):
            self._wake, self.kept = wake, True
            if self.inbox:
                wake()
        return self.kept

    def look_at_all(self) -> None:
        for seat in self._jobs.seats:
            self.inbox.append((seat, 0, None))
        self._drain(None)

    def wants_attention(self, driver: LocalDriver, seat: Seat) -> bool:
        machine = seat.course.machine
        due = machine.timers.next_due
        return (
            bool(self.inbox)
            or machine.paused
            or (due is not None and (seat.alarm is None or due < seat.alarm))
            or (bool(machine.suspended) and len(machine.ready) < machine.window)
            or (len(self._jobs.seats) > 1 and driver.free <= 0)
        )

    def let_go(self, driver: LocalDriver, seat: Seat) -> Following:
        driver.release(seat, None)
        self.inbox.append((seat, 0, None))
        return self._drain(driver)

    def close(self, *, wait: bool = True) -> None:
        """Ends the workers and whatever waits for moments; not for a worker to call."""
        undisturbed(self.alarms.close)
        undisturbed(self.crew.close, wait=False)
        if wait:
            self.crew.close()

    def _attend(self) -> None:
        """Something was told: it is heeded here and now, or by the loop that keeps the turn."""
        if self.kept:
            self._wake()
        else:
            undisturbed(self._drain, None)

    def _drain(self, keep: LocalDriver | None) -> Following:
        """Applies what is in the inbox, if nobody else does; gives what a worker of `keep` may go straight on with."""
        kept: Following = None
        while self.inbox and (self.kept or self._turn.acquire(False)):
            finished: list[Seat] = []
            try:
                changed = self._apply_all()
                self.kept = self.kept and self.crew.only_coroutines
                for seat in changed:
                    self._jobs.queue_up(seat)
                kept = self._jobs.start(keep if kept is None else None) or kept
                for seat in changed:
                    if not seat.queued:
                        seat.course.permits.decline()
                    self._look_after(seat, finished)
            finally:
                self.kept = self.kept and bool(self._jobs.seats)
                if not self.kept:
                    self._turn.release()
            for seat in finished:
                self._finish(seat)
        return kept

    def _apply_all(self) -> dict[Seat, None]:
        """Steps the machines by what happened; gives the jobs that it happened to."""
        inbox = self.inbox
        changed: dict[Seat, None] = {}
        while inbox:
            seat, fact, driver = inbox.popleft()
            if seat is None:
                if driver is not None and isinstance(fact, int):
                    driver.change_capacity(fact)
                changed |= self._jobs.seats
                continue
            changed[seat] = None
            if isinstance(fact, int):
                if fact:
                    self._jobs.add(seat)
                continue
            if isinstance(fact, Started):
                self._jobs.add(seat)
            if driver is not None and isinstance(fact, Settled):
                driver.release(seat, fact)
            if isinstance(fact, Rang):
                seat.alarm = None
                fact = self._jobs.put_off(seat, fact)
            self._heed(seat, fact)
        return changed

    def _heed(self, seat: Seat, fact: Fact | Word) -> None:
        """Steps a machine by what happened to its job."""
        assert not isinstance(fact, Word)
        apply(seat.course.machine, fact)
        if seat.course.machine.given_up or seat.course.machine.unwanted:
            self._jobs.stop(seat)

    def _look_after(self, seat: Seat, finished: list[Seat]) -> None:
        """What else follows for a job: its end, its next alarm, its stream's reader."""
        machine = seat.course.machine
        fired = machine.delivery.fired
        machine.rest(self._clock.now())
        if machine.done:
            if not seat.told:
                seat.told = True
                self._jobs.remove(seat)
                finished.append(seat)
            return
        if machine.delivery.fired != fired:
            self.inbox.append((seat, 0, None))
        if seat.course.unread is not None and machine.delivery.left:
            seat.course.unread.set()
        due = machine.timers.next_due
        if due is not None and (seat.alarm is None or due < seat.alarm):
            seat.alarm = due
            self.alarms.wake_at(due, seat)
        if len(machine.ledger.records) >= BATCH:
            seat.course.read()

    def _finish(self, seat: Seat) -> None:
        seat.course.finish(self._clock.now(), seat.invoker.close())
        self.alarms.finished(seat)


def settled_by(activation: Activation, value: Any, began: int, ended: int, worker: int) -> Settled:
    """The fact that a handler returned `value`, or that a generator gave it."""
    emissions = () if value is None else ((OUTPUT, value),)
    more = activation[1].is_generator
    return Settled(activation[0], activation[5], began, ended, worker, emissions, more=more)
