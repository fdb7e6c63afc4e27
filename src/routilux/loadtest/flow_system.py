"""A flow under load: starts its jobs at given moments, and measures what becomes of them. The one file that acts."""

from __future__ import annotations

import math
import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import cycle
from typing import Any

from routilux.clock import next_of
from routilux.course import Course
from routilux.engine import Engine
from routilux.errors import EntryParamsError
from routilux.execution_mode import ExecutionMode
from routilux.facts import JobStatus
from routilux.flow import FlowDefinition
from routilux.guard import text_of
from routilux.job import Job
from routilux.launch import Launch, Prepared
from routilux.loadtest.capacity import ELSEWHERE, Layout, Shared
from routilux.loadtest.options import Options
from routilux.loadtest.outcome import StepFigures
from routilux.loadtest.result import LoadTest, step_as_dict
from routilux.loadtest.step import RoutineLoad, Served, Step, Usage
from routilux.loadtest.trial import System, Trial
from routilux.machine.plan import Plan
from routilux.modes import Mode
from routilux.rates import rate_of
from routilux.settings import SettingArguments
from routilux.signals.cores import usable_cores
from routilux.signals.footprint import allocations, footprint
from routilux.signals.foreign_load import PROC, Reading, cores_between, read
from routilux.tracking.tracker import ExecutionTracker

DRAIN_SECONDS = 30.0
"""So long a step waits for the jobs that are still under way; then they are cancelled."""

CANCELLED = "the step of the load test is over"

Prepare = Callable[[Mapping[str, Any]], Prepared[Mode]]
Ended = tuple[int, float, str | None]
"""A job by number, when it was over, and what it failed with."""


@dataclass(frozen=True, slots=True)
class _State:
    """What had been used by a moment."""

    metrics: Mapping[str, Any]
    cpu: float
    reading: Reading | None


@dataclass(slots=True)
class _Jobs:
    """The jobs of one step. Seconds since `began`."""

    began: float
    due: list[float] = field(default_factory=list)
    handed: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    failed: int = 0
    failure: str | None = None
    under_way: dict[int, Job] = field(default_factory=dict)
    over: queue.SimpleQueue[Ended] = field(default_factory=queue.SimpleQueue)

    @property
    def now(self) -> float:
        return time.perf_counter() - self.began

    def take(self, timeout: float) -> Ended | None:
        """Notes the end of one job, waiting for it at most so long."""
        ended = next_of(self.over, timeout)
        if ended is None:
            return None
        number, moment, failure = ended
        del self.under_way[number]
        self.ended[number] = moment - self.began
        if failure is not None:
            self.failed += 1
            self.failure = self.failure or failure
        return number, moment, failure


class FlowSystem(System):
    """The jobs of one flow on one engine, or, in sequential mode, on one thread."""

    def __init__(
        self, prepare: Prepare, params: Iterator[Mapping[str, Any]], layout: Layout, tracker: ExecutionTracker
    ) -> None:
        """`params` never ends; `tracker` is the one that the jobs report to."""
        self.layout = layout
        self._prepare = prepare
        self._params = params
        self._tracker = tracker
        self._jobs = _Jobs(0.0)
        self._thread: Executor | None = None
        if set(layout.workers) == {ExecutionMode.SEQUENTIAL}:
            self._thread = ThreadPoolExecutor(1, "routilux-load")

    def offer(self, due: Sequence[float], seconds: float) -> Served:
        before = self._state()
        jobs = self._jobs = _Jobs(time.perf_counter())
        for moment in due:
            self._sleep_until(moment)
            self._start(moment)
            while jobs.take(0.0) is not None:
                pass
        self._sleep_until(seconds)
        return self._served(seconds, before)

    def serve(self, users: int, think: float, seconds: float, jobs: int) -> Served:
        before = self._state()
        mine = self._jobs = _Jobs(time.perf_counter())
        starts = [0.0] * users
        while mine.now < seconds or len(mine.due) < jobs or not mine.due:
            if starts and starts[0] <= mine.now:
                heappop(starts)
                self._start(None)
            elif mine.take(min(starts[0], seconds) - mine.now if starts else DRAIN_SECONDS) is not None:
                heappush(starts, mine.now + think)
            elif not starts:
                break
        return self._served(mine.now, before)

    def footprint(self) -> Mapping[str, float]:
        return {**footprint(), "history": self._tracker.get_performance_metrics()["retained"]}

    def allocations(self) -> Mapping[str, int] | None:
        return allocations()

    def close(self) -> None:
        """Cancels what is still under way, which there is only if the test was interrupted."""
        self._cancel()
        if self._thread is not None:
            self._thread.shutdown()

    def _start(self, due: float | None) -> None:
        """Starts a job that was due at a moment, or, with `None`, is due now."""
        jobs, number = self._jobs, len(self._jobs.due)
        moment = jobs.now
        jobs.due.append(moment if due is None else due)
        jobs.handed.append(moment)
        jobs.ended.append(math.inf)
        job, mode, first = self._prepare(next(self._params))
        jobs.under_way[number] = job
        over = jobs.over
        mode.course.when_finished.append(lambda course: over.put((number, time.perf_counter(), _failure(course))))
        if self._thread is None:
            mode.run_beside(first)
        else:
            self._thread.submit(mode.run_beside, first)

    def _sleep_until(self, moment: float) -> None:
        while (left := moment - self._jobs.now) > 0:
            time.sleep(left)

    def _served(self, seconds: float, before: _State) -> Served:
        """Waits for what is under way, and gives what became of all."""
        jobs = self._jobs
        deadline = jobs.now + DRAIN_SECONDS
        while jobs.under_way and jobs.take(max(1e-3, deadline - jobs.now)) is not None:
            pass
        elapsed = max(seconds, jobs.now)
        self._cancel()
        usage = self._usage(elapsed, before, self._state())
        return Served(seconds, jobs.due, jobs.handed, jobs.ended, jobs.failed, usage, jobs.failure)

    def _cancel(self) -> None:
        left = list(self._jobs.under_way.values())
        for job in left:
            job.cancel(CANCELLED)
        for job in left:
            job.wait(DRAIN_SECONDS)
        self._jobs.under_way.clear()

    def _state(self) -> _State:
        reading = read(PROC)
        elsewhere = reading is not None and not ELSEWHERE.isdisjoint(self.layout.workers)
        cpu = reading.own if reading is not None and elsewhere else time.process_time()
        return _State(self._tracker.get_performance_metrics(), cpu, reading)

    def _usage(self, elapsed: float, before: _State, after: _State) -> Usage:
        first, last = before.reading, after.reading
        loads = {}
        for routine_id, figures in after.metrics["routines"].items():
            earlier = before.metrics["routines"].get(routine_id)
            load, known = _load(figures), _load(earlier) if earlier is not None else RoutineLoad(0, 0.0, 0.0)
            if load.executions > known.executions:
                loads[routine_id] = RoutineLoad(
                    load.executions - known.executions, load.work - known.work, load.waited - known.waited
                )
        foreign = None if first is None or last is None else cores_between(first, last)
        return Usage(elapsed, after.cpu - before.cpu, loads, foreign)


