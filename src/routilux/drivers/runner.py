"""A runner: one task of an event loop, which awaits handlers.

It awaits one, settles what came of it, and goes straight on with what follows, as a worker thread does. Where
coroutines are all there is, the loop keeps the engine's turn: as only one of its tasks runs at a time, nothing but the
machine stands between two handlers. A runner cannot know whether a handler will wait, so before it begins one while
others are ready, it has the loop see to those as soon as it does.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType, GeneratorType
from typing import Any

from routilux.course import BATCH
from routilux.drivers.at_hand import at_hand
from routilux.drivers.invoke import cancelled_by_itself
from routilux.drivers.port import Following, LocalDriver, LocalHost, Seat
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.machine.machine import PLAINLY

logger = logging.getLogger("routilux")

SLICE_NS = 10_000_000
"""After so long a runner that never waits lets others have the loop."""

BLOCKED_NS = 100_000_000
"""A step that takes longer is reported: nothing else on the loop could run."""


class LoopDriver(LocalDriver):
    """What a runner needs of its driver; called on the loop."""

    host: LocalHost
    now: Callable[[], int]
    """The clock's moment."""
    busy: int
    """How many runners are at something."""
    runners: set[Runner]
    relieved: bool
    """Whether `relieve` was called and has not taken effect yet."""

    @abstractmethod
    def spawn(self, seat: Seat, activation: Activation) -> None:
        """Gives an attempt a runner of its own."""

    @abstractmethod
    def relieve(self) -> None:
        """Has what is ready started as soon as the runner that asks waits for something."""

    @abstractmethod
    def wake(self) -> None:
        """Has the loop look at what was told; from any thread."""


