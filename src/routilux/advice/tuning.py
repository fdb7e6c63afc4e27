"""Tuning: record, foresee, try, and recommend what was fastest when it was tried, if that is worth it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from routilux.advice.answers import Advice
from routilux.advice.candidates import (
    Candidate,
    Recorded,
    Trials,
    allowed_modes,
    candidates_for,
    configuration_of,
    default_workers,
    named,
)
from routilux.advice.explanation import Explanation, explain_trace
from routilux.advice.foresight import REPEATS, TRIED, best_of, costs_for, foresee, record_well
from routilux.advice.placing import as_python, as_toml
from routilux.advice.prospects import Prospects
from routilux.advice.report import Report, report, seconds
from routilux.execution_mode import ExecutionMode
from routilux.insight.configuration import Configuration
from routilux.insight.costs import Costs
from routilux.insight.script import script_of
from routilux.insight.split import splits_of
from routilux.insight.trace import Trace
from routilux.insight.what_if import TIE, best_modes
from routilux.settings import SettingArguments, Settings
from routilux.signals.foreign_load import TOO_MUCH

WORTH_IT = 0.05
"""A gain with a smaller share of the time is left where it is."""

SHORT = 10
"""An activation that takes fewer times of what the engine needs for it is too short."""

MANY = 500
"""Fewer short activations are nobody's trouble."""

