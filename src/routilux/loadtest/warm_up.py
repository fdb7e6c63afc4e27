"""The warm-up: it is over when three windows agree, and they say what a job takes alone."""

from __future__ import annotations

from collections.abc import Sequence

from routilux.loadtest.capacity import Profile
from routilux.loadtest.step import RoutineLoad, Step

AGREE = 0.05
"""The medians of windows that agree differ by less."""

WINDOWS = 3
MOST_WINDOWS = 12


def is_steady(windows: Sequence[Step]) -> bool:
    """Whether the medians of the last three windows agree."""
    medians = [window.latency.p50 for window in windows[-WINDOWS:]]
    known = [median for median in medians if median is not None]
    return len(known) == WINDOWS and max(known) <= (1 + AGREE) * min(known)


def profile_of(windows: Sequence[Step]) -> Profile:
    """What one job took in the last three windows, in which one ran at a time."""
    last = windows[-WINDOWS:]
    jobs = sum(window.offered for window in last)
    routines: dict[str, RoutineLoad] = {}
    for window in last:
        for routine_id, load in window.usage.routines.items():
            known = routines.get(routine_id, RoutineLoad(0, 0.0, 0.0))
            routines[routine_id] = RoutineLoad(
                known.executions + load.executions, known.work + load.work, known.waited + load.waited
            )
    return Profile(
        latency=min(window.latency.p50 or 0.0 for window in last),
        slowest=max(window.latency.p99 or 0.0 for window in last),
        cpu=sum(window.usage.cpu for window in last) / jobs,
        routines=routines,
        jobs=jobs,
    )
