"""What is replayed: a trace, taken apart once for any number of replays, and what may be supposed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from routilux.insight.needs import Needs, needs_of
from routilux.insight.split import Split, splits_of
from routilux.insight.trace import Attempt, ThreadState, Trace


@dataclass(frozen=True, slots=True)
class Supposition:
    """What is supposed to be other than it was."""

    times: Mapping[str, float] = field(default_factory=dict)
    """By routine: by how much its own time is multiplied; 0.5 is twice as fast."""
    without: frozenset[ThreadState] = frozenset()
    """What nothing would wait for any more."""


@dataclass(frozen=True, slots=True)
class Script:
    """The attempts of a trace, what each needs, and how long it would take alone."""

    trace: Trace
    needs: Needs
    splits: Sequence[Split]

    def with_splits(self, splits: Sequence[Split]) -> Script:
        """The same attempts with other durations."""
        return Script(self.trace, self.needs, splits)

    def unrecorded(self, recording: float) -> Script:
        """The same attempts as they would be if nothing were recorded, which took so many seconds of each."""
        attempts = zip(self.trace.attempts, self.splits, strict=True)
        return self.with_splits([_unrecorded(attempt, split, recording) for attempt, split in attempts])

    def supposing(self, supposition: Supposition) -> Script:
        """The same attempts with the durations that they would have then."""
        trace, factors = self.trace, dict[str, tuple[float, float]]()
        for routine_id in {attempt.routine_id for attempt in trace.attempts}:
            times = supposition.times.get(routine_id, 1.0)
            factors[routine_id] = times, times * (1.0 - _share_of_waits(trace, routine_id, supposition.without))
        splits = []
        for attempt, split in zip(trace.attempts, self.splits, strict=True):
            times, waiting = factors[attempt.routine_id]
            splits.append(Split(split.python * times, split.native * times, split.wait * waiting))
        return self.with_splits(splits)


def script_of(trace: Trace) -> Script:
    """What is needed to replay a trace."""
    return Script(trace, needs_of(trace), splits_of(trace))


def _unrecorded(attempt: Attempt, split: Split, recording: float) -> Split:
    """Where nothing was waited for, what is longer than its CPU time is the recorder's, too."""
    if attempt.cpu_ns is None or not split.cpu:
        return split
    cpu = split.cpu if split.wait else min(split.cpu, attempt.cpu_ns / 1e9)
    factor = max(0.0, cpu - recording) / split.cpu
    return Split(split.python * factor, split.native * factor, split.wait)


def _share_of_waits(trace: Trace, routine_id: str, states: frozenset[ThreadState]) -> float:
    """How much of a routine's real waiting is for these, as far as looks tell; 0 where nobody looked."""
    waits = {state: count for state, count in trace.observed(routine_id).states.items() if state.waits}
    total = sum(waits.values())
    return sum(count for state, count in waits.items() if state in states) / total if total else 0.0
