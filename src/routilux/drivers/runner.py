"""A runner: one task of an event loop, which awaits handlers.

It awaits one, settles what came of it, and goes straight on with what follows, as a worker thread does. Where
coroutines are all there is, the loop keeps the engine's turn: as only one of its tasks runs at a time, nothing but the
machine stands between two handlers. A runner cannot know whether a handler will wait, so before it begins one while
others are ready, it has the loop see to those as soon as it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType, GeneratorType
from typing import Any

from routilux.course import BATCH, Course
from routilux.drivers.at_hand import at_hand
from routilux.drivers.invoke import cancelled_by_itself
from routilux.drivers.loop_port import LEAST_NS, SLICE_NS, LoopDriver
from routilux.drivers.port import Following, Seat
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.machine.machine import PLAINLY

logger = logging.getLogger("routilux")

BLOCKED_NS = 100_000_000
"""A step that takes longer is reported: nothing else on the loop could run."""


OVER: Any = object()
"""What no coroutine waits for."""


class Runner(Coroutine[Any, Any, None]):
    """One task's coroutine, and what it is at.

    A task cannot be asked how long its steps take, from one wait to the next, and a coroutine can be stepped by
    anybody; so the task steps this, which steps another and looks at the clock. Most runners are for one plain handler
    and no more: that they step themselves, which saves a coroutine. For all else there is `_run`.
    """

    __slots__ = (
        "_began",
        "_driver",
        "_first",
        "_least",
        "_now",
        "_seat",
        "_since",
        "_whole",
        "activation",
        "begun",
        "task",
        "unwanted",
    )

    _since: int
    """When it went on with the handler that it is at."""
    _least: int
    """Until when it may go on, whether or not the slice of all is over."""
    _began: int
    """When it began its first."""

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
        self._whole: Coroutine[Any, Any, Any] | None = None
        """What it steps."""
        self._first = False
        """Whether that is its first handler itself."""

    def send(self, value: Any) -> Any:
        now, driver = self._now, self._driver
        self._since = began = now()
        if began > driver.slice_ends and not driver.yields:
            driver.slice_ends = began + SLICE_NS
        self._least = began + LEAST_NS
        try:
            waits_for = (self._whole or self._begin()).send(value)
        except BaseException as error:
            if not self._first:
                raise
            waits_for = self._leave_first(error)
        if waits_for is OVER:
            raise StopIteration
        if now() - self._since > BLOCKED_NS:
            self._report()
        return waits_for

    def throw(self, *error: Any) -> Any:
        if self._whole is None:
            raise error[0]
        self._since = now = self._now()
        self._least = now + LEAST_NS
        try:
            waits_for = self._whole.throw(*error)
        except BaseException as raised:
            if not self._first:
                raise
            waits_for = self._leave_first(raised)
        if waits_for is OVER:
            raise StopIteration
        if self._now() - self._since > BLOCKED_NS:
            self._report()
        return waits_for

    def close(self) -> None:
        if self._whole is not None:
            self._whole.close()

    def __await__(self) -> Generator[Any, None, None]:
        return self._run().__await__()

    @property
    def course(self) -> Course:
        """The job whose handlers it awaits."""
        return self._seat.course

    def _begin(self) -> Coroutine[Any, Any, Any]:
        """Gives what is stepped: the handler itself, if it is a plain coroutine and nothing more is to be seen to."""
        seat, driver, activation, self.begun = self._seat, self._driver, self.activation, True
        if seat.at_hand is None:
            seat.at_hand = at_hand(seat.course)
        station, host = activation[1], driver.host
        is_easy = station.plain and station.is_async and self.unwanted is None and not seat.at_hand[0].streaming
        if not (is_easy and (host.kept or host.keep(driver.wake))):
            self._whole = self._run()
            return self._whole
        self._began, self._first = self._since, True
        called = station.call(*activation[2])
        self._whole = called if type(called) is CoroutineType else _awaited(called)
        return self._whole

    def _leave_first(self, error: BaseException) -> Any:
        """Settles its first handler, which has ended with an error or `StopIteration`, and goes on with what follows.

        Gives what that waits for. The hot path, written out: for most runners nothing follows.
        """
        self._first = False
        seat, driver, activation, began = self._seat, self._driver, self.activation, self._began
        assert seat.at_hand is not None
        machine, running, ready, timers, suspended, records, _, _, _ = seat.at_hand
        host = driver.host
        ended = self._now()
        if type(error) is not StopIteration:
            following = host.settled(driver, seat, self._raised(error, began))
        elif not host.kept or machine.end is not None:
            following = host.returned(driver, seat, activation, error.value, began, ended, 0)
        else:
            del running[activation[0]]
            machine.settled(activation, error.value, began, ended)
            unusual = host.inbox or timers or suspended or machine.paused or driver.busy >= driver.workers
            lets_go = unusual and host.wants_attention(driver, seat)
            is_last = running and len(records) < BATCH and ended - self._since < BLOCKED_NS
            if is_last and not (ready or lets_go):
                driver.busy -= 1
                self._is_through()
                return OVER
            following = self._let_go()
        if not self._takes(following, ended):
            return OVER
        self._whole = self._run()
        try:
            return self._whole.send(None)
        except StopIteration:
            return OVER

    async def _run(self) -> None:
        """Awaits handlers, one after another, for as long as one follows directly on the other."""
        # The hot path: `Machine.settled` is written out for the value that is handed to one successor.
        seat, driver, host, now = self._seat, self._driver, self._driver.host, self._now
        inbox, workers = host.inbox, driver.workers
        machine, running, ready, timers, suspended, records, delivery, job_id, limit = seat.at_hand or at_hand(
            seat.course
        )
        following: Following = None
        while True:
            if self._since > self._least and self._since > driver.slice_ends:
                await self._pause()
            activation = self.activation
            is_easy = activation[1].plain and self.unwanted is None and not machine.streaming and machine.end is None
            if not (is_easy and (host.kept or host.keep(driver.wake))):
                outcome = await self._invoke()
                if self._takes(host.settled(driver, seat, outcome), outcome.ended):
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
                lets_go = ended > self._least and ended > driver.slice_ends
                lets_go = lets_go or (unusual and host.wants_attention(driver, seat))
                if not (ready or lets_go) and running and len(records) < BATCH:
                    driver.busy -= 1
                    following = None
                    break
                if lets_go or not (ready and ready[0][1].plain):
                    following = self._let_go()
                    break
                self.activation = activation = ready.popleft()
                running[activation[0]] = activation
                if ready and not seat.relieved:
                    driver.relieve(seat)
            if not self._takes(following, ended):
                return

    def _let_go(self) -> Following:
        """With the turn kept, gives what this runner does next, which is not simply what is ready.

        Where only the slice is over, nothing else is started: what is ready never waits either, for all that is known.
        """
        seat, driver, host = self._seat, self._driver, self._driver.host
        assert seat.at_hand is not None
        machine, running, ready, timers, suspended, records, _, _, _ = seat.at_hand
        unusual = host.inbox or timers or suspended or machine.paused or driver.busy >= driver.workers
        if (unusual and host.wants_attention(driver, seat)) or not (ready and ready[0][1].plain):
            return host.let_go(driver, seat)
        if len(records) >= BATCH:
            seat.course.read()
        if seat in driver.yields:  # another runner goes on with what is ready
            driver.busy -= 1
            return None
        activation = ready.popleft()
        running[activation[0]] = activation
        return seat, activation

    def _takes(self, following: Following, ended: int) -> bool:
        """Whether what follows is of the same job, so that this runner goes on with it; another gets its own.

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
        return True

    def _is_through(self) -> None:
        """It awaits nothing more."""
        self._driver.leave(self)
        self.task = None

    async def _pause(self) -> None:
        """Lets others have the loop; a cancellation that comes meanwhile is for what follows."""
        self._driver.yield_once(self._seat)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self.unwanted is None:
                raise
            self._uncancel()
        if self._driver.host.kept and self._seat.course.machine.ready and not self._seat.relieved:
            self._driver.relieve(self._seat)

    async def _invoke(self) -> Settled:
        """Awaits a handler that needs more than a call: a context, a generator, a limit, a timeout."""
        seat, activation, now = self._seat, self.activation, self._now
        number, attempt, machine = activation[0], activation[5], seat.course.machine
        began = now()
        if self.unwanted is not None or machine.end is not None or machine.running.get(number) is not activation:
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


async def _awaited(called: Awaitable[Any]) -> Any:
    """What a handler gave that is to be awaited, though it is no coroutine."""
    return await called
