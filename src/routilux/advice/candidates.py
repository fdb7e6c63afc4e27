"""Candidates: ways to run a flow that can be tried, and what tries them, as a contract."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from routilux.execution_mode import ExecutionMode
from routilux.insight.configuration import MANY, Configuration, coroutines, usual
from routilux.insight.trace import Trace
from routilux.settings import SettingArguments, Settings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run a flow, and the settings that make it run so."""

    configuration: Configuration
    """With the mode in which each routine would really run."""
    settings: SettingArguments


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded job."""

    trace: Trace
    unsendable: Mapping[str, str]
    """By routine: why it cannot run in another process."""
    plain: float | None = None
    """Seconds that the same job took unrecorded, where that may differ."""


class Trials(ABC):
    """Runs one flow with the same params in different ways, on workers that are up."""

    @abstractmethod
    def record(self, settings: SettingArguments) -> Recorded:
        """Records a job; raises `TrialError` if it fails."""

    @abstractmethod
    def candidate(self, configuration: Configuration) -> Candidate:
        """The settings for a configuration, and what it would really be: coroutines stay on their loop."""

    @abstractmethod
    def times(self, candidates: Sequence[Candidate], repeats: int) -> dict[str, list[float]]:
        """Seconds of so many runs of each, in turn, so that a busy machine disturbs all alike; by configuration."""


def default_workers(mode: ExecutionMode) -> int:
    """How many workers a mode has where nobody says it."""
    processors = os.cpu_count() or 1
    known = {ExecutionMode.CONCURRENT: min(32, processors + 4), ExecutionMode.ASYNCIO: MANY}
    return 1 if mode is ExecutionMode.SEQUENTIAL else known.get(mode, processors)


def configuration_of(settings: Settings) -> Configuration:
    """What a flow runs on with these settings; raises `SettingError` for a mode that there is no model of."""
    mode = ExecutionMode(settings.execution_mode)
    modes = {routine_id: ExecutionMode(one) for routine_id, one in settings.placement.items()}
    workers = {one: settings.workers_of(one, mode) or default_workers(one) for one in (mode, *modes.values())}
    return Configuration(mode, workers, modes)


def candidates_for(trials: Trials, cores: int) -> dict[str, Candidate]:
    """By name: the usual configurations, as this flow would run them."""
    asked = [one for one in usual(cores) if one != coroutines()]
    return named(trials.candidate(one) for one in [*asked, coroutines()])


def named(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """By what their configurations are called; of those that come to the same the first."""
    found: dict[str, Candidate] = {}
    for one in candidates:
        found.setdefault(str(one.configuration), one)
    return found


def allowed_modes(unsendable: Collection[str], *, allow_processes: bool) -> frozenset[ExecutionMode]:
    """Where handlers may run: in other processes only where that is wanted and everything pickles."""
    here = {ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT, ExecutionMode.ASYNCIO}
    return frozenset(here | {ExecutionMode.MULTIPROCESSING} if allow_processes and not unsendable else here)
