"""One step of a load test: what was offered for some seconds, what became of it, and whether that can go on."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routilux.loadtest.latencies import Spread, quantile, spread_of
from routilux.loadtest.objective import Objective
from routilux.loadtest.search import Phase

ENOUGH_COMPLETED = 0.98
NEARLY_COMPLETED = 0.95
"""A step that completes less than this does not fail by chance."""

FEW_FAILURES = 0.001

PARTS = 10
"""So many means of the backlog are looked at for a slope."""

SIGNIFICANT = 3.0
"""Student's t above which a slope is not taken for chance."""

MATERIAL = 0.02
"""A backlog that grows by less than this share of all jobs, or by less than one, does not grow."""

LATE_SECONDS = 5e-3
LATE_SHARE = 0.1
SLEEP_SECONDS = 1e-3
"""What no sleeping thread can promise to be better than."""

FOREIGN_CORES = 0.25
"""Nothing should be concluded of a step beside which other processes used more."""


class Shortfall(enum.Enum):
    """Why a rate is not sustained; the value is how it is said."""

    COMPLETED = "fewer jobs end than begin"
    BACKLOG = "the backlog grows"
    OBJECTIVE = "jobs take longer than they may"
    FAILURES = "jobs fail"


@dataclass(frozen=True, slots=True)
class RoutineLoad:
    """What the activations of one routine took in a step."""

    executions: int
    work: float
    """Seconds in handlers."""
    waited: float
    """Seconds from fired to begun, of all together."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used while a step lasted."""

    elapsed: float
    """Seconds until all its jobs were over."""
    cpu: float
    """Seconds of processor time, of this process and its children, the one that starts jobs included."""
    routines: Mapping[str, RoutineLoad]
    foreign_load: float | None = None
    """Cores that other processes used; `None`: it is not known."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the jobs of a step went through. Seconds since its start; one entry a job, in order of their starts."""

    seconds: float
    due: Sequence[float]
    """When each job was meant to start."""
    handed: Sequence[float]
    """When it did."""
    ended: Sequence[float]
    """When it was over; infinity: it never was."""
    failed: int
    usage: Usage
    failure: str | None = None
    """What the first failed job says."""

    @property
    def latencies(self) -> list[float]:
        """How long each job took that was ever over."""
        return [ended - due for due, ended in zip(self.due, self.ended, strict=True) if ended < math.inf]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, summed up."""

    phase: Phase
    asked: float | None
    """Jobs a second; `None` where users start them."""
    users: int | None = None
    seconds: float
    offered: int
    completed: int
    """Of these, how many were over at the end, give or take the time that a job takes alone."""
    failed: int
    latency: Spread
    lateness: float
    """The 99th percentile of how late jobs were started, in seconds."""
    backlog: tuple[float, ...]
    """How many jobs were under way: the mean of each tenth of the time."""
    waiting: float
    """The share of all jobs' time in which something waited for a worker or a limit."""
    usage: Usage
    failure: str | None = None

    @property
    def rate(self) -> float:
        """Jobs offered a second; by chance not quite what was asked for."""
        return self.offered / self.seconds

    @property
    def throughput(self) -> float:
        """Jobs completed a second."""
        return self.completed / self.seconds

    @property
    def cores(self) -> float:
        """Processors in use on average."""
        return self.usage.cpu / self.usage.elapsed

    @property
    def workers(self) -> float:
        """Handlers that ran at once, on average."""
        return sum(load.work for load in self.usage.routines.values()) / self.usage.elapsed

    @property
    def late(self) -> bool:
        """Whether jobs were started so late that their latencies are also those of the generator."""
        typical = self.latency.p50
        allowed = LATE_SECONDS if typical is None else min(LATE_SECONDS, max(SLEEP_SECONDS, LATE_SHARE * typical))
        return self.users is None and self.lateness > allowed

    @property
    def disturbed(self) -> bool:
        """Whether other processes used so much that little can be concluded."""
        return self.usage.foreign_load is not None and self.usage.foreign_load > FOREIGN_CORES

    @property
    def nearly(self) -> bool:
        """Whether what it lacks may be chance."""
        return self.completed >= NEARLY_COMPLETED * self.offered

    def shortfalls(self, objectives: Sequence[Objective] = ()) -> tuple[Shortfall, ...]:
        """Why its rate is not sustained; empty if it is. Objectives for a certain rate do not count here."""
        found = []
        if self.completed < ENOUGH_COMPLETED * self.offered:
            found.append(Shortfall.COMPLETED)
        if _grows(self.backlog, self.offered):
            found.append(Shortfall.BACKLOG)
        if self.failed > FEW_FAILURES * self.offered:
            found.append(Shortfall.FAILURES)
        if any(one.rate is None and _misses(self.latency, one) for one in objectives):
            found.append(Shortfall.OBJECTIVE)
        return tuple(found)


def step_of(phase: Phase, asked: float | None, served: Served, alone: float, users: int | None = None) -> Step:
    """Sums up a step; `alone` is how long the slowest jobs take while nothing else runs."""
    lateness = sorted(handed - due for due, handed in zip(served.due, served.handed, strict=True))
    return Step(
        phase=phase,
        asked=asked,
        users=users,
        seconds=served.seconds,
        offered=len(served.due),
        completed=sum(ended <= served.seconds + alone for ended in served.ended),
        failed=served.failed,
        latency=spread_of(served.latencies),
        lateness=quantile(lateness, 0.99) if lateness else 0.0,
        backlog=_backlog(served),
        waiting=_waiting(served),
        usage=served.usage,
        failure=served.failure,
    )


def _backlog(served: Served) -> tuple[float, ...]:
    width = served.seconds / PARTS
    seconds = [0.0] * PARTS
    for due, ended in zip(served.due, served.ended, strict=True):
        for part in range(int(due / width), min(PARTS, int(min(ended, served.seconds) / width) + 1)):
            seconds[part] += max(0.0, min(ended, (part + 1) * width) - max(due, part * width))
    return tuple(one / width for one in seconds)


def _waiting(served: Served) -> float:
    waited = sum(handed - due for due, handed in zip(served.due, served.handed, strict=True))
    waited += sum(load.waited for load in served.usage.routines.values())
    work = sum(load.work for load in served.usage.routines.values())
    return waited / (waited + work) if waited + work > 0 else 0.0


def _grows(backlog: Sequence[float], offered: int) -> bool:
    """Whether the backlog has a slope that is neither chance nor next to nothing."""
    count = len(backlog)
    middle, mean = (count - 1) / 2, sum(backlog) / count
    spread = sum((place - middle) ** 2 for place in range(count))
    slope = sum((place - middle) * (one - mean) for place, one in enumerate(backlog)) / spread
    rest = sum((one - mean - slope * (place - middle)) ** 2 for place, one in enumerate(backlog))
    error = math.sqrt(rest / (count - 2) / spread)
    return slope * count > max(1.0, MATERIAL * offered) and slope > SIGNIFICANT * error


def _misses(latency: Spread, objective: Objective) -> bool:
    measured = latency.at(objective.metric)
    return measured is not None and measured > objective.seconds
