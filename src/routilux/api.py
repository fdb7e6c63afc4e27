"""`Flow`: a definition that can be executed. This is where everything is put together, and nothing is decided."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self, Unpack

from routilux import drawing
from routilux.advice.answers import Advice, Answer
from routilux.async_stream import AsyncStream
from routilux.clock import SystemClock
from routilux.engine import Engine
from routilux.errors import EntryParamsError, SettingError
from routilux.flow import FlowDefinition
from routilux.job import Job
from routilux.launch import OWN_ENGINE, Launch, Prepared
from routilux.loading import loaded, loaded_extra
from routilux.loadtest.outcome import Outcome, StepFigures
from routilux.many import MAX_JOBS, run_many
from routilux.modes import Mode
from routilux.plurals import counted
from routilux.ports import Clock
from routilux.settings import SettingArguments, Settings, checked_settings
from routilux.stream import Stream
from routilux.tracking import tracker as tracking
from routilux.tuning.port import Tuning


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
        self.settings = checked_settings(flow_id, Settings(), settings)
        self.execution_tracker: tracking.ExecutionTracker | None = tracking.ExecutionTracker(
            flow_id, self.settings.max_history_size, self.settings.history_ttl_seconds
        )
        self._clock = clock or SystemClock()
        self._launch = Launch(self, self.settings, self._clock, lambda: self.execution_tracker)
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    def execute(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        **settings: Unpack[SettingArguments],
    ) -> Job:
        """Runs one job and returns it finished.

        `entry` is the id of the routine to begin with, `entry_params` the first message of each of its slots.
        A failure is on the job, not raised (`job.raise_for_status()` raises it); what cannot start is.
        Ctrl-C cancels the job and is raised again; a stored job stays as it is instead, to be recovered.
        `key` names the submission of a stored job: with one that was used before, the job of that time is returned, and
        goes on if it was not over.
        """
        prepared = self._prepare(entry, entry_params, settings, key=key)
        prepared.mode.execute(prepared.first)
        return _answered(prepared)

    def record(
        self, entry: str, entry_params: Mapping[str, Any] | None = None, **settings: Unpack[SettingArguments]
    ) -> Job:
        """As `execute`, and records the job, so that `job.trace` and `job.explain()` tell where its time went."""
        settings["recording"] = True
        return self.execute(entry, entry_params, **settings)

    async def execute_async(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        **settings: Unpack[SettingArguments],
    ) -> Job:
        """As `execute`, inside the event loop that awaits it: coroutines of the flow run there, side by side.

        Cancelling the task that awaits cancels the job.
        """
        planned = self._launch.plan(entry, entry_params, settings)
        prepared = self._launch.prepare_awaited(planned, own=_wants_own(settings), key=key)
        await loaded("routilux.awaited", "run")(prepared.mode, prepared.first)
        return _answered(prepared)

    def start(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        **settings: Unpack[SettingArguments],
    ) -> Job:
        """Starts one job and returns it running; the program does not end before the job does."""
        prepared = self._prepare(entry, entry_params, settings, key=key)
        prepared.mode.start(prepared.first)
        return prepared.job

    def stream(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        **settings: Unpack[SettingArguments],
    ) -> Stream:
        """Runs one job while its results are read, and holds it back when they are not; see `Stream`."""
        job, mode, first = self._prepare(entry, entry_params, settings, key=key, streaming=True)
        stream = Stream(job, mode.course, mode, first)
        self._streams.add(stream)
        return stream

    def stream_async(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        **settings: Unpack[SettingArguments],
    ) -> AsyncStream:
        """As `stream`, inside the event loop that reads it: `async for value in flow.stream_async(...)`."""
        planned = self._launch.plan(entry, entry_params, settings)
        job, mode, first = self._launch.prepare_awaited(planned, own=_wants_own(settings), key=key, streaming=True)
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
        allows. `progress` shows a bar in the terminal. Whoever stops taking jobs cancels those that are under way. What
        `params` raises, or is wrong with one of them, is raised when the jobs before it have been given.
        """
        if not isinstance(params, Iterable):
            raise EntryParamsError(
                f"Flow {self.flow_id!r}, entry {entry!r}: params must be an iterable of mappings, not {params!r}."
            )
        if max_jobs is not None and (type(max_jobs) is not int or max_jobs < 1):
            raise SettingError(f"max_jobs must be a whole number from 1, or None, not {max_jobs!r}.")

        def prepare(one: Mapping[str, Any], engine: Engine | None) -> Prepared[Mode]:
            return self._launch.prepare(self._launch.plan(entry, one, settings), own=False, engine=engine)

        used = checked_settings(self.flow_id, self.settings, settings)
        new_engine = self._launch.engine_for_many(used, own=_wants_own(settings))
        jobs: Iterator[Job] = run_many(prepare, params, max_jobs or MAX_JOBS, new_engine)
        if not progress:
            return jobs
        shown: Iterator[Job] = loaded_extra("routilux.progress", "shown", "cli", "progress=True")(jobs, params)
        return shown

    def recover(
        self,
        job_ids: Collection[str] | None = None,
        *,
        retry_failed: bool = False,
        max_running: int = 64,
        **settings: Unpack[SettingArguments],
    ) -> list[Job]:
        """Has the jobs go on that other processes left unfinished in the flow's store, and returns them, running.

        What is done is not done again; what was running runs again. `job_ids` names some of them; with `retry_failed`
        failed ones go on as well: what stopped them is tried again, as if for the first time. Jobs in sequential mode
        have a thread each: `max_running` of them run at once, the others wait, the oldest first. The settings may name
        another `store`; those of a job are its own. Raises `RecoveryError` if some cannot go on, as when the flow has
        lost what they need: they stay as they are, and the others run.
        """
        used = checked_settings(self.flow_id, self.settings, settings)
        if type(max_running) is not int or max_running < 1:
            raise SettingError(f"max_running must be a whole number from 1, not {max_running!r}.")
        if used.store is None:
            raise SettingError(f'Flow {self.flow_id!r} has no store to recover jobs from: Flow(..., store="jobs.db").')
        jobs = self._launch.stores.of(used)
        engine = None if _wants_own(settings) else self._launch.block.engine
        recovered: list[Job] = jobs.recover(engine, job_ids, retry_failed=retry_failed, max_running=max_running)
        return recovered

    def close(self) -> None:
        """Closes the stores that the flow has opened; a `with` block does so at its end, and so does the program's."""
        self._launch.stores.close()

    def load_test(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        arrivals: str | Iterable[float] = "poisson",
        users: int | None = None,
        think: float | str = 0.0,
        rate: float | None = None,
        slo: str | Iterable[str] | None = None,
        soak: float | str | None = None,
        step_seconds: float | str = 3.0,
        max_rate: float | None = None,
        seed: int = 0,
        on_step: Callable[[StepFigures], None] | None = None,
        **settings: Unpack[SettingArguments],
    ) -> Outcome:
        """Finds how many jobs a second the flow sustains, how long they take then, and what stops it there.

        Jobs start when they are due, in a pattern (`arrivals`: "poisson", "constant", "burst:N", or recorded moments
        in seconds), and latency counts from that moment; with `users`, each of them waits for a job and `think`s
        before the next. `rate` tries one rate in place of a search. `slo` is like "p99=50ms", or "p99=50ms@100/s" to
        try that rate; `soak`, as "30m", goes on and watches the memory. Several `entry_params` take turns. The jobs
        have workers of their own, and the flow's tracker does not see them. `on_step` is called after each step.
        In auto mode they run as was found best so far; where nothing is known, a job is executed before.
        """
        settings = loaded("routilux.trials", "fixed")(self._launch, entry, entry_params, settings)
        options = loaded("routilux.loadtest.options", "options_of")(
            arrivals=arrivals,
            users=users,
            think=think,
            rate=rate,
            slo=slo,
            soak=soak,
            step_seconds=step_seconds,
            max_rate=max_rate,
            seed=seed,
        )
        run: Callable[..., Outcome] = loaded("routilux.loadtest.flow_system", "load_test")
        bounds = self.settings.max_history_size, self.settings.history_ttl_seconds
        tracker = tracking.ExecutionTracker(self.flow_id, *bounds)
        kept, self.execution_tracker = self.execution_tracker, tracker
        try:
            return run(self, self._launch, tracker, entry, entry_params, settings, options, on_step)
        finally:
            self.execution_tracker = kept

    def what_if(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        verify: bool = False,
        **settings: Unpack[SettingArguments],
    ) -> Answer:
        """Records a job in sequence, and foretells what it would take in other modes and with other workers.

        `verify` really runs the best two, in turn; those that need processes only with the setting `allow_processes`.
        """
        what_if = loaded("routilux.trials", "what_if")
        prospects: Answer = what_if(Flow, self._launch, entry, entry_params, settings, verify=verify)
        return prospects

    def tune(
        self,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        **settings: Unpack[SettingArguments],
    ) -> Advice:
        """Finds the settings that this job is best run with: records it, foretells, and tries the best.

        The job is run some twenty times. With the setting `allow_processes` handlers are also tried in other processes,
        if they and what they are given can be pickled.
        """
        tuned = loaded("routilux.trials", "tuned")
        found: Advice = tuned(Flow, self._launch, entry, entry_params, settings)
        return found

    @property
    def tuning(self) -> Tuning:
        """What auto mode has found out: `tuning.freeze()` has it change nothing any more, `unfreeze()` go on."""
        return self._launch.tuning

    def explain(self) -> Answer:
        """What auto mode has decided, each time with its reason, what was foretold, and what came of it."""
        found: Answer = loaded("routilux.advice.decisions", "decided")(self.flow_id, self.tuning)
        return found

    def check(self, entry: str, entry_params: Mapping[str, Any] | None = None) -> None:
        """Raises what `execute` would raise before it starts anything."""
        self._launch.plan(entry, entry_params, {})

    def describe(self) -> str:
        """The flow in words, one line for each routine and connection."""
        return drawing.describe(self)

    def to_mermaid(self) -> str:
        """The flow as a Mermaid flowchart."""
        return drawing.to_mermaid(self)

    def __enter__(self) -> Self:
        self._launch.block.enter(partial(self._launch.new_engine, self.settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Waits for the jobs of the block, and ends its workers; after an exception the jobs are cancelled.

        Streams are closed: nobody would read them any more, and so they would never be over.
        """
        engine = self._launch.block.leave()
        try:
            for stream in list(self._streams):
                stream.close()
            self._see_out(error)
        except KeyboardInterrupt as interruption:
            self._see_out(interruption)
            raise
        finally:
            if engine is not None:
                engine.close()
            self.close()

    async def __aenter__(self) -> Self:
        self._launch.block.enter(partial(self._launch.new_awaited_engine, self.settings), awaited=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        engine = self._launch.block.leave()
        for job in self._launch.leave(error):
            await job.wait_async()
        await loaded("routilux.awaited", "close")(engine)
        self.close()

    def __repr__(self) -> str:
        size = counted(len(self.routines), "routine"), counted(len(self.connections), "connection")
        return f"<Flow {self.flow_id!r}: {', '.join(size)}>"

    def _see_out(self, error: BaseException | None) -> None:
        for job in self._launch.leave(error):
            job.wait()

    def _prepare(
        self,
        entry: str,
        params: Mapping[str, Any] | None,
        settings: SettingArguments,
        *,
        key: str | None,
        streaming: bool = False,
    ) -> Prepared[Mode]:
        planned = self._launch.plan(entry, params, settings)
        return self._launch.prepare(planned, own=_wants_own(settings), streaming=streaming, key=key)

    def _jobs_under_way(self) -> int:
        return len(self._launch.under_way)


def _wants_own(settings: SettingArguments) -> bool:
    """Whether a job is given settings that say something of its workers, so that it has workers of its own."""
    return not OWN_ENGINE.isdisjoint(settings)


def _answered(prepared: Prepared[Mode]) -> Job:
    """A finished job; what is meant to end the program, and was raised in a handler, is raised here."""
    end = prepared.mode.course.machine.cause_of_end
    if end is not None and not isinstance(end, Exception):
        raise end
    return prepared.job
