"""Of what kind a routine is: what its handlers spend their time on."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from routilux.insight.split import ENOUGH_LOOKS, Split, splits_of
from routilux.insight.trace import Attempt, Observed, ThreadState, Trace
from routilux.plurals import counted

SHORT = 20e-6
"""Seconds; a handler that takes less has not the time to let go of the GIL and to get it back."""

ENOUGH_ATTEMPTS = 20
"""A routine with fewer is not judged."""

MOST = 0.6
"""A kind of time with more than this share of a routine's own time names it."""

LOCK_SHARE = 0.3
"""A routine that is found at locks more often than this is named for them."""


class Kind(enum.Enum):
    """What a routine is bound by; the value is how it is called."""

    PYTHON = "Python CPU"
    NATIVE = "native CPU"
    NET = "I/O (net)"
    FILE = "I/O (file)"
    SLEEP = "I/O (sleep)"
    CHILD = "I/O (child)"
    LOCK = "lock"
    MIXED = "mixed"
    NOT_SURE = "not sure yet"


WAITS = {
    ThreadState.NET: Kind.NET,
    ThreadState.FILE: Kind.FILE,
    ThreadState.SLEEP: Kind.SLEEP,
    ThreadState.CHILD: Kind.CHILD,
    ThreadState.LOCK: Kind.LOCK,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The kind of one routine, and why."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.reason}"


def verdicts_of(trace: Trace) -> dict[str, Verdict]:
    """The verdict on each routine of a trace."""
    attempts: dict[str, list[Attempt]] = {}
    splits: dict[str, list[Split]] = {}
    for attempt, split in zip(trace.attempts, splits_of(trace), strict=True):
        attempts.setdefault(attempt.routine_id, []).append(attempt)
        splits.setdefault(attempt.routine_id, []).append(split)
    return {
        routine_id: _verdict(attempts[routine_id], splits[routine_id], trace.observed(routine_id), gil=trace.host.gil)
        for routine_id in attempts
    }


def _verdict(attempts: Sequence[Attempt], splits: Sequence[Split], observed: Observed, *, gil: bool) -> Verdict:
    if len(attempts) < ENOUGH_ATTEMPTS:
        return Verdict(Kind.NOT_SURE, f"only {counted(len(attempts), 'attempt')}, {ENOUGH_ATTEMPTS} are needed")
    if all(attempt.cpu_ns is None for attempt in attempts):
        return Verdict(Kind.NOT_SURE, "its CPU time was not measured")
    python, native, wait = (statistics.fmean(parts) for parts in tuple(zip(*splits, strict=True))[:3])
    service = python + native + wait
    if not service:
        return Verdict(Kind.NOT_SURE, "it takes no time that could be measured")
    seen = observed.looks >= ENOUGH_LOOKS
    if gil and not seen and statistics.median(attempt.run_time for attempt in attempts) < SHORT:
        return Verdict(Kind.PYTHON, f"it is so short, less than {SHORT * 1e6:.0f} µs, that it holds the GIL throughout")
    if not observed.reliable and wait > (1 - MOST) * service:
        return Verdict(Kind.NOT_SURE, "its handlers have mostly ended before they can be looked at")
    if seen and observed.share_of(ThreadState.LOCK) > LOCK_SHARE:
        return Verdict(Kind.LOCK, f"{observed.share_of(ThreadState.LOCK):.0%} of its time it was found at a lock")
    if wait > MOST * service:
        return _waiting(wait / service, observed, seen=seen)
    if gil and not seen and observed.gil_share is None:
        found = f"only {observed.looks:.0f} looks, {ENOUGH_LOOKS} are needed"
        return Verdict(Kind.NOT_SURE, f"{found} to tell Python from native code")
    if python > MOST * service:
        return Verdict(Kind.PYTHON, f"{python / service:.0%} of its own time it holds the GIL")
    if native > MOST * service:
        return Verdict(Kind.NATIVE, f"{native / service:.0%} of its own time it runs without the GIL")
    shares = f"{python / service:.0%} Python, {native / service:.0%} native code, {wait / service:.0%} waiting"
    return Verdict(Kind.MIXED, shares)


def _waiting(share: float, observed: Observed, *, seen: bool) -> Verdict:
    """The verdict on a routine that mostly waits."""
    waited = {state: count for state, count in observed.states.items() if state in WAITS and count}
    if not seen or not waited:
        return Verdict(Kind.NOT_SURE, f"it waits {share:.0%} of its own time, but what for was not seen")
    most = max(waited, key=lambda state: waited[state])
    return Verdict(WAITS[most], f"it waits {share:.0%} of its own time, mostly for: {most}")
