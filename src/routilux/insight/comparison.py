"""What changed between two recordings of one flow."""

from __future__ import annotations

import enum
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routilux.errors import RecordingError
from routilux.insight.trace import Trace

RESAMPLES = 400
SHARE_INSIDE = 0.95
"""So often an interval holds the true ratio."""

LEAST_CHANGE = 0.02
"""What is smaller is no change, however sure."""

FEWEST = 8
"""Attempts in each recording, below which nothing is said."""

MOST = 1000
"""More attempts are averaged first, in as many groups of neighbours; for a mean that makes no difference."""


class Change(enum.Enum):
    """What became of a routine; the value is how it is called."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "the same"
    NOT_SURE = "not sure"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class RoutineChange:
    """One routine in both recordings; means are seconds of run time, 0 where it did not run."""

    routine_id: str
    before: float
    after: float
    ratio: float
    """After divided by before; 1 where there is nothing to compare."""
    low: float
    high: float
    """Where the ratio lies, as sure as `SHARE_INSIDE`."""
    change: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two recordings of one flow."""

    wall_times: tuple[float, float]
    routines: tuple[RoutineChange, ...]
    """Those that cost most more first."""
    differences: tuple[str, ...]
    """What else is not equal, so that durations may not be: mode, workers, machine."""

    @property
    def slower(self) -> tuple[RoutineChange, ...]:
        """The routines that certainly are."""
        return tuple(one for one in self.routines if one.change is Change.SLOWER)


def compare(before: Trace, after: Trace, *, seed: int = 0) -> Comparison:
    """Compares two recordings; raises `RecordingError` if they are of different flows."""
    if before.flow_id != after.flow_id:
        raise RecordingError(f"The recordings are of two flows, {before.flow_id!r} and {after.flow_id!r}.")
    chance = random.Random(seed)
    first, second = _run_times(before), _run_times(after)
    routines = [_compared(one, first.get(one, ()), second.get(one, ()), chance) for one in {**first, **second}]
    counts = {one: len(second.get(one, ())) or len(first.get(one, ())) for one in {**first, **second}}
    routines.sort(key=lambda one: (one.after - one.before) * counts[one.routine_id], reverse=True)
    return Comparison((before.wall_time, after.wall_time), tuple(routines), tuple(_differences(before, after)))


def _run_times(trace: Trace) -> Mapping[str, Sequence[float]]:
    found: dict[str, list[float]] = {}
    for attempt in trace.attempts:
        found.setdefault(attempt.routine_id, []).append(attempt.run_time)
    return found


def _compared(routine_id: str, before: Sequence[float], after: Sequence[float], chance: random.Random) -> RoutineChange:
    if not before or not after:
        change = Change.GONE if before else Change.NEW
        means = [statistics.fmean(one) if one else 0.0 for one in (before, after)]
        return RoutineChange(routine_id, means[0], means[1], 1.0, 1.0, 1.0, change)
    first, second = statistics.fmean(before), statistics.fmean(after)
    if not first or not second:
        return RoutineChange(routine_id, first, second, 1.0, 1.0, 1.0, Change.NOT_SURE)
    low, high = _interval(_grouped(before), _grouped(after), chance)
    change = Change.SAME
    if min(len(before), len(after)) < FEWEST:
        change = Change.NOT_SURE
    elif low > 1 and second / first > 1 + LEAST_CHANGE:
        change = Change.SLOWER
    elif high < 1 and second / first < 1 - LEAST_CHANGE:
        change = Change.FASTER
    return RoutineChange(routine_id, first, second, second / first, low, high, change)


def _interval(before: Sequence[float], after: Sequence[float], chance: random.Random) -> tuple[float, float]:
    """Where the ratio of two means lies, by drawing both anew."""
    ratios = []
    for _ in range(RESAMPLES):
        first = statistics.fmean(chance.choices(before, k=len(before)))
        ratios.append(statistics.fmean(chance.choices(after, k=len(after))) / first if first else 1.0)
    ratios.sort()
    outside = round((1 - SHARE_INSIDE) / 2 * RESAMPLES)
    return ratios[outside], ratios[-1 - outside]


def _grouped(durations: Sequence[float]) -> Sequence[float]:
    size = -(-len(durations) // MOST)
    if size == 1:
        return durations
    return [statistics.fmean(durations[first : first + size]) for first in range(0, len(durations), size)]


def _differences(before: Trace, after: Trace) -> list[str]:
    pairs = {
        "mode": (before.mode, after.mode),
        "workers": (before.workers, after.workers),
        "cores": (before.host.cores, after.host.cores),
        "Python": (before.host.python, after.host.python),
        "platform": (before.host.platform, after.host.platform),
        "activations": (_activations(before), _activations(after)),
    }
    found = [f"{name}: {first} before, {second} after" for name, (first, second) in pairs.items() if first != second]
    for when, trace in (("before", before), ("after", after)):
        if trace.foreign_load:
            found.append(f"foreign load {when}: {trace.foreign_load:.2f} cores")
    return found


def _activations(trace: Trace) -> int:
    return len({attempt.activation_id for attempt in trace.attempts})
