"""How a figure is taken: subject and baseline in turn, so that a machine that slows down slows down both."""

from __future__ import annotations

import enum
import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


class Better(enum.StrEnum):
    """Which figures are the better ones."""

    SMALLER = enum.auto()
    """A cost."""
    LARGER = enum.auto()
    """A speed-up."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table, of which the best is judged."""

    measure: str
    target: float | None
    """`None`: shown for comparison, not judged."""
    unit: str
    """Empty: nothing was measured."""
    best: float
    """Of the least times that were measured; the minimum of a cost."""
    median: float
    note: str = ""
    better: Better = Better.SMALLER

    @property
    def verdict(self) -> str:
        """`ok`, `over` or `under`; empty where there is no target."""
        if self.target is None:
            return ""
        if self.better is Better.LARGER:
            return "ok" if self.best >= self.target else "under"
        return "ok" if self.best <= self.target else "over"


def exit_code(figures: list[Figure]) -> int:
    """1 where a figure misses its target."""
    return int(any(figure.verdict in {"over", "under"} for figure in figures))


def skipped(measure: str, package: str) -> Figure:
    """A row that cannot be measured here."""
    return Figure(measure, None, "", 0.0, 0.0, f"skipped: {package} is not installed")


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

    The best is the best subject against the best baseline, the median that of the pairs. The note tells
    how noisy the machine was: by how much the baseline's median is above its minimum.
    """
    pairs = _pairs(subject, baseline, repetitions, prepare)
    best_subject, best_baseline = min(one for one, _ in pairs), min(other for _, other in pairs)
    median = statistics.median(one / other for one, other in pairs)
    return Figure(measure, target, "x", best_subject / best_baseline, median, _note(pairs))


def speed_up(
    measure: str,
    target: float | None,
    subject: Callable[[], int],
    baseline: Callable[[], int],
    repetitions: int,
) -> Figure:
    """How many times as fast as the baseline the subject is; otherwise as `ratio`."""
    pairs = _pairs(subject, baseline, repetitions, lambda: None)
    best_subject, best_baseline = min(one for one, _ in pairs), min(other for _, other in pairs)
    median = statistics.median(other / one for one, other in pairs)
    return Figure(measure, target, "x", best_baseline / best_subject, median, _note(pairs), Better.LARGER)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _pairs(
    subject: Callable[[], int], baseline: Callable[[], int], repetitions: int, prepare: Callable[[], object]
) -> list[tuple[float, float]]:
    _cost(subject, prepare), _cost(baseline)
    return [(_cost(subject, prepare), _cost(baseline)) for _ in range(repetitions)]


def _note(pairs: list[tuple[float, float]]) -> str:
    baselines = [other for _, other in pairs]
    least = min(baselines)
    noise = statistics.median(baselines) / least - 1
    return f"{duration(min(one for one, _ in pairs))} against {duration(least)}, noise {noise:.0%}"


def _cost(work: Callable[[], int], prepare: Callable[[], object] = lambda: None) -> float:
    prepare()
    gc.collect()
    began = perf_counter()
    times = work()
    return (perf_counter() - began) / times