MOST_IN_A_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Recommendation(Advice):
    """What to run a flow with; printed, it is a report."""

    explanation: Explanation
    prospects: Prospects
    before: Candidate
    """As it is."""
    after: Candidate
    """The fastest of what was tried, or of equals that with the fewest workers; that as it is, if nothing is gained."""
    foreign_load: float | None
    hints: tuple[str, ...]
    """What no setting can do."""

    @property
    def conclusive(self) -> bool:
        return (self.foreign_load or 0.0) <= TOO_MUCH

    @property
    def times(self) -> tuple[float, float]:
        """Measured seconds, as it is and as it is recommended."""
        before = self.prospects.measured_of(self.before.configuration) or self.prospects.trace.wall_time
        return before, self.prospects.measured_of(self.after.configuration) or before

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed."""
        return self.after is not self.before

    @property
    def settings(self) -> SettingArguments:
        return self.after.settings if self.changes else SettingArguments()

    @property
    def sentence(self) -> str:
        before, after = self.times
        if self.changes:
            found = (
                f"Run it in {self.after.configuration}: {seconds(after)} instead of {seconds(before)} "
                f"in {self.before.configuration}, {before / after:.2f} times as fast (measured)."
            )
        else:
            found = f"Leave it as it is, in {self.before.configuration}: nothing that was tried gains {WORTH_IT:.0%}."
        if self.conclusive:
            return found
        return (
            f"Cannot conclude: other processes used {self.foreign_load:.2f} cores meanwhile. "
            f"Try again when they are quiet. As far as can be told: {found}"
        )

    def to_toml(self) -> str:
        return as_toml(self.settings, (self.sentence,))

    def to_python(self) -> str:
        return as_python(self.settings, (self.sentence,))

    def to_dict(self) -> dict[str, Any]:
        before, after = self.times
        return {
            "flow": self.prospects.trace.flow_id,
            "verdict": self.sentence,
            "conclusive": self.conclusive,
            "settings": dict(self.settings),
            "before": {"configuration": str(self.before.configuration), "seconds": before},
            "after": {"configuration": str(self.after.configuration), "seconds": after},
            "hints": list(self.hints),
            "foreign_load": self.foreign_load,
            "explanation": self.explanation.to_dict(),
            "prospects": self.prospects.to_dict(),
        }

    def report(self) -> Report:
        settings = f"Settings:\n{as_toml(self.settings)}".rstrip() if self.changes else None
        return report(
            self.sentence,
            settings,
            "\n".join(self.hints),
            f"As it was recorded, in sequence: {self.explanation.sentence}",
            *self.prospects.report().parts,
        )


def tune(trials: Trials, costs: Costs, current: Settings, *, allow_processes: bool) -> Recommendation:
    """Finds what a flow is best run with, starting from what it is run with now."""
    recorded = record_well(trials)
    trace, costs = recorded.trace, costs_for(recorded, costs)
    before = replace(trials.candidate(configuration_of(current)), settings=SettingArguments())
    candidates = named([before, *candidates_for(trials, trace.host.cores).values()])
    modes = allowed_modes(recorded.unsendable, allow_processes=allow_processes)
    if allow_processes:
        candidates |= _placed(trials, recorded, costs)
    prospects = foresee(trace, costs, [one.configuration for one in candidates.values()])
    fastest = prospects.what_if.recommended(modes)
    best = [candidates[str(one.configuration)] for one in best_of(prospects.what_if.predictions, candidates, modes)]
    chosen = [] if fastest is None else [candidates[str(fastest.configuration)]]
    tried = named([before, *chosen, *best]).values()
    measured = trials.times(list(tried)[: 1 + TRIED], REPEATS)
    prospects = replace(prospects, measured=measured)
    after = _fastest(before, [candidates[name] for name in measured], prospects)
    hints = (*_unsendable(recorded, allow_processes=allow_processes), *_too_short(trace, after, costs))
    return Recommendation(
        explain_trace(trace), prospects, before, after, trace.foreign_load, (*hints, *_history(trace, current))
    )


def _placed(trials: Trials, recorded: Recorded, costs: Costs) -> dict[str, Candidate]:
    """Threads, with those routines in other processes that gain by it and can be sent there."""
    cores = recorded.trace.host.cores
    threads = Configuration(
        ExecutionMode.CONCURRENT, {ExecutionMode.CONCURRENT: default_workers(ExecutionMode.CONCURRENT)}
    )
    script = script_of(recorded.trace).unrecorded(costs.recording)
    found = best_modes(script, threads, costs, [(ExecutionMode.MULTIPROCESSING, cores)])
    kept = {who: mode for who, mode in found.modes.items() if who not in recorded.unsendable}
    return named([trials.candidate(Configuration(found.mode, found.workers, kept))]) if kept else {}


def _fastest(before: Candidate, tried: list[Candidate], prospects: Prospects) -> Candidate:
    """What took least time when it was tried, if the gain is worth it."""
    took = {str(one.configuration): prospects.measured_of(one.configuration) or float("inf") for one in tried}
    least = min(took.values())
    if 1 - least / took[str(before.configuration)] < WORTH_IT:
        return before
    ties = [one for one in tried if took[str(one.configuration)] <= least * (1 + TIE)]
    return min(ties, key=lambda one: one.configuration.total_workers)


def _unsendable(recorded: Recorded, *, allow_processes: bool) -> list[str]:
    if not allow_processes:
        return ["Processes were not tried; allow them where handlers and what they are given can be pickled."]
    return [f"{who!r} cannot run in another process: {why}" for who, why in recorded.unsendable.items()]


def _too_short(trace: Trace, after: Candidate, costs: Costs) -> list[str]:
    """For routines whose activations are too short: how many of them to handle at once."""
    work: Counter[str] = Counter()
    counts = Counter(attempt.routine_id for attempt in trace.attempts)
    for attempt, split in zip(trace.attempts, splits_of(trace), strict=True):
        work[attempt.routine_id] += round(split.service * 1e9)
    process = costs.process_send + costs.process_receive + costs.process_child
    by_mode = {
        ExecutionMode.SEQUENTIAL: costs.sequential,
        ExecutionMode.ASYNCIO: costs.loop,
        ExecutionMode.MULTIPROCESSING: process,
    }
    hints = []
    for who, count in counts.items():
        cost, each = by_mode.get(after.configuration.mode_of(who), costs.thread), work[who] / 1e9 / count
        if count >= MANY and each < SHORT * cost:
            size = min(MOST_IN_A_BATCH, max(2, round(SHORT * cost / max(each, 1e-9))))
            hints.append(
                f"{who!r} takes {seconds(each)} an activation, and the engine about {seconds(cost)} beside: handle "
                f"{size} at once, with fires=batch({size}) or by sending lists."
            )
    return hints


def _history(trace: Trace, current: Settings) -> list[str]:
    """Whether the history's limits fit a job of this size."""
    limit, count = current.max_history_size, len(trace.attempts)
    if limit is None and count > MANY:
        return [f"A job has {count:,} records and its history keeps all of them: max_history_size=1000 bounds it."]
    if limit is not None and 0 < limit < count:
        return [f"A job has {count:,} records, of which its history keeps {limit:,}; counts are of all."]
    return []
