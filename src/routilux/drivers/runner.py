"""A runner: one task of an event loop, which awaits handlers.

It awaits one, settles what came of it, and goes straight on with what follows, as a worker thread does. Where
coroutines are all there is, the loop keeps the engine's turn: as only one of its tasks runs at a time, nothing but the
machine stands between two handlers. A runner cannot know whether a handler will wait, so before it begins one while
others are ready, it has the loop see to those as soon as it does.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from routilux.course import BATCH
from routilux.drivers.port import Following, LocalDriver, LocalHost, Seat
from routilux.errors import HandlerCancelledError
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.ports import Clock

SLICE_NS = 10_000_000
"""After so long a runner that never waits lets others have the loop."""


class LoopDriver(LocalDriver):
    """What a runner needs of its driver; called on the loop."""

    busy: int
    """How many runners are at something."""
    runners: set[Runner]

    @abstractmethod
    def spawn(self, seat: Seat, activation: Activation) -> None:
        """Gives an attempt a runner of its own."""

    @abstractmethod
    def relieve(self) -> None:
        """Has what is ready started as soon as the runner that asks waits for something."""

    @abstractmethod
    def wake(self) -> None:
        """Has the loop look at what was told; from any thread."""


class Runner:
    """What one task is at."""

    __slots__ = ("_clock", "_host", "_slice_end", "activation", "begun", "driver", "seat", "task", "unwanted")

    def __init__(self, driver: LoopDriver, host: LocalHost, clock: Clock, seat: Seat, activation: Activation) -> None:
        self.driver = driver
        self._host = host
        self._clock = clock
        self._slice_end = 0
        self.seat = seat
        self.activation = activation
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.unwanted: Activation | None = None
        """The attempt that it is cancelled for."""

    async def run(self) -> None:
        """Awaits handlers, one after another, for as long as one follows directly on the other."""
        seat, self.begun = self.seat, True
        self._slice_end = self._clock.now() + SLICE_NS
        following: Following = (seat, self.activation)
        try:
            while following is not None and following[0] is seat:
                self.activation = activation = following[1]
                if activation[1].plain and self.unwanted is None and self._host.keep(seat, self.driver.wake):
                    following = await self._burst()
                else:
                    following = self._host.settled(self.driver, seat, await self._invoke())
                if following is not None and self._clock.now() > self._slice_end:
                    self.activation = following[1]
                    await self._pause()
        finally:
            self.driver.runners.discard(self)
        if following is not None:
            self.driver.spawn(*following)

    async def _burst(self) -> Following:
        """With the turn kept by the loop: awaits plain handlers one after another, while nothing else wants attention.

        The hot path: what it does for one activation is all that stands between two handlers.
        """
        seat, host, now = self.seat, self._host, self._clock.now
        machine, activation = seat.course.machine, self.activation
        running, ready, settled, timers = machine.running, machine.ready, machine.settled, machine.timers.heap
        driver, slice_end = self.driver, self._slice_end
        while True:
            station = activation[1]
            began = now()
            try:
                value = station.call(*activation[2])
                if station.is_async:
                    value = await value
            except BaseException as error:
                return host.settled(driver, seat, self._raised(error, began))
            ended = now()
            if not host.kept or machine.end is not None:
                return host.returned(driver, seat, activation, value, began, ended, 0)
            del running[activation[0]]
            settled(activation, value, began, ended)
            unusual = host.inbox or timers or machine.suspended or machine.paused or driver.busy >= driver.workers
            if not ready and running and not unusual:
                driver.busy -= 1
                if len(machine.ledger.records) >= BATCH:
                    seat.course.read()
                return None
            if not ready or ended > slice_end or not ready[0][1].plain:
                return host.let_go(driver, seat)
            if unusual and host.wants_attention(driver, seat):
                return host.let_go(driver, seat)
            self.activation = activation = ready.popleft()
            running[activation[0]] = activation
            if ready:
                driver.relieve()

    async def _pause(self) -> None:
        """Lets others have the loop; a cancellation that comes meanwhile is for what follows."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self.unwanted is None:
                raise
            self._uncancel()
        self._slice_end = self._clock.now() + SLICE_NS

    async def _invoke(self) -> Settled:
        """Awaits a handler that needs more than a call: a context, a generator, a limit, a timeout."""
        seat, activation, now = self.seat, self.activation, self._clock.now
        number, attempt, machine = activation[0], activation[5], seat.course.machine
        began = now()
        if self.unwanted is not None or machine.running.get(number) is not activation:
            self.unwanted = None
            return Settled(number, attempt, began, began, 0, stopped=True)
        skip = machine.fan_outs.yields_of(number) if activation[1].is_generator else 0
        if activation[1].is_async:
            outcome = await seat.invoker.awaited(activation, skip)
        else:
            outcome = seat.invoker(activation, skip)
        if outcome.error is not None:
            return self._raised(outcome.error, began)._replace(measured=outcome.measured)
        emissions, _, more, measured = outcome
        return Settled(number, attempt, began, now(), 0, emissions, None, more, measured=measured)

    def _raised(self, error: BaseException, began: int) -> Settled:
        """The fact that a handler raised, or that it was cancelled because nobody wanted its outcome."""
        activation, ended = self.activation, self._clock.now()
        number, attempt = activation[0], activation[5]
        unwanted, self.unwanted = self.unwanted, None
        if isinstance(error, asyncio.CancelledError):
            if unwanted is activation:
                self._uncancel()
                return Settled(number, attempt, began, ended, 0, stopped=True)
            cancelled = HandlerCancelledError(
                f"Flow {self.seat.course.origin.flow_id!r}, routine {activation[1].routine_id!r}: its handler was "
                "cancelled by something it awaits, or because its event loop ends. Catch CancelledError where that is "
                "meant."
            )
            cancelled.__cause__ = error
            error = cancelled
        return Settled(number, attempt, began, ended, 0, (), error)

    def _uncancel(self) -> None:
        """Takes a cancellation back that has been heeded, so that the task can go on with something else."""
        if self.task is not None:
            self.task.uncancel()
