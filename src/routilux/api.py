"""`Flow`: a definition that can be executed. This is where everything is put together, and nothing is decided."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self, Unpack

from routilux import drawing
from routilux.checks import Receiver, entry_receiver
from routilux.clock import SystemClock
from routilux.course import Course, Reader
from routilux.drivers.invoke import Invoker
from routilux.drivers.threads import ThreadDriver
from routilux.engine import Engine
from routilux.errors import EntryParamsError, FlowBusyError
from routilux.facts import Origin, Started
from routilux.flow import FlowDefinition
from routilux.job import Job, report_stranded
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan, compile_plan
from routilux.modes import ConcurrentMode, Mode, SequentialMode
from routilux.ports import Clock, Steering
from routilux.settings import ExecutionMode, SettingArguments, Settings
from routilux.stream import Stream
from routilux.tracking import tracker as tracking
from routilux.tracking.history import History


class Flow(FlowDefinition):
    """Routines connected to each other, and what is needed to execute them.

    One flow serves any number of jobs, also at the same time. As a context manager it keeps its worker threads
    for all jobs of the block::

        with Flow("my_flow", execution_mode="concurrent", max_workers=4) as flow:
            ...
    """

    ExecutionTracker: ClassVar = tracking.ExecutionTracker

    def __init__(self, flow_id: str, *, clock: Clock | None = None, **settings: Unpack[SettingArguments]) -> None:
        """The settings are those of `Settings`; each can be overridden in `execute`, `start` and `stream`."""
        super().__init__(flow_id)
        self.settings = Settings.of(settings)
        self.execution_tracker: tracking.ExecutionTracker | None = tracking.ExecutionTracker(
            flow_id, self.settings.max_history_size, self.settings.history_ttl_seconds
        )
        self._clock = clock or SystemClock()
        self._plans: dict[tuple[str, frozenset[str]], tuple[int, Plan, Receiver]] = {}
        self._engine: Engine | None = None
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
        job, mode, first, course = self._prepare(entry, entry_params, settings)
        mode.execute(first)
        end = course.machine.cause_of_end
        if end is not None and not isinstance(end, Exception):
            raise end
        return job

    def start(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Job:
        """Starts one job and returns it running; the program does not end before the job does."""
        job, mode, first, _ = self._prepare(entry, entry_params, settings)
        mode.start(first)
        return job

    def stream(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Stream:
        """Runs one job while its results are read, and holds it back when they are not; see `Stream`."""
        job, mode, first, course = self._prepare(entry, entry_params, settings, streaming=True)
        stream = Stream(job, course, mode, first)
        self._streams.add(stream)
        return stream

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
        if self._engine is not None:
            raise FlowBusyError(f"Flow {self.flow_id!r} is open already; a `with` block cannot be nested in itself.")
        self._engine = self._new_engine(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Waits for the jobs of the block, and ends its threads; after an exception the jobs are cancelled.

        Streams are closed: nobody would read them any more, and so they would never be over.
        """
        engine, self._engine = self._engine, None
        for stream in list(self._streams):
            stream.close()
        for job in list(self._running_jobs.values()):
            if error is not None:
                job.cancel(f"the flow's block was left by {type(error).__name__}")
            job.wait()
        if engine is not None:
            engine.close()

    def __repr__(self) -> str:
        return f"<Flow {self.flow_id!r}: {len(self.routines)} routines, {len(self.connections)} connections>"

    def _plan(self, entry: str, params: Mapping[str, Any]) -> tuple[Plan, Mapping[str, Any]]:
        """The flow compiled for params of these names, and the first messages of the entry."""
        if not isinstance(params, Mapping):
            raise EntryParamsError(
                f"Flow {self.flow_id!r}, entry {entry!r}: entry_params must be a mapping from names to values, "
                f"not {params!r}."
            )
        known = self._plans.get((entry, names := frozenset(params)))
        if known is None or known[0] != self._version:
            receive = entry_receiver(self, entry, names)
            plan = compile_plan(self, entry, receive(params))
            known = self._plans[entry, names] = self._version, plan, receive
        return known[1], known[2](params)

    def _prepare(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None,
        arguments: SettingArguments,
        *,
        streaming: bool = False,
    ) -> tuple[Job, Mode, Started, Course]:
        settings = self.settings.updated(arguments)
        own = self._engine is None or "max_workers" in arguments
        engine: Engine | None = None
        if settings.execution_mode is ExecutionMode.CONCURRENT:
            engine = self._new_engine(settings) if own or self._engine is None else self._engine
        workers, window = (1, 1) if engine is None else (engine.driver.capacity, 2 * engine.driver.capacity)
        course, first, history = self._new_course(entry, entry_params, settings, workers, window, streaming=streaming)
        invoker = Invoker(self.flow_id, course.origin.job_id, course.states, course.is_over)
        mode: Mode = (
            SequentialMode(course, invoker, self._clock)
            if engine is None
            else ConcurrentMode(course, invoker, self._clock, engine, own_engine=own)
        )
        return self._new_job(course, mode, history), mode, first, course

    def _new_course(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None,
        settings: Settings,
        workers: int,
        window: int,
        *,
        streaming: bool,
    ) -> tuple[Course, Started, History]:
        """A job that has not begun, for whatever is to run it."""
        plan, messages = self._plan(entry, {} if entry_params is None else entry_params)
        moment = self._clock.now()
        origin = Origin(os.urandom(16).hex(), self.flow_id, self._clock.epoch() - moment)
        machine = Machine(plan, settings, origin, window, streaming=streaming)
        bounds = settings.max_history_size, settings.history_ttl_seconds
        history = History(*bounds, self._clock.now, origin.epoch_offset_ns)
        tracker = self.execution_tracker
        readers: list[Reader] = [history.absorb] if tracker is None else [history.absorb, tracker.absorb]
        course = Course(machine, origin, readers, moment)
        if tracker is not None:
            tracker.job_started(origin, moment, workers)
        course.when_finished.append(partial(self._finished, tracker, workers))
        return course, Started(moment, messages), history

    def _new_job(self, course: Course, steering: Steering, history: History) -> Job:
        job = Job(course, steering, history, self._clock)
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
        name = f"routilux-{self.flow_id}"
        return Engine(ThreadDriver(settings.max_workers, name), self._clock, name)