class Runner(Coroutine[Any, Any, None]):
    """One task's coroutine, and what it is at.

    A task cannot be asked how long its steps take, from one wait to the next, and a coroutine can be stepped by
    anybody; so the task steps this, which steps `_run` and looks at the clock.
    """

    __slots__ = (
        "_driver",
        "_now",
        "_seat",
        "_since",
        "_stepped",
        "_whole",
        "activation",
        "begun",
        "task",
        "unwanted",
    )

    _stepped: int
    """When the step under way began."""
    _since: int
    """When it went on with the handler that it is at."""

    def __init__(self, driver: LoopDriver, seat: Seat, activation: Activation) -> None:
        self._driver = driver
        self._now = driver.now
        self._seat = seat
        self.activation = activation
        self.task: asyncio.Task[None] | None = None
        """Until it is through, so that no collector is needed to part them."""
        self.begun = False
        self.unwanted: Activation | None = None
        """The attempt that it is cancelled for."""
        self._whole = self._run()

    def send(self, value: Any) -> Any:
        now = self._now
        self._since = self._stepped = now()
        waits_for = self._whole.send(value)
        if now() - self._since > BLOCKED_NS:
            self._report()
        return waits_for

    def throw(self, *error: Any) -> Any:
        self._since = self._stepped = self._now()
        waits_for = self._whole.throw(*error)
        if self._now() - self._since > BLOCKED_NS:
            self._report()
        return waits_for

    def close(self) -> None:
        self._whole.close()

    def __await__(self) -> Generator[Any, None, None]:
        return self._whole.__await__()

    async def _run(self) -> None:
        """Awaits handlers, one after another, for as long as one follows directly on the other.

        The hot path has `Machine.settled` written out for the value that is handed to one successor.
        """
        seat, driver, host, now = self._seat, self._driver, self._driver.host, self._now
        inbox, workers, self.begun = host.inbox, driver.workers, True
        if seat.at_hand is None:
            seat.at_hand = at_hand(seat.course)
        machine, running, ready, timers, suspended, records, delivery, job_id, limit = seat.at_hand
        following: Following = None
        while True:
            activation = self.activation
            is_easy = activation[1].plain and self.unwanted is None and not machine.streaming
            if not (is_easy and (host.kept or host.keep(driver.wake))):
                outcome = await self._invoke()
                if await self._goes_on(host.settled(driver, seat, outcome), outcome.ended):
                    continue
                return
            while True:
                station, began = activation[1], now()
                try:
                    value = station.call(*activation[2])
                    if station.is_async:
                        value = await value
                except BaseException as error:
                    outcome = self._raised(error, began)
                    ended, following = outcome.ended, host.settled(driver, seat, outcome)
                    break
                ended = now()
                if not host.kept or machine.end is not None:
                    following = host.returned(driver, seat, activation, value, began, ended, 0)
                    break
                number, _, _, cause, fired, attempt, _ = activation
                del running[number]
                kind, successor = type(value), station.successor if value is not None else None
                if successor is None or kind is GeneratorType or kind is CoroutineType or delivery.fired >= limit:
                    machine.settled(activation, value, began, ended)
                else:
                    delivery.fired = follower = delivery.fired + 1
                    ready.append((follower, successor, (value,), number, ended, 1, None))
                    record = job_id, number, station.routine_id, attempt, PLAINLY, cause, fired, began, ended, 0, None
                    records.append(record)
                unusual = inbox or timers or suspended or machine.paused or driver.busy >= workers
                lets_go = ended - self._stepped > SLICE_NS or (unusual and host.wants_attention(driver, seat))
                if not (ready or lets_go) and running and len(records) < BATCH:
                    if ended - self._since > BLOCKED_NS:
                        self._report()
                    driver.busy -= 1
                    self._is_through()
                    return
                if lets_go or not (ready and ready[0][1].plain):
                    following = host.let_go(driver, seat)
                    break
                self.activation = activation = ready.popleft()
                running[activation[0]] = activation
                if ready and not driver.relieved:
                    driver.relieve()
            if not await self._goes_on(following, ended):
                return

    async def _goes_on(self, following: Following, ended: int) -> bool:
        """Whether this runner goes straight on with something of the same job; it lets others have the loop before.

        Since its handler `ended` it has run the engine, and for that no handler is to blame.
        """
        if ended - self._since > BLOCKED_NS:
            self._report()
        self._since = self._now()
        if following is None or following[0] is not self._seat:
            self._is_through()
            if following is not None:
                self._driver.spawn(*following)
            return False
        self.activation = following[1]
        if self._since - self._stepped > SLICE_NS:
            await self._pause()
        return True

    def _is_through(self) -> None:
        """It awaits nothing more."""
        self._driver.runners.discard(self)
        self.task = None

    async def _pause(self) -> None:
        """Lets others have the loop; a cancellation that comes meanwhile is for what follows."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self.unwanted is None:
                raise
            self._uncancel()

    async def _invoke(self) -> Settled:
        """Awaits a handler that needs more than a call: a context, a generator, a limit, a timeout."""
        seat, activation, now = self._seat, self.activation, self._now
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
        self._heeds()  # a handler may have caught it
        emissions, _, more, measured, statements = outcome
        settled = Settled(number, attempt, began, now(), 0, emissions, None, more, measured=measured)
        return settled._replace(statements=statements) if statements else settled

    def _raised(self, error: BaseException, began: int) -> Settled:
        """The fact that a handler raised, or that it was cancelled because nobody wanted its outcome."""
        activation, ended = self.activation, self._now()
        number, attempt = activation[0], activation[5]
        unwanted = self._heeds()
        if isinstance(error, asyncio.CancelledError):
            if unwanted:
                return Settled(number, attempt, began, ended, 0, stopped=True)
            error = cancelled_by_itself(self._seat.course.origin.flow_id, activation[1].routine_id, error)
        return Settled(number, attempt, began, ended, 0, (), error)

    def _heeds(self) -> bool:
        """Whether the attempt was cancelled because nobody wants it, which is then of no concern to what follows."""
        unwanted, self.unwanted = self.unwanted, None
        if unwanted is not self.activation:
            return False
        self._uncancel()
        return True

    def _uncancel(self) -> None:
        """Takes a cancellation back that has been heeded, so that the task can go on with something else."""
        if self.task is not None:
            self.task.uncancel()

    def _report(self) -> None:
        """The handler that it is at did not let others have the loop for too long."""
        logger.warning(
            "Flow %r, routine %r: its handler kept the event loop for %.0f ms, and nothing else on it could run. Await "
            "what takes long, or make it a plain function, which runs on a thread.",
            self._seat.course.origin.flow_id,
            self.activation[1].routine_id,
            (self._now() - self._since) / 1e6,
        )
