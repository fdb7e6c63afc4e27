"""Handlers on an event loop: coroutines that wait side by side.

There are as many runners as attempts under way, each a task. The loop is the caller's, or one on a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Task
from collections import deque
from collections.abc import Sequence
from threading import get_ident
from typing import Any

from routilux.drivers.loop_port import LoopDriver
from routilux.drivers.loop_thread import LoopThread, told
from routilux.drivers.port import Abilities, LocalHost, Seat, Stopping
from routilux.drivers.runner import Runner
from routilux.execution_mode import ExecutionMode
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.ports import Clock

logger = logging.getLogger("routilux")

WORKERS = 1000
"""How many handlers wait side by side where nobody says it."""


class AsyncioDriver(LoopDriver):
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
        self.host = host
        self.now = clock.now
        self.workers = max_workers or WORKERS
        self._own = LoopThread(f"{name}-loop") if loop is None else None
        self._loop = loop
        self.ident = None if loop is None else get_ident()
        self.busy = 0
        self._starting: deque[tuple[Seat, Activation]] = deque()
        self._unwanted: deque[Activation] = deque()
        self._runners: set[Runner] = set()
        self.leave = self._runners.discard
        self._closing: set[asyncio.Future[None]] = set()
        """Async generators of jobs that are over."""
        self._relieved: list[Seat] = []
        """The jobs whose runner may be about to wait: what is ready of them is to be started then."""
        self.slice_ends = 0
        self.yields = set()

    @property
    def free(self) -> int:
        return self.workers - self.busy

    @property
    def tasks(self) -> Sequence[asyncio.Future[None]]:
        return [*(runner.task for runner in self._runners if runner.task is not None), *self._closing]

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        self.busy += 1
        if get_ident() == self.ident:
            self.spawn(seat, activation)
            return
        self._starting.append((seat, activation))
        if len(self._starting) == 1:
            try:
                self._there().call_soon_threadsafe(self._spawn_all)
            except RuntimeError:
                self._starting.pop()
                self.busy -= 1
                raise

    def claim(self) -> None:
        self.busy += 1

    def release(self, seat: Seat, outcome: Settled | None) -> None:
        self.busy -= 1

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        self._unwanted.append(activation)
        if len(self._unwanted) == 1 and not told(self._there(), self._cancel):
            self._unwanted.clear()
            return Stopping.STOPPED
        return Stopping.ASKED

    def forget(self, seat: Seat) -> None:
        for generator in seat.invoker.take_async_generators():
            told(self._there(), self._close_soon, generator)

    def close(self, *, wait: bool = True) -> None:
        if self._own is not None:
            self._own.close(wait=wait)

    def _there(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            assert self._own is not None
            self._loop = self._own.loop
            self.ident = self._own.ident
        return self._loop

    def wake(self) -> None:
        """Has the loop look at what was told."""
        told(self._there(), self.host.look_at_all)

    def spawn(self, seat: Seat, activation: Activation) -> None:
        """On the loop: gives an attempt a task."""
        runner = Runner(self, seat, activation)
        self._runners.add(runner)
        loop, name = self._loop or self._there(), activation[1].routine_id
        # Not by the loop's `create_task`, whose factory may be eager: it would step the task within the engine's turn.
        runner.task = Task(runner, loop=loop, name=name, context=seat.context.copy())

    def _spawn_all(self) -> None:
        """On the loop: gives each attempt that was started elsewhere a task."""
        while self._starting:
            self.spawn(*self._starting.popleft())

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

    def relieve(self, seat: Seat) -> None:
        if not self._relieved:
            self._there().call_soon(self._start_rest)
        self._relieved.append(seat)
        seat.relieved = True

    def yield_once(self, seat: Seat) -> None:
        if seat.relieved:
            seat.relieved = False
            self._relieved.remove(seat)
        if not self.yields:
            self._there().call_soon(self.yields.clear)
        self.yields.add(seat)

    def _close_soon(self, generator: Any) -> None:
        """On the loop: closes an async generator; what that raises is logged, since its job is over."""
        task = asyncio.ensure_future(generator.aclose())
        task.add_done_callback(_say)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _start_rest(self) -> None:
        if self._relieved:
            for seat in self._relieved:
                seat.relieved = False
            self._relieved.clear()
            self.host.look_at_all()


def _say(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("An async generator raised when it was closed after its job.", exc_info=task.exception())
