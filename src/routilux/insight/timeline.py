"""The course of a job, cut where anything changes: who ran, who waited, and for what."""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.configuration import window_of
from routilux.insight.needs import Needs
from routilux.insight.trace import Trace

COMING_UP = (ExecutionMode.MULTIPROCESSING, ExecutionMode.DISTRIBUTED)
"""The modes whose workers take long to come up."""


class Use(enum.Enum):
    """What time goes into; the value is how it is called. The first four are a handler's, the rest is waiting."""

    PYTHON = "Python"
    NATIVE = "native code"
    WAIT = "waiting in handlers"
    CONTENTION = "waiting for the GIL or a core"
    NO_WORKER = "no worker is free"
    COMING_UP = "workers come up"
    LIMIT = "a limit is reached"
    RETRY = "the delay of a retry"
    BACK_PRESSURE = "held back"
    JOIN = "partners have not come"
    PAUSE = "paused"
    ENGINE = "the engine"
    NOTHING = "nothing to do"


class Slice(NamedTuple):
    """A part of a job's time in which nothing changes."""

    began: int
    ended: int
    running: dict[ExecutionMode, int]
    paused: bool
    waiting: dict[str, int]
    """By routine: how many of its activations had fired and not begun."""
    continued: dict[str, int]
    """By routine: how many of these are open generators."""
    retrying: int
    parked: int
    """How many activations had a part of what they need, and waited for the rest."""
    full: frozenset[str]
    """The limits that were reached."""


class Timeline:
    """All slices of a job, first to last."""

    def __init__(self, trace: Trace, slices: Sequence[Slice]) -> None:
        self.trace = trace
        self.slices = slices
        self.workers: Mapping[ExecutionMode, int] = trace.workers_by_mode or {trace.mode: trace.workers}
        self._window = sum(window_of(mode, count) for mode, count in self.workers.items())
        self._first = _first_begun(trace)
        self._moments = [one.began for one in slices] + [trace.end]
        self._sums: dict[tuple[ExecutionMode, tuple[str, ...], bool], dict[Use, list[int]]] = {}
        """For what waits in the same way: nanoseconds of each reason up to each moment."""

    def why_waits(self, one: Slice, mode: ExecutionMode, limits: Sequence[str], *, continued: bool) -> Use:
        """Why an activation of this mode that takes these limits, and had fired, did not begin then."""
        if one.paused:
            return Use.PAUSE
        if not one.full.isdisjoint(limits):
            return Use.LIMIT
        free = self.workers.get(mode, 0) > one.running.get(mode, 0)
        ready = sum(one.waiting.values()) - sum(one.continued.values())
        if continued and (self.trace.streamed or not free or ready >= self._window):
            return Use.BACK_PRESSURE
        if mode in COMING_UP and one.ended <= self._first.get(mode, self.trace.end):
            return Use.COMING_UP
        return Use.ENGINE if free else Use.NO_WORKER

    def waited(self, began: int, ended: int, routine_id: str, *, continued: bool) -> dict[Use, float]:
        """Seconds that an activation waited between two moments at which something changed, by reason."""
        if ended <= began:
            return {}
        alike = self.trace.mode_of(routine_id), self.trace.observed(routine_id).limits, continued
        sums = self._sums.get(alike)
        if sums is None:
            sums = self._sums[alike] = self._sums_of(*alike)
        first, last = bisect_left(self._moments, began), bisect_right(self._moments, ended) - 1
        return {use: (sum_[last] - sum_[first]) / 1e9 for use, sum_ in sums.items() if last > first}

    def _sums_of(self, mode: ExecutionMode, limits: tuple[str, ...], continued: bool) -> dict[Use, list[int]]:
        reasons = [self.why_waits(one, mode, limits, continued=continued) for one in self.slices]
        lengths = [one.ended - one.began for one in self.slices]
        return {
            use: list(
                accumulate(
                    (length if reason is use else 0 for reason, length in zip(reasons, lengths, strict=True)), initial=0
                )
            )
            for use in set(reasons)
        }


