"""The rotation of jobs: each in its turn starts what it may, so that a large job does not delay a small one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from routilux.crew import Crew
from routilux.drivers.port import Driver, Following, LocalDriver, Seat, Stopping
from routilux.execution_mode import ExecutionMode
from routilux.facts import Fact, Rang, Settled
from routilux.machine.delivery import Activation
from routilux.ports import Clock


class Word:
    """Something that only one kind of engine is told of its jobs."""

    __slots__ = ()


News: TypeAlias = tuple[Seat | None, Fact | Word | int, LocalDriver | None]
"""What happened to a job, and whose worker has answered. 0: just look; 1: it has begun elsewhere, and goes on here; a
number without a job: so many workers of the driver more or fewer."""


class Rotation:
    """The jobs of one engine. Only the thread that has the turn calls it."""

    def __init__(self, crew: Crew, clock: Clock, tell: Callable[[News], None]) -> None:
        """`tell` puts into the engine's inbox what happens here."""
        self._crew = crew
        self._clock = clock
        self._tell = tell
        self.seats: dict[Seat, None] = {}
        """The jobs that are not over, in the order in which they came."""
        self._turns: dict[ExecutionMode, deque[Seat]] = {mode: deque() for mode in ExecutionMode}
        """By mode: the jobs that may have something to start, each in its turn."""
        self.reserved: dict[ExecutionMode, int] = dict.fromkeys(ExecutionMode, 0)
        """By mode: for how many attempts, taken and not yet given to the driver, a place of it is kept."""

    def add(self, seat: Seat) -> None:
        """A job begins."""
        self.seats[seat] = None
        seat.course.permits.promise()
        seat.elastic = any(self._crew[mode].elastic for mode in seat.course.machine.plan.modes)

    def remove(self, seat: Seat) -> None:
        """A job is over."""
        self.seats.pop(seat, None)
        for mode in seat.course.machine.plan.modes:
            self._crew[mode].forget(seat)

    def queue_up(self, seat: Seat) -> None:
        """Something happened to a job: it takes its turn again wherever it may have something to start."""
        machine = seat.course.machine
        for mode in machine.plan.modes:
            if mode not in seat.queued and machine.queues[mode]:
                seat.queued.add(mode)
                self._turns[mode].append(seat)

    def start(self, keep: LocalDriver | None) -> Following:
        """Starts what may start, driver by driver and job by job; the first for `keep` is given to the caller."""
        kept: Following = None
        moment, begin = self._clock.now(), self.begin
        for driver in self._crew:
            mode = driver.mode
            turns = self._turns[mode]
            while turns and driver.free > self.reserved[mode]:
                seat = turns.popleft()
                machine = seat.course.machine
                if seat.elastic and seat.sized_at != moment:
                    machine.window = machine.settings.max_pending or self._crew.window(machine.plan.in_use)
                    seat.sized_at = moment
                fired = machine.delivery.fired
                activation = machine.take(moment, mode)
                if activation is None:
                    seat.queued.discard(mode)
                    seat.course.permits.decline()
                    # What only waited for rest may have fired meanwhile, in a mode that had its turn before.
                    if machine.delivery.fired != fired or (machine.admission.kept and not machine.running):
                        self._tell((seat, 0, None))
                    machine.admission.kept = False
                    continue
                turns.append(seat)
                if driver is keep and kept is None and self.may_follow(seat, activation):
                    keep.claim()
                    kept = seat, activation
                else:
                    begin(driver, seat, activation)
                if len(turns) == 1 and not machine.streaming:
                    more = machine.admission.more(machine.running, mode)
                    while driver.free > self.reserved[mode] and (another := next(more, None)) is not None:
                        begin(driver, seat, another)
        return kept

    def may_follow(self, seat: Seat, activation: Activation) -> bool:
        """Whether an attempt may begin at once, on a worker that has nothing else to do."""
        return True

    def begin(self, driver: Driver, seat: Seat, activation: Activation) -> None:
        """Has a driver run an attempt."""
        skip = seat.course.machine.fan_outs.yields_of(activation[0]) if activation[1].is_generator else 0
        try:
            driver.start(seat, activation, skip)
        except RuntimeError as error:  # there is not one worker, and none can be had
            moment = self._clock.now()
            self._tell((seat, Settled(activation[0], activation[5], moment, moment, -1, (), error), None))

    def put_off(self, seat: Seat, rang: Rang) -> Rang:
        """A timeout counts from when its attempt begins, which may be later than a driver was given it."""
        later: dict[int, int] = {}
        for activation in seat.course.machine.timers.timeouts(rang.moment):
            began = self._crew[activation[1].mode].began(seat, activation)
            over = activation[1].timeout_ns + (rang.moment if began is None else began)
            if over > rang.moment:
                later[activation[0]] = over
        return rang._replace(later=later) if later else rang

    def stop(self, seat: Seat) -> None:
        """Stops attempts that timed out, and of a job that ends before its time, those that can be stopped or recalled.

        Those that are only not wanted any more may look at `ctx.cancelled`.
        """
        machine = seat.course.machine
        while machine.unwanted:
            activation = machine.unwanted.pop()
            self._crew[activation[1].mode].warn(seat, activation)
        while machine.given_up:
            activation = machine.given_up.pop()
            driver = self._crew[activation[1].mode]
            timed_out = machine.running.get(activation[0]) is not activation
            if not (timed_out or driver.abilities.stops or driver.abilities.recalls):
                continue
            if driver.stop(seat, activation) in (Stopping.NEVER_STARTED, Stopping.STOPPED):
                self._tell_stopped(seat, activation)

    def _tell_stopped(self, seat: Seat, activation: Activation) -> None:
        """An attempt was ended, or never begun, because nobody wants its outcome any more."""
        moment = self._clock.now()
        self._tell((seat, Settled(activation[0], activation[5], moment, moment, -1, stopped=True), None))
