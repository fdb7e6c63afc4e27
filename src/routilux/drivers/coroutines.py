"""Handlers on an event loop: coroutines that wait side by side.

As many runners as there are attempts under way, each a task: it awaits a handler, settles what came of it, and goes
straight on with what follows, as a worker thread does. The loop is the caller's, or one on a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any

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

GRACE = 5.0
"""Seconds that handlers which were cancelled may take to end when their loop closes."""


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
        """The attempt that it was cancelled for."""


class LoopThread:
    """An event loop on a thread of its own, which starts when it is first needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; it runs."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop

    @property
    def ident(self) -> int | None:
        """The identity of its thread."""
        return None if self._thread is None else self._thread.ident

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine to its end while the calling thread waits."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self, *, wait: bool = True) -> None:
        """Ends the loop, and its thread."""
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            if wait and self._thread is not threading.current_thread():
                self._thread.join()

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=GRACE))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


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
        self._unwanted: deque[tuple[Seat, Activation]] = deque()
        self._runners: set[Runner] = set()

    @property
    def workers(self) -> int:
        return self._capacity

    @property
    def free(self) -> int:
        return self._capacity - self._busy

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        self._busy += 1
        self._starting.append((seat, activation))
        if threading.get_ident() == self.ident:
            self._spawn()
        elif len(self._starting) == 1:
            self._there().call_soon_threadsafe(self._spawn)

    def claim(self) -> None:
        self._busy += 1

    def release(self, seat: Seat, outcome: Settled | None) -> None:
        self._busy -= 1

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        self._unwanted.append((seat, activation))
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

    def _spawn(self) -> None:
        """On the loop: gives each attempt that was started a task."""
        loop = self._there()
        while self._starting:
            seat, activation = self._starting.popleft()
            runner = Runner(seat, activation)
            steps = Steps(self._run(runner), runner, self._clock)
            runner.task = loop.create_task(steps, context=seat.context.copy())
            self._runners.add(runner)

    def _cancel(self) -> None:
        """On the loop: cancels the tasks whose attempts nobody wants any more."""
        at = {(id(runner.seat), runner.activation[0], runner.activation[5]): runner for runner in self._runners}
        while self._unwanted:
            seat, activation = self._unwanted.popleft()
            runner = at.get((id(seat), activation[0], activation[5]))
            if runner is not None and runner.unwanted is None:
                runner.unwanted = runner.activation
                if runner.begun and runner.task is not None:
                    runner.task.cancel()

    async def _run(self, runner: Runner) -> None:
        """Awaits handlers, one after another, for as long as one follows directly on the other."""
        host, now, seat = self._host, self._clock.now, runner.seat
        runner.begun = True
        slice_end = now() + SLICE_NS
        following: Following = (seat, runner.activation)
        try:
            while following is not None and following[0] is seat:
                runner.activation = activation = following[1]
                station = activation[1]
                if station.plain and runner.unwanted is None:
                    began = now()
                    try:
                        value = station.call(*activation[2])
                        if station.is_async:
                            value = await value
                    except BaseException as error:
                        outcome = self._raised(runner, error, began)
                    else:
                        ended = now()
                        following = host.returned(self, seat, activation, value, began, ended, 0)
                        if ended > slice_end and following is not None:
                            await self._pause(runner, following)
                            slice_end = now() + SLICE_NS
                        continue
                else:
                    outcome = await self._invoke(runner)
                following = host.settled(self, seat, outcome)
        finally:
            self._runners.discard(runner)
        if following is not None:
            self._starting.append(following)
            self._spawn()

    async def _pause(self, runner: Runner, following: tuple[Seat, Activation]) -> None:
        """Lets others have the loop; a cancellation that comes meanwhile is for what follows."""
        runner.activation = following[1]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if runner.unwanted is None:
                raise
            _uncancel(runner)

    async def _invoke(self, runner: Runner) -> Settled:
        """Runs an activation that needs more than a call: a context, a generator, a limit, a timeout."""
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
        number, attempt, ended = runner.activation[0], runner.activation[5], self._clock.now()
        if isinstance(error, asyncio.CancelledError):
            if runner.unwanted is runner.activation:
                _uncancel(runner)
                runner.unwanted = None
                return Settled(number, attempt, began, ended, 0, stopped=True)
            cancelled = HandlerCancelledError(
                f"Flow {runner.seat.course.origin.flow_id!r}, routine {runner.activation[1].routine_id!r}: its handler "
                "was cancelled by something it awaits, or because its event loop ends. Catch CancelledError where that "
                "is meant."
            )
            cancelled.__cause__ = error
            return Settled(number, attempt, began, ended, 0, (), cancelled)
        runner.unwanted = None
        return Settled(number, attempt, began, ended, 0, (), error)


def _uncancel(runner: Runner) -> None:
    """Takes a cancellation back that has been heeded, so that the task can go on with something else."""
    if runner.task is not None:
        runner.task.uncancel()


def _close_soon(generator: Any) -> None:
    """On the loop: closes an async generator; what that raises is logged, since its job is over."""
    task = asyncio.ensure_future(generator.aclose())
    task.add_done_callback(_report)


def _report(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("An async generator raised when it was closed after its job.", exc_info=task.exception())
