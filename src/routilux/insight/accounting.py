"""Where the wall time of a job went.

There are two accounts, and each is checked against what it must sum up to. That of the **workers** says for every
instant of each worker whose handler it ran or why it ran none. That of the **job** goes back from the end: what ran
last, why it had waited, what it came from, and so on to the start; so every instant of the wall time has one reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.needs import Needs, needs_of
from routilux.insight.split import Split, splits_of
from routilux.insight.timeline import Slice, Timeline, Use, timeline_of
from routilux.insight.trace import Trace

TOLERANCE = 0.01
"""An account is complete when no larger share of its time is unexplained."""

NOBODY = ""
"""Stands for a routine where time is nobody's."""


@dataclass(frozen=True, slots=True)
class Account:
    """What an amount of time went into."""

    total: float
    """Seconds that there were."""
    seconds: Mapping[tuple[str, Use], float]
    """By routine and use; of no routine where it was nobody's."""

    @property
    def by_use(self) -> dict[Use, float]:
        """Seconds of each use, the largest first."""
        found: dict[Use, float] = {}
        for (_, use), seconds in self.seconds.items():
            found[use] = found.get(use, 0.0) + seconds
        return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))

    @property
    def unexplained(self) -> float:
        """Seconds of which the trace does not tell what they were; less than 0 where it tells too much."""
        return self.total - sum(self.seconds.values())

    @property
    def complete(self) -> bool:
        """Whether as good as nothing is unexplained."""
        return abs(self.unexplained) <= TOLERANCE * self.total


class _Ledger(dict[tuple[str, Use], float]):
    def add(self, routine_id: str, use: Use, seconds: float) -> None:
        """Puts seconds down, if there are any."""
        if seconds > 0:
            self[routine_id, use] = self.get((routine_id, use), 0.0) + seconds

    def add_split(self, routine_id: str, split: Split) -> None:
        """Puts down what an attempt's time went into."""
        for use, seconds in zip((Use.PYTHON, Use.NATIVE, Use.WAIT, Use.CONTENTION), split, strict=True):
            self.add(routine_id, use, seconds)


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts of one job."""

    job: Account
    """Of the wall time."""
    workers: Account
    """Of the wall time of every worker."""
    waits: Mapping[tuple[str, Use], float]
    """By routine and reason: seconds that its activations waited, all together. They wait side by side, so there is
    nothing that these sum up to."""

    @property
    def engine_overhead(self) -> float:
        """Seconds of worker time that the engine itself took."""
        return self.workers.by_use.get(Use.ENGINE, 0.0)


def accounts_of(trace: Trace) -> Accounts:
    """Where a job's time went."""
    needs, splits = needs_of(trace), splits_of(trace)
    timeline = timeline_of(trace, needs)
    waits = _Ledger()
    for index in range(len(trace.attempts)):
        _add_waits(waits, timeline, needs, index)
        for need in needs.of[index]:
            between = (trace.attempts[index].fired - trace.attempts[need.earlier].ended) / 1e9
            waits.add(trace.attempts[index].routine_id, _before_firing(trace, needs, index, need.earlier), between)
    return Accounts(
        Account(trace.wall_time, _of_job(timeline, needs, splits)),
        Account(trace.wall_time * trace.workers, _of_workers(timeline, splits)),
        waits,
    )


def _of_workers(timeline: Timeline, splits: tuple[Split, ...]) -> _Ledger:
    ledger, trace = _Ledger(), timeline.trace
    for attempt, split in zip(trace.attempts, splits, strict=True):
        ledger.add_split(attempt.routine_id, split)
    for one in timeline.slices:
        seconds = (one.ended - one.began) / 1e9
        of_modes = {mode: _why_free(timeline, one, mode) for mode in timeline.workers}
        anywhere = _why_free_anywhere(one, any(of_modes.values()), trace.workers)
        for mode, workers in timeline.workers.items():
            free = max(0, workers - one.running.get(mode, 0))
            for reasons in (of_modes[mode], anywhere):
                for use, count in reasons.items():
                    explained = min(count, free)
                    ledger.add(NOBODY, use, explained * seconds)
                    reasons[use] -= explained
                    free -= explained
            ledger.add(NOBODY, Use.NOTHING, free * seconds)
    return ledger


def _why_free(timeline: Timeline, one: Slice, mode: ExecutionMode) -> dict[Use, int]:
    """How many workers of a mode can have had nothing to run for each reason: each thing that waits explains one."""
    found = dict.fromkeys((Use.ENGINE, Use.COMING_UP, Use.LIMIT, Use.BACK_PRESSURE), 0)
    for routine_id, waiting in () if one.paused else one.waiting.items():
        if timeline.trace.mode_of(routine_id) is not mode:
            continue
        limits = timeline.trace.observed(routine_id).limits
        continued = one.continued.get(routine_id, 0)
        for count, is_continued in ((waiting - continued, False), (continued, True)):
            why = timeline.why_waits(one, mode, limits, continued=is_continued)
            if why in found:
                found[why] += count
    return {use: count for use, count in found.items() if count}


def _why_free_anywhere(one: Slice, waits: bool, workers: int) -> dict[Use, int]:
    """The same of reasons that are those of no mode; `waits`: whether anything waits that could run."""
    if one.paused:
        return {Use.PAUSE: workers}
    if not (waits or any(one.running.values()) or one.retrying or one.parked):
        return {Use.ENGINE: 1}  # nothing runs and nothing waits: the engine has it in its hands
    return {Use.RETRY: one.retrying, Use.JOIN: one.parked}


def _of_job(timeline: Timeline, needs: Needs, splits: tuple[Split, ...]) -> _Ledger:
    ledger, trace = _Ledger(), timeline.trace
    attempts = trace.attempts
    index: int | None = max(range(len(attempts)), key=lambda one: attempts[one].ended, default=None)
    until = trace.end
    while index is not None:
        attempt = attempts[index]
        ledger.add(NOBODY, Use.ENGINE, (until - attempt.ended) / 1e9)
        ledger.add_split(attempt.routine_id, splits[index])
        _add_waits(ledger, timeline, needs, index)
        until = min(attempt.fired, attempt.begun)
        latest = max(needs.of[index], key=lambda need: attempts[need.earlier].ended, default=None)
        if latest is None:
            break
        came = min(until, attempts[latest.earlier].ended)
        use = _before_firing(trace, needs, index, latest.earlier)
        ledger.add(attempt.routine_id if use is not Use.ENGINE else NOBODY, use, (until - came) / 1e9)
        until, index = came, latest.earlier
    ledger.add(NOBODY, Use.ENGINE, (until - trace.start) / 1e9)
    return ledger


def _add_waits(ledger: _Ledger, timeline: Timeline, needs: Needs, index: int) -> None:
    """Why an attempt that had fired did not begin."""
    attempt = timeline.trace.attempts[index]
    waited = timeline.waited(attempt.fired, attempt.begun, attempt.routine_id, continued=index in needs.continued)
    for use, seconds in waited.items():
        ledger.add(attempt.routine_id, use, seconds)


def _before_firing(trace: Trace, needs: Needs, index: int, earlier: int) -> Use:
    """What an attempt waited for between the end of one that it needs, and its firing."""
    before, attempt = trace.attempts[earlier], trace.attempts[index]
    if before.activation_id == attempt.activation_id and before.status is ActivationStatus.RETRIED:
        return Use.RETRY
    latest = max(trace.attempts[need.earlier].ended for need in needs.of[index])
    return Use.ENGINE if index in needs.at_rest and before.ended == latest else Use.JOIN
