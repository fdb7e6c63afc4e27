"""Jobs inside the event loop of whoever awaits them: nothing of ours runs on a thread unless a routine asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from routilux.course import Course
from routilux.crew import Crew
from routilux.drivers.loop_thread import told
from routilux.drivers.port import Seat
from routilux.drivers.runner import Runner
from routilux.engine import Engine
from routilux.facts import Rang, Started
from routilux.modes import INTERRUPT_GRACE, Mode, is_inside, self_wait
from routilux.ports import Alarms, Clock
from routilux.settings import Settings


class LoopAlarms(Alarms[Seat]):
    """Rings from the event loop that the jobs are awaited in, until that is closed."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = engine
        self._clock = clock
        self._handles: dict[Seat, asyncio.TimerHandle] = {}

    def wake_at(self, due: int, sleeper: Seat) -> None:
        told(self._loop, self._set, due, sleeper)

    def finished(self, sleeper: Seat) -> None:
        if sleeper.alarm is not None:
            told(self._loop, self._forget, sleeper)

    def close(self) -> None:
        """Nothing waits once the jobs are over."""

    def _set(self, due: int, sleeper: Seat) -> None:
        self._forget(sleeper)
        if not sleeper.told:
            delay = max(0, due - self._clock.now()) / 1e9
            self._handles[sleeper] = self._loop.call_later(delay, self._ring, due, sleeper)

    def _ring(self, due: int, sleeper: Seat) -> None:
        if self._clock.now() < due:
            self._set(due, sleeper)
            return
        del self._handles[sleeper]
        self._engine.post(sleeper, Rang(self._clock.now()))

    def _forget(self, sleeper: Seat) -> None:
        handle = self._handles.pop(sleeper, None)
        if handle is not None:
            handle.cancel()


class LoopFlag:
    """An event of a loop that any thread may set."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Lets the one who waits go on; where the loop is closed, nobody does."""
        with contextlib.suppress(RuntimeError):
            if threading.get_ident() == self._ident:
                self._event.set()
            else:
                self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Waits until it is set, and unsets it."""
        await self._event.wait()
        self._event.clear()


async def finished(course: Course, timeout: float | None = None) -> bool:
    """Waits until a job is over, at most `timeout` seconds; says whether it is. Not for the job's own handlers."""
    task = asyncio.current_task()
    runner = None if task is None else task.get_coro()
    inside = runner.course is course if isinstance(runner, Runner) else is_inside(course)
    if inside and not course.finished.is_set():
        raise self_wait(course)
    flag = LoopFlag()
    course.when_finished.append(lambda _: flag.set())
    if not course.finished.is_set():
        try:
            async with asyncio.timeout(timeout):
                await flag.wait()
        except TimeoutError:
            return False
    return True


async def run(mode: Mode, first: Started) -> None:
    """Runs a job to its end; if the task that awaits it is cancelled, so is the job, and its handlers."""
    over = LoopFlag()
    mode.course.when_finished.append(lambda _: over.set())
    mode.begin(first)
    try:
        if not mode.course.finished.is_set():
            await over.wait()
    except asyncio.CancelledError:
        mode.cancel("the task that awaited it was cancelled")
        await finished(mode.course, INTERRUPT_GRACE)
        raise
    finally:
        await close(mode.own_engine)


async def close(engine: Engine | None) -> None:
    """Ends the workers of an engine without keeping the event loop, once what was cancelled on it has ended."""
    if engine is not None:
        tasks = [task for task in engine.crew.tasks if task is not asyncio.current_task()]
        if tasks:
            await asyncio.wait(tasks, timeout=INTERRUPT_GRACE)
        if engine.crew.only_coroutines:
            engine.close()
        else:
            await asyncio.to_thread(engine.close)


def new_engine(kind: type[Engine], settings: Settings, clock: Clock, name: str) -> Engine:
    """An engine whose coroutines run on the event loop that runs now."""
    return kind(Crew(settings, clock, name, asyncio.get_running_loop()), lambda one: LoopAlarms(one, clock), clock)