def load_test(
    flow: FlowDefinition,
    launch: Launch,
    tracker: ExecutionTracker,
    entry: str,
    params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    settings: SettingArguments,
    options: Options,
    on_step: Callable[[StepFigures], None] | None,
) -> LoadTest:
    """Tests a flow on workers of its own. `params` of a sequence take turns; `tracker` is what all jobs report to."""
    given = [params or {}] if params is None or isinstance(params, Mapping) else list(params)
    if not given:
        raise EntryParamsError(
            f"Flow {flow.flow_id!r}, entry {entry!r}: a load test needs params for at least one job."
        )
    planned = launch.plan(entry, given[0], settings)
    engine = launch.new_engine(planned.settings)

    def prepare(one: Mapping[str, Any]) -> Prepared[Mode]:
        return launch.prepare(launch.plan(entry, one, settings), own=False, engine=engine)

    def told(step: Step) -> None:
        if on_step is not None:
            on_step(step_as_dict(step, options.objectives))

    system = None
    try:
        system = FlowSystem(prepare, cycle(given), layout_of(flow, planned.plan, engine), tracker)
        return Trial(system, options, told).run()
    finally:
        if system is not None:
            system.close()
        engine.close()


def layout_of(flow: FlowDefinition, plan: Plan, engine: Engine) -> Layout:
    """What the jobs of a flow run on."""
    if plan.in_thread:
        workers = {ExecutionMode.SEQUENTIAL: 1}
    else:
        engine.crew.equip(plan.modes, plan.mode, engine)
        workers = {mode: engine.crew.workers(mode) for mode in sorted({station.mode for station in plan.stations})}
    return Layout(
        mode=plan.mode,
        modes={station.routine_id: station.mode for station in plan.stations},
        workers=workers,
        cores=usable_cores(),
        gil=getattr(sys, "_is_gil_enabled", lambda: True)(),
        limits={name: _shared(name, limit) for name, limit in {**flow.limits, **plan.rates}.items()},
        needs={routine_id: needs for routine_id, (_, needs) in plan.limits.items()},
    )


def _shared(name: str, limit: int | str) -> Shared:
    if isinstance(limit, int):
        return Shared(at_once=limit)
    rate = rate_of(name, limit)
    return Shared(per_second=rate.times / rate.period_ns * 1e9)


def _load(figures: Mapping[str, Any]) -> RoutineLoad:
    """What a routine has taken since the tracker was made; each attempt and each value waited once."""
    waits = figures["executions"] + figures["retries"] + figures["yields"]
    return RoutineLoad(figures["executions"], figures["work"], figures["queue_wait"].get("mean", 0.0) * waits)


def _failure(course: Course) -> str | None:
    machine = course.machine
    if machine.status is JobStatus.COMPLETED:
        return None
    end = machine.cause_of_end
    return str(machine.status) if end is None else f"{type(end).__name__}: {text_of(end)}"
