"""What a recorded job would have taken otherwise, and how far that can be believed.

Before anything else the recorded run is replayed as it was, and the error of that is told. Each prediction has the
band in which eight of ten lie when durations are drawn anew from those of the same routine.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from routilux.execution_mode import ExecutionMode
from routilux.insight.configuration import Configuration, usual
from routilux.insight.costs import Costs
from routilux.insight.replay import replay
from routilux.insight.script import Script, Supposition, script_of
from routilux.insight.split import Split
from routilux.insight.trace import ThreadState, Trace

TRUSTED_ERROR = 0.15
"""A model that misses the run it was made from by more is not to be trusted with others."""

TIE = 0.03
"""Predictions that differ by less are equal."""

REPEATS = 20
MOST_REPLAYED = 400_000
"""Attempts to be replayed for the bands; long recordings have fewer repeats."""

THREADS_ONLY = frozenset({ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT})
"""The modes in which every handler can run as it is."""

SIMPLEST = (ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT, ExecutionMode.ASYNCIO, ExecutionMode.MULTIPROCESSING)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The recorded run, replayed as it was; seconds."""

    recorded: float
    replayed: float

    @property
    def error(self) -> float:
        """By how much of itself the replay is too long."""
        return self.replayed / self.recorded - 1 if self.recorded else 0.0

    @property
    def trusted(self) -> bool:
        """Whether the other predictions mean anything."""
        return abs(self.error) <= TRUSTED_ERROR

    def __str__(self) -> str:
        verdict = "" if self.trusted else ": do not trust the rest"
        return f"replaying your own run: {self.error:+.1%}{verdict}"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one configuration would give; seconds."""

    configuration: Configuration
    wall_time: float
    low: float
    """One in ten would be faster."""
    high: float
    """One in ten would be slower."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What would come of one thing being better, with the configuration that was recorded."""

    subject: str
    wall_time: float
    share: float
    """By how much of itself the wall time would be shorter."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """All answers for one recording."""

    self_check: SelfCheck
    predictions: tuple[Prediction, ...]
    """The fastest first."""
    speed_ups: tuple[Gain, ...]
    """Of each routine being twice as fast, the most rewarding first."""
    waits_gone: tuple[Gain, ...]
    """Of nothing waiting any more for the network, a file, a lock and so on."""
    assumptions: tuple[str, ...]

    def recommended(self, allowed: Collection[ExecutionMode] = THREADS_ONLY) -> Prediction | None:
        """Of those that are as good as the best, the one with the fewest workers; `None` if there is none.

        `allowed` are the modes that handlers may run in: what is no coroutine must not be on a loop, and what does not
        pickle in no other process.
        """
        possible = [one for one in self.predictions if set(one.configuration.used) <= set(allowed)]
        if not possible:
            return None
        best = min(one.wall_time for one in possible)
        ties = [one for one in possible if one.wall_time <= best * (1 + TIE)]
        return min(ties, key=lambda one: (one.configuration.total_workers, SIMPLEST.index(one.configuration.mode)))


def recorded_configuration(trace: Trace) -> Configuration:
    """What a trace was recorded with; raises `SettingError` for a mode that there is no model of."""
    modes = {routine_id: one.mode for routine_id, one in trace.routines.items() if one.mode not in (None, trace.mode)}
    elsewhere = {routine_id: mode for routine_id, mode in modes.items() if mode is not None}
    workers = {mode: trace.workers_by_mode.get(mode, trace.workers) for mode in (trace.mode, *elsewhere.values())}
    return Configuration(trace.mode, workers, elsewhere)


def what_if(
    trace: Trace,
    costs: Costs,
    configurations: Sequence[Configuration] | None = None,
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> WhatIf:
    """Answers for a recorded job, by default for all usual configurations of its machine."""
    if configurations is None:
        configurations = usual(trace.host.cores)
    whole, recorded = script_of(trace), recorded_configuration(trace)
    itself = replay(whole, recorded, _with_recorder(costs)).wall_time
    script = whole.unrecorded(costs.recording)
    base = replay(script, recorded, costs).wall_time
    most = MOST_REPLAYED // max(1, len(trace.attempts) * len(configurations))
    others = _resampled(script, random.Random(seed), min(repeats, max(3, most)))
    predictions = [_predict(script, others, configuration, costs) for configuration in configurations]
    return WhatIf(
        SelfCheck(trace.wall_time, itself),
        tuple(sorted(predictions, key=lambda one: one.wall_time)),
        _ranked([_gain(script, recorded, costs, base, who, _twice_as_fast(who)) for who in _routines(trace)]),
        _ranked([_gain(script, recorded, costs, base, state, _without(state)) for state in _waits(trace)]),
        tuple(_assumptions(trace, configurations)),
    )


def best_modes(
    script: Script, start: Configuration, costs: Costs, choices: Sequence[tuple[ExecutionMode, int]]
) -> Configuration:
    """The mode that is best for each routine, one after another, the busiest first; each move gains more than a tie."""
    best, wall_time = start, replay(script, start, costs).wall_time
    busy: dict[str, float] = {}
    for attempt, split in zip(script.trace.attempts, script.splits, strict=True):
        busy[attempt.routine_id] = busy.get(attempt.routine_id, 0.0) + split.service
    for routine_id in sorted(busy, key=lambda one: busy[one], reverse=True):
        for mode, workers in choices:
            candidate = best.with_mode(routine_id, mode, workers)
            took = replay(script, candidate, costs).wall_time
            if took < wall_time * (1 - TIE):
                best, wall_time = candidate, took
    return best


def _with_recorder(costs: Costs) -> Costs:
    """What an activation costs where it is recorded."""
    more = costs.recorder
    return replace(costs, sequential=costs.sequential + more, thread=costs.thread + more, loop=costs.loop + more)


def _predict(script: Script, others: Sequence[Script], configuration: Configuration, costs: Costs) -> Prediction:
    drawn = sorted(replay(other, configuration, costs).wall_time for other in others)
    wall_time = replay(script, configuration, costs).wall_time
    low, high = (drawn[round(share * (len(drawn) - 1))] for share in (0.1, 0.9)) if drawn else (wall_time, wall_time)
    return Prediction(configuration, wall_time, low, high)


def _resampled(script: Script, chance: random.Random, repeats: int) -> list[Script]:
    """The same job, so often, with durations drawn from those of the same routine."""
    routines = [attempt.routine_id for attempt in script.trace.attempts]
    known: dict[str, list[Split]] = {}
    for routine_id, split in zip(routines, script.splits, strict=True):
        known.setdefault(routine_id, []).append(split)
    return [script.with_splits([chance.choice(known[routine_id]) for routine_id in routines]) for _ in range(repeats)]


def _gain(
    script: Script, recorded: Configuration, costs: Costs, base: float, subject: str, supposition: Supposition
) -> Gain:
    wall_time = replay(script.supposing(supposition), recorded, costs).wall_time
    return Gain(subject, wall_time, 1 - wall_time / base if base else 0.0)


def _ranked(gains: Sequence[Gain]) -> tuple[Gain, ...]:
    return tuple(sorted(gains, key=lambda gain: gain.share, reverse=True))


def _twice_as_fast(routine_id: str) -> Supposition:
    return Supposition(times={routine_id: 0.5})


def _without(state: ThreadState) -> Supposition:
    return Supposition(without=frozenset({state}))


def _routines(trace: Trace) -> list[str]:
    return list(dict.fromkeys(attempt.routine_id for attempt in trace.attempts))


def _waits(trace: Trace) -> list[ThreadState]:
    """The states in which something was found waiting."""
    return [
        state for state in ThreadState if state.waits and any(one.states.get(state) for one in trace.routines.values())
    ]


def _assumptions(trace: Trace, configurations: Sequence[Configuration]) -> list[str]:
    """What the predictions take for granted, in words."""
    used = {mode for configuration in configurations for mode in configuration.used}
    said = [
        "Handlers do the same work in every mode, half of their Python before what they wait for.",
        "What handlers wait for takes as long however many of them ask at once.",
        "Workers are up when the job starts.",
    ]
    if ExecutionMode.ASYNCIO in used and trace.mode != ExecutionMode.ASYNCIO:
        said.append("asyncio: as if every handler were a coroutine that awaits whatever it waits for.")
    if ExecutionMode.MULTIPROCESSING in used and all(attempt.payload_bytes is None for attempt in trace.attempts):
        said.append("multiprocessing: as if arguments and results were small; no payload was weighed.")
    unseen = [
        who for who in _routines(trace) if not trace.observed(who).looks and trace.observed(who).gil_share is None
    ]
    if unseen and trace.host.gil:
        said.append(f"Nobody looked at {', '.join(map(repr, unseen))}: taken to hold the GIL whenever computing.")
    blind = {attempt.routine_id for attempt in trace.attempts if attempt.cpu_ns is not None}
    unmeasured = [who for who in _routines(trace) if who not in blind]
    if unmeasured:
        said.append(f"No CPU time was measured of {', '.join(map(repr, unmeasured))}: taken to compute all the time.")
    if trace.foreign_load is None:
        said.append("It is not known how much CPU time other processes used.")
    elif trace.foreign_load > 0:
        said.append(f"Other processes go on using {trace.foreign_load:.2f} cores.")
    return said
