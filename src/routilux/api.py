"""`Flow`: a definition that can be executed. This is where everything is put together, and nothing is decided."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self, Unpack

from routilux import drawing
from routilux.async_stream import AsyncStream
from routilux.attendant import Attendant
from routilux.checks import Receiver, entry_receiver
from routilux.clock import SystemClock
from routilux.course import Course, Reader
from routilux.crew import Awaiting, Crew, loaded
from routilux.drivers.invoke import Invoker
from routilux.engine import Engine
from routilux.errors import EntryParamsError, FlowBusyError, SettingError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Freed, Origin, Started
from routilux.flow import FlowDefinition
from routilux.job import Job, report_stranded
from routilux.limits import Limits
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan, compile_plan
from routilux.many import MAX_JOBS, run_many
from routilux.modes import EngineMode, Mode, SequentialMode
from routilux.ports import Clock, Steering
from routilux.settings import SettingArguments, Settings
from routilux.stream import Stream
from routilux.tracking import tracker as tracking
from routilux.tracking.history import History

OWN_ENGINE = frozenset({"max_workers", "cluster", "executor", "insecure_cluster"})
"""Settings that say something of workers: a job that is given one has workers of its own."""


class Flow(FlowDefinition):
    """Routines connected to each other, and what is needed to execute them.

    One flow serves any number of jobs, also at the same time. As a context manager it keeps its workers for all
    jobs of the block; `async with` keeps them inside the event loop::

        with Flow("my_flow", execution_mode="concurrent", max_workers=4) as flow:
            ...
    """

    ExecutionTracker: ClassVar = tracking.ExecutionTracker

    def __init__(
        self,
        flow_id: str,
        *,
        limits: Mapping[str, int | str] | None = None,
        clock: Clock | None = None,
        **settings: Unpack[SettingArguments],
    ) -> None:
        """`limits` are what routines of all jobs share, by name: how many at once, or a rate as "10/s".

        The settings are those of `Settings`; each can be overridden in `execute`, `start`, `stream` and `map`.
        """
        super().__init__(flow_id, limits)
        self.settings = Settings.of(settings)
        self.execution_tracker: tracking.ExecutionTracker | None = tracking.ExecutionTracker(
            flow_id, self.settings.max_history_size, self.settings.history_ttl_seconds
        )
        self._clock = clock or SystemClock()
        self._limits = Limits(limits)
        self._plans: dict[tuple[str, frozenset[str], ExecutionMode], tuple[int, Plan, Receiver]] = {}
        self._engine: Engine | None = None
        self._loop_ident: int | None = None
        """The thread of the event loop in whose `async with` block the flow is."""
        self._running_jobs: dict[str, Job] = {}
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    def execute(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Job:
        """Runs one job and returns it finished.

        `entry` is the id of the routine to begin with, `entry_params` the first message of each of its slots.
        A failure is on the job, not raised (`job.raise_for_status()` raises it); what cannot start is.
        Ctrl-C cancels the job and is raised again.
        """
        job, mode, first = self._prepare(entry, entry_params, settings)
        mode.execute(first)
        return _answered(job, mode.course)

    async def execute_async(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Job:
        """As `execute`, inside the event loop that awaits it: coroutines of the flow run there, side by side.

        Cancelling the task that awaits cancels the job.
        """
        job, mode, first = self._prepare_awaited(entry, entry_params, settings)
        await loaded("routilux.awaited", "run")(mode, first)
        return _answered(job, mode.course)

    def start(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Job:
        """Starts one job and returns it running; the program does not end before the job does."""
        job, mode, first = self._prepare(entry, entry_params, settings)
        mode.start(first)
        return job

    def stream(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Stream:
        """Runs one job while its results are read, and holds it back when they are not; see `Stream`."""
        job, mode, first = self._prepare(entry, entry_params, settings, streaming=True)
        stream = Stream(job, mode.course, mode, first)
        self._streams.add(stream)
        return stream

    def stream_async(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> AsyncStream:
        """As `stream`, inside the event loop that reads it: `async for value in flow.stream_async(...)`."""
        job, mode, first = self._prepare_awaited(entry, entry_params, settings, streaming=True)
        return AsyncStream(job, mode.course, mode, first)

    def map(
        self,
        entry: str,
        params: Iterable[Mapping[str, Any]],
        *,
        max_jobs: int | None = None,
        progress: bool = False,
        **settings: Unpack[SettingArguments],
    ) -> Iterator[Job]:
        """Runs one job for each of `params`, and gives the jobs as they finish.

        At most `max_jobs` (32) are under way, or finished and not yet taken, and `params` are only taken as that
        allows. `progress` shows a bar in the terminal.
        """
        if max_jobs is not None and (type(max_jobs) is not int or max_jobs < 1):
            raise SettingError(f"max_jobs must be a whole number from 1, or None, not {max_jobs!r}.")
        own = self._engine is None or not OWN_ENGINE.isdisjoint(settings)

        def prepare(one: Mapping[str, Any], engine: Engine | None) -> tuple[Job, Mode, Started]:
            return self._prepare(entry, one, settings, engine=engine)

        new_engine = partial(self._new_engine, self.settings.updated(settings)) if own else None
        jobs: Iterator[Job] = run_many(prepare, params, max_jobs or MAX_JOBS, new_engine)
        return loaded("routilux.progress", "shown")(jobs, params, self.flow_id) if progress else jobs

    def check(self, entry: str, entry_params: Mapping[str, Any] | None = None) -> None:
        """Raises what `execute` would raise before it starts anything."""
        self._plan(entry, {} if entry_params is None else entry_params)

    def describe(self) -> str:
        """The flow in words, one line for each routine and connection."""
        return drawing.describe(self)

    def to_mermaid(self) -> str:
        """The flow as a Mermaid flowchart."""
        return drawing.to_mermaid(self)

    def __enter__(self) -> Self:
        self._open(self._new_engine(self.settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Waits for the jobs of the block, and ends its workers; after an exception the jobs are cancelled.

        Streams are closed: nobody would read them any more, and so they would never be over.
        """
        engine, self._engine = self._engine, None
        for stream in list(self._streams):
            stream.close()
        for job in self._leave(error):
            job.wait()
        if engine is not None:
            engine.close()

    async def __aenter__(self) -> Self:
        self._open(self._new_awaited_engine(self.settings))
        self._loop_ident = threading.get_ident()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        engine, self._engine, self._loop_ident = self._engine, None, None
        for job in self._leave(error):
            await job.wait_async()
        await loaded("routilux.awaited", "close")(engine)

    def __repr__(self) -> str:
        return f"<Flow {self.flow_id!r}: {len(self.routines)} routines, {len(self.connections)} connections>"

    def _open(self, engine: Engine) -> None:
        if self._engine is not None:
            raise FlowBusyError(f"Flow {self.flow_id!r} is open already; a `with` block cannot be nested in itself.")
        self._engine = engine

    def _leave(self, error: BaseException | None) -> list[Job]:
        """The jobs of a block that is left; cancelled, if it is left by an error."""
        jobs = list(self._running_jobs.values())
        if error is not None:
            for job in jobs:
                job.cancel(f"the flow's block was left by {type(error).__name__}")
        return jobs

    def _plan(self, entry: str, params: Mapping[str, Any], mode: ExecutionMode) -> tuple[Plan, Mapping[str, Any]]:
        """The flow compiled for params of these names and a mode, and the first messages of the entry."""
        if not isinstance(params, Mapping):
            raise EntryParamsError(
                f"Flow {self.flow_id!r}, entry {entry!r}: entry_params must be a mapping from names to values, "
                f"not {params!r}."
            )
        key = entry, frozenset(params), mode
        known = self._plans.get(key)
        if known is None or known[0] != self._version:
            receive = entry_receiver(self, entry, key[1])
            plan = compile_plan(self, entry, receive(params), mode)
            for name, rate in plan.rates.items():
                self._limits.add_rate(name, rate)
            known = self._plans[key] = self._version, plan, receive
        return known[1], known[2](params)

    def _prepare(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None,
        arguments: SettingArguments,
        *,
        streaming: bool = False,
        engine: Engine | None = None,
    ) -> tuple[Job, Mode, Started]:
        """A job that has not begun; on `engine` if one is given."""
        settings = self.settings.updated(arguments)
        planned = self._plan(entry, {} if entry_params is None else entry_params, _mode(settings))
        if planned[0].modes == {ExecutionMode.SEQUENTIAL}:
            course, first, history = self._new_course(planned, settings, 1, 1, streaming=streaming)
            awaiting = Awaiting(f"routilux-{self.flow_id}-loop")
            invoker = Invoker(self.flow_id, course.origin.job_id, course.states, course.is_over, awaiting)
            course.when_finished.append(lambda _: awaiting.close())
            sequential = SequentialMode(course, invoker, self._clock)
            return self._new_job(course, sequential, history), sequential, first
        own = engine is None and (self._engine is None or not OWN_ENGINE.isdisjoint(arguments))
        used = engine or (self._new_engine(settings) if own or self._engine is None else self._engine)
        return self._on_engine(used, planned, settings, own=own, streaming=streaming)

    def _prepare_awaited(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None,
        arguments: SettingArguments,
        *,
        streaming: bool = False,
    ) -> tuple[Job, EngineMode, Started]:
        """A job that has not begun, to be awaited in the event loop that runs."""
        settings = self.settings.updated(arguments)
        planned = self._plan(entry, {} if entry_params is None else entry_params, _mode(settings))
        engine = self._engine if OWN_ENGINE.isdisjoint(arguments) else None
        here = self._loop_ident == threading.get_ident()
        if ExecutionMode.ASYNCIO in planned[0].modes and not here:
            engine = None
        used = engine or self._new_awaited_engine(settings)
        return self._on_engine(used, planned, settings, own=engine is None, streaming=streaming)

    def _on_engine(
        self,
        engine: Engine,
        planned: tuple[Plan, Mapping[str, Any]],
        settings: Settings,
        *,
        own: bool,
        streaming: bool,
    ) -> tuple[Job, EngineMode, Started]:
        plan = planned[0]
        engine.equip(plan.modes)
        workers, window = sum(map(engine.workers, plan.modes)), settings.max_pending or engine.window(plan.modes)
        course, first, history = self._new_course(planned, settings, workers, window, streaming=streaming)
        awaiting = Awaiting(f"routilux-{self.flow_id}-loop")
        invoker = Invoker(self.flow_id, course.origin.job_id, course.states, course.is_over, awaiting)
        course.when_finished.append(lambda _: awaiting.close())
        mode = EngineMode(course, invoker, self._clock, engine, own_engine=own)
        return self._new_job(course, mode, history), mode, first

    def _new_course(
        self,
        planned: tuple[Plan, Mapping[str, Any]],
        settings: Settings,
        workers: int,
        window: int,
        *,
        streaming: bool = False,
    ) -> tuple[Course, Started, History]:
        """A job that has not begun, for whatever is to run it."""
        plan, messages = planned
        moment = self._clock.now()
        origin = Origin(os.urandom(16).hex(), self.flow_id, self._clock.epoch() - moment)
        permits = self._limits.of_job(origin.job_id)
        machine = Machine(plan, settings, origin, window, permits, streaming=streaming)
        bounds = settings.max_history_size, settings.history_ttl_seconds
        history = History(*bounds, self._clock.now, origin.epoch_offset_ns)
        tracker = self.execution_tracker
        readers: list[Reader] = [history.absorb] if tracker is None else [history.absorb, tracker.absorb]
        course = Course(machine, permits, origin, readers, moment)
        if tracker is not None:
            tracker.job_started(origin, moment, workers)
        course.when_finished.append(partial(self._finished, tracker, workers))
        return course, Started(moment, messages), history

    def _new_job(self, course: Course, steering: Steering, history: History) -> Job:
        job = Job(course, steering, history, self._clock)
        course.permits.when_freed(lambda: steering.post(Freed(self._clock.now())))
        self._running_jobs[course.origin.job_id] = job
        return job

    def _finished(self, tracker: tracking.ExecutionTracker | None, workers: int, course: Course) -> None:
        self._running_jobs.pop(course.origin.job_id, None)
        report_stranded(course)
        if tracker is not None and course.ended_at is not None:
            tracker.job_finished(course.origin, course.machine.status, course.started_at, course.ended_at, workers)

    def _jobs_under_way(self) -> int:
        return len(self._running_jobs)

    def _new_engine(self, settings: Settings) -> Engine:
        """An engine whose coroutines, if there are any, run on a loop of their own."""
        name = f"routilux-{self.flow_id}"

        def attendant(engine: Engine) -> Attendant:
            return Attendant(engine.ring, engine.close, self._clock, f"{name}-attendant")

        return Engine(Crew(settings, self._clock, name), attendant, self._clock)

    def _new_awaited_engine(self, settings: Settings) -> Engine:
        """An engine in the event loop that runs."""
        engine: Engine = loaded("routilux.awaited", "new_engine")(settings, self._clock, f"routilux-{self.flow_id}")
        return engine


def _mode(settings: Settings) -> ExecutionMode:
    return ExecutionMode(settings.execution_mode)


def _answered(job: Job, course: Course) -> Job:
    """A finished job; what is meant to end the program, and was raised in a handler, is raised here."""
    end = course.machine.cause_of_end
    if end is not None and not isinstance(end, Exception):
        raise end
    return job