class _Change(enum.Enum):
    RUNNING = enum.auto()
    WAITING = enum.auto()
    CONTINUED = enum.auto()
    RETRYING = enum.auto()
    PARKED = enum.auto()
    PAUSED = enum.auto()
    HOLDING = enum.auto()


_NAMED = (_Change.RUNNING, _Change.WAITING, _Change.CONTINUED, _Change.HOLDING)
"""Those that are counted by mode, by routine or by limit."""


def timeline_of(trace: Trace, needs: Needs) -> Timeline:
    """Cuts a job's time where anything changes."""
    changes = sorted(_changes(trace, needs), key=lambda change: change[0])
    count: Counter[_Change] = Counter()
    named: dict[_Change, Counter[str]] = {change: Counter() for change in _NAMED}
    slices = []
    before = trace.start
    for moment, step, change, name in [*changes, (trace.end, 0, _Change.PAUSED, "")]:
        moment = min(max(moment, trace.start), trace.end)
        if moment > before:
            held = named[_Change.HOLDING].items()
            slices.append(
                Slice(
                    began=before,
                    ended=moment,
                    running={ExecutionMode(mode): running for mode, running in named[_Change.RUNNING].items()},
                    paused=count[_Change.PAUSED] > 0,
                    waiting=dict(+named[_Change.WAITING]),
                    continued=dict(+named[_Change.CONTINUED]),
                    retrying=count[_Change.RETRYING],
                    parked=count[_Change.PARKED],
                    full=frozenset(limit for limit, holders in held if holders >= trace.limits.get(limit, 1 << 60)),
                )
            )
            before = moment
        if change in _NAMED:
            named[change][name] += step
        else:
            count[change] += step
    return Timeline(trace, slices)


def _first_begun(trace: Trace) -> dict[ExecutionMode, int]:
    """By mode: when its first handler began."""
    found: dict[ExecutionMode, int] = {}
    for attempt in trace.attempts:
        mode = trace.mode_of(attempt.routine_id)
        found[mode] = min(found.get(mode, attempt.begun), attempt.begun)
    return found


def _changes(trace: Trace, needs: Needs) -> Iterator[tuple[int, int, _Change, str]]:
    """What begins and what ends, in no order."""
    for began, ended in trace.pauses:
        yield from _from_to(began, ended, _Change.PAUSED)
    for index, attempt in enumerate(trace.attempts):
        mode = trace.mode_of(attempt.routine_id)
        yield from _from_to(attempt.begun, attempt.ended, _Change.RUNNING, mode)
        yield from _from_to(attempt.fired, attempt.begun, _Change.WAITING, attempt.routine_id)
        if index in needs.continued:
            yield from _from_to(attempt.fired, attempt.begun, _Change.CONTINUED, attempt.routine_id)
        for need in needs.of[index]:
            earlier = trace.attempts[need.earlier]
            retried = earlier.status is ActivationStatus.RETRIED and earlier.activation_id == attempt.activation_id
            yield from _from_to(earlier.ended, attempt.fired, _Change.RETRYING if retried else _Change.PARKED)
    for name, began, ended in _holdings(trace):
        yield from _from_to(began, ended, _Change.HOLDING, name)


def _from_to(began: int, ended: int, change: _Change, name: str = "") -> Iterator[tuple[int, int, _Change, str]]:
    if ended > began:
        yield began, 1, change, name
        yield ended, -1, change, name


def _holdings(trace: Trace) -> Iterator[tuple[str, int, int]]:
    """Which limit was held from when to when: a generator keeps its own until its last value."""
    since: dict[int, int] = {}
    for attempt in trace.attempts:
        limits = trace.observed(attempt.routine_id).limits
        if limits:
            began = since.setdefault(attempt.activation_id, attempt.begun)
            if attempt.status is not ActivationStatus.YIELDED:
                del since[attempt.activation_id]
                for name in limits:
                    yield name, began, attempt.ended
