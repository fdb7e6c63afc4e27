"""The course of a job, cut where anything changes: who ran, who waited, and for what."""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from routilux.facts import ActivationStatus
from routilux.insight.needs import Needs
from routilux.insight.trace import Trace


class Use(enum.Enum):
    """What time goes into; the value is how it is called. The first four are a handler's, the rest is waiting."""

    PYTHON = "Python"
    NATIVE = "native code"
    WAIT = "waiting in handlers"
    CONTENTION = "waiting for the GIL or a core"
    NO_WORKER = "no worker is free"
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
    running: int
    paused: bool
    waiting: dict[str, int]
    """By routine: how many of its activations had fired and not begun."""
    held_back: int
    """How many of these are open generators."""
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
        self._moments = [one.began for one in slices] + [trace.end]
        self._sums: dict[tuple[tuple[str, ...], bool], dict[Use, list[int]]] = {}
        """For what waits in the same way: nanoseconds of each reason up to each moment."""

    def why_waits(self, one: Slice, limits: Sequence[str], *, continued: bool) -> Use:
        """Why an activation that takes these limits, and had fired, did not begin then."""
        if one.paused:
            return Use.PAUSE
        if not one.full.isdisjoint(limits):
            return Use.LIMIT
        free = self.trace.workers > one.running
        if continued and (self.trace.streamed or not free):
            return Use.BACK_PRESSURE
        return Use.ENGINE if free else Use.NO_WORKER

    def waited(self, began: int, ended: int, limits: tuple[str, ...], *, continued: bool) -> dict[Use, float]:
        """Seconds that an activation waited between two moments at which something changed, by reason."""
        if ended <= began:
            return {}
        sums = self._sums.get((limits, continued))
        if sums is None:
            sums = self._sums[limits, continued] = self._sums_of(limits, continued=continued)
        first, last = bisect_left(self._moments, began), bisect_right(self._moments, ended) - 1
        return {use: (sum_[last] - sum_[first]) / 1e9 for use, sum_ in sums.items() if last > first}

    def _sums_of(self, limits: tuple[str, ...], *, continued: bool) -> dict[Use, list[int]]:
        reasons = [self.why_waits(one, limits, continued=continued) for one in self.slices]
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
    HELD_BACK = enum.auto()
    RETRYING = enum.auto()
    PARKED = enum.auto()
    PAUSED = enum.auto()
    HOLDING = enum.auto()


def timeline_of(trace: Trace, needs: Needs) -> Timeline:
    """Cuts a job's time where anything changes."""
    changes = sorted(_changes(trace, needs), key=lambda change: change[0])
    count: Counter[_Change] = Counter()
    waiting: Counter[str] = Counter()
    held: Counter[str] = Counter()
    slices = []
    before = trace.start
    for moment, step, change, name in [*changes, (trace.end, 0, _Change.RUNNING, "")]:
        moment = min(max(moment, trace.start), trace.end)
        if moment > before:
            full = frozenset(limit for limit, holders in held.items() if holders >= trace.limits.get(limit, 1 << 60))
            rest = count[_Change.HELD_BACK], count[_Change.RETRYING], count[_Change.PARKED], full
            slices.append(
                Slice(before, moment, count[_Change.RUNNING], count[_Change.PAUSED] > 0, dict(+waiting), *rest)
            )
            before = moment
        count[change] += step
        if change is _Change.WAITING:
            waiting[name] += step
        elif change is _Change.HOLDING:
            held[name] += step
    return Timeline(trace, slices)


def _changes(trace: Trace, needs: Needs) -> Iterator[tuple[int, int, _Change, str]]:
    """What begins and what ends, in no order."""
    for began, ended in trace.pauses:
        yield from _from_to(began, ended, _Change.PAUSED)
    for index, attempt in enumerate(trace.attempts):
        yield from _from_to(attempt.begun, attempt.ended, _Change.RUNNING)
        yield from _from_to(attempt.fired, attempt.begun, _Change.WAITING, attempt.routine_id)
        if index in needs.continued:
            yield from _from_to(attempt.fired, attempt.begun, _Change.HELD_BACK)
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
