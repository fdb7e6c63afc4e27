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
    target: float
    unit: str
    minimum: float
    median: float
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        return self.minimum <= self.target


def ratio(
    measure: str,
    target: float,
    subject: Callable[[], int],
    baseline: Callable[[], int],
    repetitions: int,
) -> Figure:
    """Cost of the subject in units of the baseline's; both give how many times they did what is measured.

    The minimum is the best subject against the best baseline, the median that of the pairs.
    """
    subject(), baseline()
    pairs = [(_cost(subject), _cost(baseline)) for _ in range(repetitions)]
    best_subject, best_baseline = min(one for one, _ in pairs), min(one for _, one in pairs)
    return Figure(
        measure,
        target,
        "x",
        best_subject / best_baseline,
        statistics.median(one / other for one, other in pairs),
        f"{_duration(best_subject)} against {_duration(best_baseline)}",
    )


def _cost(work: Callable[[], int]) -> float:
    gc.collect()
    began = perf_counter()
    times = work()
    return (perf_counter() - began) / times


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"
