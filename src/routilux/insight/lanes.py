"""A job as somebody draws it: lanes in which nothing overlaps, arrows between attempts, and levels over time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.needs import Needs
from routilux.insight.trace import Trace


class Lane(NamedTuple):
    """A worker; one that runs several handlers side by side has a lane for each."""

    mode: ExecutionMode
    worker: int
    row: int
    """From 0, of the lanes of one worker."""
    attempts: tuple[int, ...]
    """Places in `Trace.attempts`, in order."""

    @property
    def name(self) -> str:
        """What it is called."""
        return f"worker {self.worker}" + (f", {self.row + 1}" if self.row else "")


class Arrow(NamedTuple):
    """An emission that an attempt was handed, from where to where: places in `Trace.attempts`."""

    emitter: int
    receiver: int


class Level(NamedTuple):
    """From a moment on: how many activations ran, and how many had fired and not begun."""

    moment: int
    running: int
    waiting: int


class _Rows:
    """The rows of one worker: the topmost that is free is taken."""

    def __init__(self) -> None:
        self.attempts: list[list[int]] = []
        self._free: list[int] = []
        self._busy: list[tuple[int, int]] = []

    def put(self, index: int, begun: int, ended: int) -> None:
        """An attempt, later than all before."""
        while self._busy and self._busy[0][0] <= begun:
            heapq.heappush(self._free, heapq.heappop(self._busy)[1])
        if not self._free:
            self._free.append(len(self.attempts))
            self.attempts.append([])
        row = heapq.heappop(self._free)
        self.attempts[row].append(index)
        heapq.heappush(self._busy, (ended, row))


def lanes_of(trace: Trace) -> tuple[Lane, ...]:
    """All lanes of a job, by mode, worker and row; the job's own mode comes first."""
    found: dict[tuple[ExecutionMode, int], _Rows] = {}
    for index, attempt in enumerate(trace.attempts):
        mode = trace.mode_of(attempt.routine_id)
        found.setdefault((mode, attempt.worker), _Rows()).put(index, attempt.begun, attempt.ended)
    order = sorted(found, key=lambda key: (key[0] is not trace.mode, key[0].value, key[1]))
    return tuple(Lane(*key, row, tuple(attempts)) for key in order for row, attempts in enumerate(found[key].attempts))


def arrows_of(trace: Trace, needs: Needs) -> tuple[Arrow, ...]:
    """An arrow for each emission that made an activation fire, several for a join; none for a second attempt."""
    attempts = trace.attempts
    return tuple(
        Arrow(need.earlier, index)
        for index, attempt in enumerate(attempts)
        for need in needs.of[index]
        if attempts[need.earlier].activation_id in attempt.causes
        and attempts[need.earlier].activation_id != attempt.activation_id
        and attempts[need.earlier].status is not ActivationStatus.RETRIED
    )


def levels_of(trace: Trace) -> tuple[Level, ...]:
    """The levels from the start of a job on, one for each moment at which one changes."""
    running, waiting = Counter({trace.start: 0}), Counter[int]()
    for attempt in trace.attempts:
        running[attempt.begun] += 1
        running[attempt.ended] -= 1
        waiting[min(attempt.fired, attempt.begun)] += 1
        waiting[attempt.begun] -= 1
    levels: list[Level] = []
    runs = waits = 0
    for moment in sorted({*running, *waiting}):
        runs, waits = runs + running[moment], waits + waiting[moment]
        if not levels or (runs, waits) != levels[-1][1:]:
            levels.append(Level(moment, runs, waits))
    return tuple(levels)


def thinned(levels: Sequence[Level], most: int) -> Sequence[Level]:
    """At most about so many levels, the highest of each stretch; all if there are no more."""
    if len(levels) <= most:
        return levels
    stretch = -(-len(levels) // most)
    parts = (levels[first : first + stretch] for first in range(0, len(levels), stretch))
    return [Level(part[0].moment, max(one.running for one in part), max(one.waiting for one in part)) for part in parts]
