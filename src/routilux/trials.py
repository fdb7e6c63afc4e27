"""Trials of a flow: the same entry and params in different ways, on workers that are kept from run to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from routilux.advice.candidates import Candidate, Recorded, Trials, default_workers
from routilux.advice.foresight import foresee_flow, record_well
from routilux.advice.placing import settings_of
from routilux.advice.prospects import Prospects
from routilux.advice.tuning import Recommendation, tune
from routilux.auto.quarters import elsewhere, sized
from routilux.engine import Engine
from routilux.errors import TrialError
from routilux.execution_mode import ExecutionMode
from routilux.facts import JobStatus
from routilux.insight.configuration import Configuration
from routilux.job import Job
from routilux.launch import Launch
from routilux.settings import SettingArguments
from routilux.signals.calibration import NewFlow, cached_costs


class FlowTrials(Trials):
    """Of one flow, with settings that hold in all of them."""

    def __init__(
        self, launch: Launch, entry: str, params: Mapping[str, Any] | None, settings: SettingArguments
    ) -> None:
        self._launch = launch
        self._entry = entry
        self._params = params
        self._settings = settings

    def record(self, settings: SettingArguments) -> Recorded:
        with ExitStack() as stack:
            job = self._run({**settings, "recording": True}, self._engine(settings, stack))
        return Recorded(job.trace, job.recording.unsendable)

    def candidate(self, configuration: Configuration) -> Candidate:
        settings = settings_of(configuration, configuration.modes)
        plan = self._launch.plan(self._entry, self._params, {**self._settings, **settings}).plan
        modes = {one.routine_id: one.mode for one in plan.stations if one.mode is not plan.mode}
        used = (plan.mode, *modes.values())
        workers = {mode: configuration.workers.get(mode) or default_workers(mode) for mode in used}
        return Candidate(Configuration(plan.mode, workers, modes), settings)

    def times(self, candidates: Sequence[Candidate], repeats: int) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {str(one.configuration): [] for one in candidates}
        with ExitStack() as stack:
            engines = [self._engine(one.settings, stack) for one in candidates]
            for repeat in range(repeats + 1):
                for one, engine in zip(candidates, engines, strict=True):
                    took = self._run(one.settings, engine).duration
                    if repeat:  # the first is for the workers to start
                        found[str(one.configuration)].append(took)
        return found

    def _engine(self, settings: SettingArguments, stack: ExitStack) -> Engine:
        planned = self._launch.plan(self._entry, self._params, {**self._settings, **settings})
        engine = self._launch.new_engine(planned.settings)
        stack.callback(engine.close)
        return engine

    def _run(self, settings: SettingArguments, engine: Engine) -> Job:
        planned = self._launch.plan(self._entry, self._params, {**self._settings, **settings})
        prepared = self._launch.prepare(planned, own=False, engine=engine)
        prepared.mode.execute(prepared.first)
        job = prepared.job
        if job.status is not JobStatus.COMPLETED:
            cause = prepared.mode.course.machine.cause_of_end
            raise TrialError(
                f"Flow {job.flow_id!r}: the job that was run to learn from it {job.status}, so nothing can be "
                f"concluded: {type(cause).__name__}: {cause}"
            ) from cause
        return job


def what_if(
    new_flow: NewFlow,
    launch: Launch,
    entry: str,
    params: Mapping[str, Any] | None,
    settings: SettingArguments,
    *,
    verify: bool,
) -> Prospects:
    """As `Flow.what_if`; `new_flow` makes flows, to measure what this machine takes for an activation."""
    trials = FlowTrials(launch, entry, params, settings)
    recorded, costs = record_well(trials), cached_costs(new_flow)
    allowed = launch.plan(entry, params, settings).settings.allow_processes
    return foresee_flow(trials, recorded, costs, verify=verify, allow_processes=allowed)


def tuned(
    new_flow: NewFlow,
    launch: Launch,
    entry: str,
    params: Mapping[str, Any] | None,
    settings: SettingArguments,
) -> Recommendation:
    """As `Flow.tune`."""
    trials = FlowTrials(launch, entry, params, settings)
    current = launch.plan(entry, params, settings).settings
    if current.is_auto:
        current = current.updated({"execution_mode": ExecutionMode.SEQUENTIAL, "max_workers": None})
    return tune(trials, cached_costs(new_flow), current, allow_processes=current.allow_processes)


def fixed(launch: Launch, entry: str, params: Any, arguments: SettingArguments) -> SettingArguments:
    """Settings under which nothing changes: in place of auto mode what was found best, found now if need be."""
    first = params if params is None or isinstance(params, Mapping) else next(iter(params), None)
    planned = launch.plan(entry, first, arguments)
    if not planned.settings.is_auto:
        return arguments
    tuning = launch.tuning
    if not tuning.knows:
        prepared = launch.prepare(planned, own=True)
        prepared.mode.execute(prepared.first)
    if tuning.workers == 1 and planned.plan.modes == {ExecutionMode.CONCURRENT}:
        return {**arguments, "execution_mode": ExecutionMode.SEQUENTIAL, "max_workers": None}
    if tuning.mode is ExecutionMode.MULTIPROCESSING:
        workers = sized(planned.settings, lambda: tuning).max_workers
        return {**arguments, **elsewhere(planned.plan, planned.settings), "max_workers": workers}
    workers = planned.settings.with_workers(tuning.workers).max_workers
    return {**arguments, "execution_mode": planned.plan.mode, "max_workers": workers}
