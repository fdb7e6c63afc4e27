"""How a figure is taken: subject and baseline in turn, so that a machine that slows down slows down both."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: smaller is better, and the minimum is judged."""

    measure: str
    target: float | None
    """`None`: shown for comparison, not judged."""
    unit: str
    minimum: float
    median: float
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok` or `over`; empty where there is no target."""
        if self.target is None:
            return ""
        return "ok" if self.minimum <= self.target else "over"


def exit_code(figures: list[Figure]) -> int:
    """1 where a figure is over its target."""
    return int(any(figure.verdict == "over" for figure in figures))


def ratio(
    measure: str,
    target: float | None,
    subject: Callable[[], int],
    baseline: Callable[[], int],
    repetitions: int,
    prepare: Callable[[], object] = lambda: None,
) -> Figure:
    """Cost of the subject in units of the baseline's; both give how many times they did what is measured.
    What `prepare` does before each run of the subject is not measured.

    The minimum is the best subject against the best baseline, the median that of the pairs. The note tells
    how noisy the machine was: by how much the baseline's median is above its minimum.
    """
    _cost(subject, prepare), _cost(baseline)
    pairs = [(_cost(subject, prepare), _cost(baseline)) for _ in range(repetitions)]
    baselines = [other for _, other in pairs]
    best_subject, best_baseline = min(one for one, _ in pairs), min(baselines)
    noise = statistics.median(baselines) / best_baseline - 1
    return Figure(
        measure,
        target,
        "x",
        best_subject / best_baseline,
        statistics.median(one / other for one, other in pairs),
        f"{_duration(best_subject)} against {_duration(best_baseline)}, noise {noise:.0%}",
    )


def _cost(work: Callable[[], int], prepare: Callable[[], object] = lambda: None) -> float:
    prepare()
    gc.collect()
    began = perf_counter()
    times = work()
    return (perf_counter() - began) / times


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"
