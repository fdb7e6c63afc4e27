"""Handlers on an event loop: coroutines that wait side by side.

As many runners as there are attempts under way, each a task: it awaits a handler, settles what came of it, and goes
straight on with what follows, as a worker thread does. The loop is the caller's, or one on a thread of its own.

Where coroutines are all there is, the loop keeps the engine's turn: as only one of its tasks runs at a time, nothing
but the machine stands between two handlers. A runner cannot know whether a handler will wait, so before it begins one
while others are ready, it has the loop see to those as soon as it can.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import Any

from routilux.course import BATCH
from routilux.drivers.loop_thread import LoopThread
from routilux.drivers.port import Abilities, Following, LocalDriver, LocalHost, Seat, Stopping
from routilux.drivers.steps import Steps
from routilux.errors import HandlerCancelledError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.ports import Clock
from routilux.settings import Settings

logger = logging.getLogger("routilux")

WORKERS = 1000
"""How many handlers wait side by side where nobody says it."""

SLICE_NS = 10_000_000
"""After so long a runner that never waits lets others have the loop."""

def new_driver(
    host: LocalHost, clock: Clock, settings: Settings, name: str, loop: asyncio.AbstractEventLoop | None
) -> AsyncioDriver:
    """The driver as the settings want it; on `loop`, or else on one of its own."""
    return AsyncioDriver(host, clock, settings.workers_of(ExecutionMode.ASYNCIO), name, loop)


class Runner:
    """One task of the loop, and what it is at."""

    __slots__ = ("activation", "begun", "seat", "task", "unwanted")

    def __init__(self, seat: Seat, activation: Activation) -> None:
        self.seat = seat
        self.activation = activation
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.unwanted: Activation | None = None
        """The attempt that it is cancelled for."""


class AsyncioDriver(LocalDriver):
    """Up to so many coroutines on one loop."""

    mode = ExecutionMode.ASYNCIO
    abilities = Abilities(stops=True, same_memory=True)

    def __init__(
        self,
        host: LocalHost,
        clock: Clock,
        max_workers: int | None,
        name: str,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`loop` runs already and is the caller's; without it, one is started when it is first needed."""
        self._host = host
        self._clock = clock
        self._capacity = max_workers or WORKERS
        self._own = LoopThread(f"{name}-loop") if loop is None else None
        self._loop = loop
        self.ident = None if loop is None else threading.get_ident()
        self._busy = 0
        self._starting: deque[tuple[Seat, Activation]] = deque()
        self._unwanted: deque[Activation] = deque()
        self._runners: set[Runner] = set()
        self._relieving = False
        """Whether somebody will see to what is ready as soon as the runner that is at it waits."""

    @property
    def workers(self) -> int:
        return self._capacity

    @property
    def free(self) -> int:
        return self._capacity - self._busy

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        self._busy += 1
        if threading.get_ident() == self.ident:
            self._spawn(seat, activation)
            return
        self._starting.append((seat, activation))
        if len(self._starting) == 1:
            self._there().call_soon_threadsafe(self._spawn_all)

    def claim(self) -> None:
        self._busy += 1

    def release(self, seat: Seat, outcome: Settled | None) -> None:
        self._busy -= 1

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        self._unwanted.append(activation)
        if len(self._unwanted) == 1:
            self._there().call_soon_threadsafe(self._cancel)
        return Stopping.ASKED

    def forget(self, seat: Seat) -> None:
        for generator in seat.invoker.take_async_generators():
            self._there().call_soon_threadsafe(_close_soon, generator)

    def close(self, *, wait: bool = True) -> None:
        if self._own is not None:
            self._own.close(wait=wait)

    def _there(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            assert self._own is not None
            self._loop = self._own.loop
            self.ident = self._own.ident
        return self._loop

    def _wake(self) -> None:
        """Has the loop look at what was told."""
        self._there().call_soon_threadsafe(self._host.look_at_all)

    def _spawn(self, seat: Seat, activation: Activation) -> None:
        """On the loop: gives an attempt a task."""
        runner = Runner(seat, activation)
        self._runners.add(runner)
        steps = Steps(self._run(runner), runner, self._clock)
        runner.task = self._there().create_task(steps, context=seat.context.copy())

    def _spawn_all(self) -> None:
        """On the loop: gives each attempt that was started elsewhere a task."""
        while self._starting:
            self._spawn(*self._starting.popleft())

    def _cancel(self) -> None:
        """On the loop: cancels the tasks whose attempts nobody wants any more."""
        at = {id(runner.activation): runner for runner in self._runners}
        while self._unwanted:
            activation = self._unwanted.popleft()
            runner = at.get(id(activation))
            if runner is not None and runner.task is not None and runner.unwanted is None:
                runner.unwanted = activation
                if runner.begun:
                    runner.task.cancel()

    def _relieve(self) -> None:
        """On the loop, when a runner waits or is done: starts what it left."""
        self._relieving = False
        self._host.look_at_all()

    async def _run(self, runner: Runner) -> None:
        """Awaits handlers, one after another, for as long as one follows directly on the other."""
        seat, runner.begun = runner.seat, True
        following: Following = (seat, runner.activation)
        try:
            while following is not None and following[0] is seat:
                runner.activation = activation = following[1]
                if activation[1].plain and runner.unwanted is None and self._host.keep(seat, self._wake):
                    following = await self._burst(runner)
                else:
                    following = self._host.settled(self, seat, await self._invoke(runner))
                if following is not None:
                    runner.activation = following[1]
                    await self._pause(runner)
        finally:
            self._runners.discard(runner)
        if following is not None:
            self._spawn(*following)

    async def _burst(self, runner: Runner) -> Following:
        """With the turn kept by the loop: awaits plain handlers one after another, while nothing else wants attention.

        The hot path: what it does for one activation is all that stands between two handlers.
        """
        seat, host, now = runner.seat, self._host, self._clock.now
        machine, activation = seat.course.machine, runner.activation
        running, ready, settled, timers = machine.running, machine.ready, machine.settled, machine.timers.heap
        slice_end = 0
        while True:
            station = activation[1]
            began = now()
            slice_end = slice_end or began + SLICE_NS
            try:
                value = station.call(*activation[2])
                if station.is_async:
                    value = await value
            except BaseException as error:
                return host.settled(self, seat, self._raised(runner, error, began))
            ended = now()
            if not host.kept or machine.end is not None:
                return host.returned(self, seat, activation, value, began, ended, 0)
            del running[activation[0]]
            settled(activation, value, began, ended)
            unusual = host.inbox or timers or machine.suspended or machine.paused or self._busy >= self._capacity
            if not ready and running and not unusual:
                self._busy -= 1
                if len(machine.ledger.records) >= BATCH:
                    seat.course.read()
                return None
            if not ready or ended > slice_end or not ready[0][1].plain:
                return host.let_go(self, seat)
            if unusual and host.wants_attention(self, seat):
                return host.let_go(self, seat)
            runner.activation = activation = ready.popleft()
            running[activation[0]] = activation
            if ready and not self._relieving:
                self._relieving = True
                self._there().call_soon(self._relieve)

    async def _pause(self, runner: Runner) -> None:
        """Lets others have the loop; a cancellation that comes meanwhile is for what follows."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if runner.unwanted is None:
                raise
            _uncancel(runner)

    async def _invoke(self, runner: Runner) -> Settled:
        """Awaits a handler that needs more than a call: a context, a generator, a limit, a timeout."""
        seat, activation, now = runner.seat, runner.activation, self._clock.now
        number, attempt, machine = activation[0], activation[5], seat.course.machine
        began = now()
        if runner.unwanted is not None or machine.running.get(number) is not activation:
            runner.unwanted = None
            return Settled(number, attempt, began, began, 0, stopped=True)
        skip = machine.fan_outs.yields_of(number) if activation[1].is_generator else 0
        if activation[1].is_async:
            emissions, error, more = await seat.invoker.awaited(activation, skip)
        else:
            emissions, error, more = seat.invoker(activation, skip)
        if error is not None:
            return self._raised(runner, error, began)
        return Settled(number, attempt, began, now(), 0, emissions, None, more)

    def _raised(self, runner: Runner, error: BaseException, began: int) -> Settled:
        """The fact that a handler raised, or that it was cancelled because nobody wanted its outcome."""
        activation, ended = runner.activation, self._clock.now()
        number, attempt = activation[0], activation[5]
        unwanted, runner.unwanted = runner.unwanted, None
        if isinstance(error, asyncio.CancelledError):
            if unwanted is activation:
                _uncancel(runner)
                return Settled(number, attempt, began, ended, 0, stopped=True)
            cancelled = HandlerCancelledError(
                f"Flow {runner.seat.course.origin.flow_id!r}, routine {activation[1].routine_id!r}: its handler was "
                "cancelled by something it awaits, or because its event loop ends. Catch CancelledError where that is "
                "meant."
            )
            cancelled.__cause__ = error
            error = cancelled
        return Settled(number, attempt, began, ended, 0, (), error)


def _uncancel(runner: Runner) -> None:
    """Takes a cancellation back that has been heeded, so that the task can go on with something else."""
    if runner.task is not None:
        runner.task.uncancel()


def _close_soon(generator: Any) -> None:
    """On the loop: closes an async generator; what that raises is logged, since its job is over."""
    task = asyncio.ensure_future(generator.aclose())
    task.add_done_callback(_say)


def _say(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("An async generator raised when it was closed after its job.", exc_info=task.exception())
