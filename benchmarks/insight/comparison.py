"""What is foretold of a flow, what tuning and auto mode choose for it, and what nine fixed configurations take.

All of them run in turn, so that a busy machine disturbs all alike, and the least of several runs counts. The cores that
others used meanwhile are printed beside it; a flow beside which they used more than a quarter of one is measured again,
and if that does not help, not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.insight.subjects import Subject
from benchmarks.measure import Better, Figure
from routilux import Flow
from routilux.advice.placing import settings_of
from routilux.advice.prospects import Prospects
from routilux.advice.tuning import Recommendation
from routilux.insight.configuration import processes, sequential, threads
from routilux.signals.foreign_load import TOO_MUCH, ForeignLoad

FIXED = {
    str(one): settings_of(one, {})
    for one in (sequential(), *map(threads, (2, 4, 8, 16, 32)), *map(processes, (1, 2, 4)))
}
AUTO, TUNED = "auto", "tuned"
SETTLING = 9.0
"""Seconds in which a flow in auto mode has to settle."""

CHANCES = 3
"""So often a flow is measured before it is given up for the load of others."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One flow; seconds."""

    name: str
    predicted: dict[str, float]
    """By configuration."""
    measured: dict[str, float]
    """By configuration, and of what tuning and auto mode chose."""
    chosen: dict[str, str]
    """What tuning and auto mode chose."""
    foreign_load: float

    @property
    def clean(self) -> bool:
        """Whether others let the machine alone."""
        return self.foreign_load <= TOO_MUCH

    @property
    def errors(self) -> dict[str, float]:
        """By how much of the measured time each prediction is too long."""
        return {one: self.predicted[one] / self.measured[one] - 1 for one in FIXED}

    def best(self, *others: str) -> str:
        """What was fastest, of the configurations and others."""
        return min((*FIXED, *others), key=lambda one: self.measured[one])

    def slower(self, one: str, other: str) -> float:
        """By how much of the other's time the one takes longer."""
        return self.measured[one] / self.measured[other] - 1

    def __str__(self) -> str:
        lines = [f"{self.name}: foreign load {self.foreign_load:.2f}{'' if self.clean else ', not counted'}"]
        lines += [
            f"  {one:28} predicted {self.predicted[one] * 1e3:8.1f} ms  measured {self.measured[one] * 1e3:8.1f} ms  "
            f"error {error:+7.1%}"
            for one, error in self.errors.items()
        ]
        lines += [
            f"  {way}: {self.measured[way] * 1e3:.1f} ms, {self.slower(way, best):+.1%} against the best ({best}), "
            f"{self.slower(way, str(sequential())):+.1%} against sequential; {self.chosen[way]}"
            for way, best in ((TUNED, self.best(TUNED)), (AUTO, self.best()))
        ]
        return "\n".join(lines)


def compared(name: str, subject: Subject, repeats: int, scale: float) -> Comparison:
    """Measures one flow, again if others were busy and it is measured in earnest."""
    for _ in range(CHANCES if scale >= 1 else 1):
        found = _compared(name, subject, repeats, scale * SETTLING)
        if found.clean:
            break
    return found


def figures(comparisons: Sequence[Comparison], share: float) -> list[Figure]:
    """What they come to; `share` of the flows that there are is to be within the limits."""
    clean = [one for one in comparisons if one.clean]
    errors = sorted(abs(error) for one in clean for error in one.errors.values()) or [float("inf")]
    note = f"{len(errors)} predictions, worst {errors[-1]:.1%}"
    tuned = [one.slower(TUNED, one.best(TUNED)) for one in clean]
    auto = [one.slower(AUTO, one.best()) for one in clean]
    over = [one.slower(AUTO, str(sequential())) for one in clean]
    wanted, of = round(share * len(comparisons)), f"of {len(clean)}"
    safe, near, best = (
        float(sum(slower <= limit for slower in found)) for found, limit in ((over, 0.05), (auto, 0.1), (tuned, 0.05))
    )
    middle, ninth = (100 * found for found in (statistics.median(errors), errors[int(len(errors) * 0.9)]))
    return [
        Figure("predictions: median error", 5.0, "%", middle, middle, note),
        Figure("predictions: 90th percentile", 15.0, "%", ninth, ninth, note),
        Figure("tune: at most 5% over the best", wanted, "flows", best, best, of, Better.LARGER),
        Figure("auto: at most 10% over the best", wanted, "flows", near, near, of, Better.LARGER),
        Figure("auto: at most 5% over sequential", len(clean), "flows", safe, safe, of, Better.LARGER),
    ]


def _compared(name: str, subject: Subject, repeats: int, settling: float) -> Comparison:
    with subject.build(allow_processes=True) as flow:
        prospects = flow.what_if(subject.entry, subject.params)
        tuned = flow.tune(subject.entry, subject.params)
    assert isinstance(prospects, Prospects)
    assert isinstance(tuned, Recommendation)
    predicted = {str(one.configuration): one.wall_time for one in prospects.what_if.predictions}
    ways: dict[str, Any] = {**FIXED, AUTO: {"execution_mode": AUTO, "allow_processes": True}}
    configuration = str(tuned.after.configuration)
    if configuration not in FIXED:
        ways[TUNED] = tuned.settings
    with ExitStack() as stack:
        flows = {way: stack.enter_context(subject.build(**settings)) for way, settings in ways.items()}
        until = time.perf_counter() + settling
        while time.perf_counter() < until:
            _run(flows[AUTO], subject)
        load, best = ForeignLoad(), dict.fromkeys(flows, float("inf"))
        for repeat in range(repeats + 1):
            for way, flow in flows.items():
                took = _run(flow, subject)
                if repeat:  # the first is for the workers to start
                    best[way] = min(best[way], took)
        foreign, tuning = load.cores() or 0.0, flows[AUTO].tuning
    chosen = {TUNED: tuned.sentence, AUTO: f"{tuning.mode.value}, {tuning.workers} workers"}
    best.setdefault(TUNED, best.get(configuration, float("inf")))
    return Comparison(name, {one: predicted[one] for one in FIXED}, best, chosen, foreign)


def _run(flow: Flow, subject: Subject) -> float:
    return flow.execute(subject.entry, subject.params).raise_for_status().duration
