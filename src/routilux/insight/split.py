"""What an attempt's time went into: the GIL, native code, real waiting, and waiting for its turn.

CPU time is what threads that contend do not spoil. The rest of the run time is real waiting only where nothing
else ran; elsewhere it is also time in which the GIL or a core was somebody else's. Two estimates of the real part, the
share that the probe saw and the median, both err upwards where they err, so the lesser one is taken.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from routilux.insight.trace import Attempt, Observed, ThreadState, Trace

ENOUGH_LOOKS = 20
"""So often somebody must have looked at a routine before the shares of its states count."""

SHORTEST_WAIT = 20e-6
"""Seconds; what seems to be less is the cost of taking the time."""

RARE = 20
"""What not one of so many attempts waits for, or not one of so many looks finds, is the collector of garbage, or
another process."""

UNSEEN = 0.1
"""Seconds; where it is no more than that, too few looks come upon it to tell what it was."""

LUCKY = 0.1
"""Where threads queue for the GIL, so many find it free: those wait for nothing else than what they really wait for."""

PRIOR = 2.0
"""Of a routine's CPU time all is taken to hold the GIL, with the weight of so many looks."""


class Split(NamedTuple):
    """Seconds of one attempt."""

    python: float
    """On a processor, with the GIL."""
    native: float
    """On a processor, without it."""
    wait: float
    """For the network, a file, a lock, a child: what it would wait for in any mode."""
    contention: float = 0.0
    """For the GIL or a core, which others had."""

    @property
    def cpu(self) -> float:
        """On a processor."""
        return self.python + self.native

    @property
    def service(self) -> float:
        """What it would take alone."""
        return self.python + self.native + self.wait


@dataclass(frozen=True, slots=True)
class Shape:
    """What holds for all attempts of a routine."""

    cpu_mean: float | None
    """Seconds of CPU an attempt takes; `None`: it was never measured."""
    gil_share: float
    wait_factor: float
    """How much of run time that is no CPU time is real waiting."""
    alone: bool
    """Whether nothing else ran beside it."""


def gil_share_of(states: Mapping[ThreadState, float]) -> float:
    """The part of CPU time that holds the GIL, as far as looks tell."""
    held, free = states.get(ThreadState.PYTHON, 0.0), states.get(ThreadState.NATIVE, 0.0)
    return (held + PRIOR) / (held + free + PRIOR)


def gil_share_in_time(observed: Observed, seconds_a_look: float, cpu: float) -> float | None:
    """As `gil_share_of`, where several threads run: so many that run without the GIL have ended before they are seen.

    How much time those looks stand for that found it with the GIL is held against all of its CPU time, in seconds.
    `None`: there are too few looks.
    """
    if observed.looks < ENOUGH_LOOKS:
        return None
    prior = PRIOR * seconds_a_look
    return min(1.0, (observed.states.get(ThreadState.PYTHON, 0.0) * seconds_a_look + prior) / (cpu + prior))


def shapes_of(trace: Trace) -> dict[str, Shape]:
    """By routine: what its attempts have in common."""
    by_routine: dict[str, list[Attempt]] = {}
    for attempt in trace.attempts:
        by_routine.setdefault(attempt.routine_id, []).append(attempt)
    return {routine_id: _shape(trace, routine_id, attempts) for routine_id, attempts in by_routine.items()}


def splits_of(trace: Trace) -> tuple[Split, ...]:
    """How the time of each attempt splits, in the order of `Trace.attempts`."""
    shapes = shapes_of(trace)
    return tuple(_split(attempt, shapes[attempt.routine_id]) for attempt in trace.attempts)


def _shape(trace: Trace, routine_id: str, attempts: Sequence[Attempt]) -> Shape:
    observed = trace.observed(routine_id)
    measured = [attempt for attempt in attempts if attempt.cpu_ns is not None]
    cpu_mean = statistics.fmean(_cpu(attempt) for attempt in measured) if measured else None
    share = gil_share_of(observed.states) if observed.gil_share is None else observed.gil_share
    factor = _wait_factor(trace, routine_id, measured)
    return Shape(cpu_mean, share if trace.host.gil else 0.0, factor, trace.workers == 1)


def _wait_factor(trace: Trace, routine_id: str, measured: Sequence[Attempt]) -> float:
    observed = trace.observed(routine_id)
    waiting = sum(observed.states.get(state, 0.0) for state in ThreadState if state.waits)
    seen = observed.looks >= ENOUGH_LOOKS
    if trace.workers == 1:
        # Nobody of ours was in the way: what did not wait was put off by other processes.
        if not seen:
            pauses = [pause for one in measured if (pause := one.run_time - _cpu(one)) >= SHORTEST_WAIT]
            return 0.0 if 0 < len(pauses) * RARE < len(measured) and sum(pauses) < UNSEEN else 1.0
        rare = waiting * RARE < observed.looks
        return 0.0 if rare else waiting / (waiting + observed.states.get(ThreadState.CORE, 0.0))
    factor = 1.0
    idle = sorted(attempt.run_time - _cpu(attempt) for attempt in measured)
    if idle and (mean := statistics.fmean(idle)) > 0:
        typical = idle[int(len(idle) * (0.5 if observed.reliable else LUCKY))]
        factor = min(factor, max(0.0, typical) / mean)
    if seen and observed.reliable:
        blocked = waiting + observed.states.get(ThreadState.GIL, 0.0) + observed.states.get(ThreadState.CORE, 0.0)
        factor = min(factor, waiting / blocked if blocked else 0.0)
    return factor


def _split(attempt: Attempt, shape: Shape) -> Split:
    run_time = attempt.run_time
    if attempt.cpu_ns is not None:
        cpu = _cpu(attempt)
    else:
        cpu = run_time if shape.cpu_mean is None else min(run_time, shape.cpu_mean)
    idle = run_time - cpu
    wait = idle * shape.wait_factor
    if wait < SHORTEST_WAIT:
        wait = 0.0
        if idle < SHORTEST_WAIT and (shape.alone or shape.wait_factor == 1.0):
            cpu, idle = run_time, 0.0
    python = cpu * shape.gil_share
    return Split(python, cpu - python, wait, idle - wait)


def _cpu(attempt: Attempt) -> float:
    """Seconds; the two clocks are not read at one moment, so the CPU's may have run a little longer."""
    return min(attempt.run_time, (attempt.cpu_ns or 0) / 1e9)
