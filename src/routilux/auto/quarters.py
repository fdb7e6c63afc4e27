"""Quarters: where a job in auto mode may go on, and how many workers it has there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from routilux.engine import Engine
from routilux.execution_mode import ExecutionMode
from routilux.machine.plan import Plan
from routilux.settings import SettingArguments, Settings
from routilux.signals.cores import usable_cores
from routilux.tuning.port import MOST_THREADS, Tuning

THREADS, PROCESSES = ExecutionMode.CONCURRENT, ExecutionMode.MULTIPROCESSING

FEW_THREADS = 8
"""So many where nothing is known."""


class Quarters(NamedTuple):
    """Of one job."""

    shared: Engine | None
    """That of the flow's block, or of a map; without it the job gets an engine of its own."""
    new_engine: Callable[[], Engine]
    plan_elsewhere: Callable[[], Plan | None]
    """The job's plan for processes; `None` if its flow has changed meanwhile."""

    def engine_for(self, plan: Plan, workers: int) -> tuple[Engine, bool]:
        """An engine that has what a plan needs, so many processes among it, and whether it is for this job alone."""
        engine = self.shared or self.new_engine()
        engine.crew.equip(plan.modes, plan.mode, engine, {PROCESSES: workers} if plan.mode is PROCESSES else {})
        if plan.mode is THREADS:
            engine.crew[THREADS].elastic = True
        return engine, self.shared is None


def elsewhere(plan: Plan, settings: Settings) -> SettingArguments:
    """The settings with which a job whose plan is for threads runs in processes.

    Generators stay: what one has given would have to be passed over in another process, so it would run twice.
    """
    here: dict[str, ExecutionMode | str] = {one.routine_id: THREADS for one in plan.stations if one.is_generator}
    return {"execution_mode": PROCESSES, "placement": {**here, **settings.placement}}


def sized(settings: Settings, tuning: Callable[[], Tuning]) -> Settings:
    """In auto mode, the settings for as many workers as are known to be best."""
    if not settings.is_auto:
        return settings
    few, known = min(most_threads(settings) or MOST_THREADS, FEW_THREADS, usable_cores() + 4), tuning()
    threads = known.workers if known.knows and known.mode is not PROCESSES else few
    most = most_processes(settings)
    return settings.with_workers(threads, known.workers if known.mode is PROCESSES else min(most, usable_cores()))


def most_threads(settings: Settings) -> int | None:
    """How many threads a job in auto mode may have, if that is said."""
    given = settings.max_workers
    return given.get(THREADS.value) if isinstance(given, Mapping) else given


def most_processes(settings: Settings) -> int:
    """How many processes a job in auto mode may have: handlers that also wait keep more of them busy than cores."""
    given, most = settings.max_workers, 2 * usable_cores()
    if not settings.allow_processes:
        return 0
    return given.get(PROCESSES.value, most) if isinstance(given, Mapping) else min(given or most, most)
