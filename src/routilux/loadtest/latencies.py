"""How long jobs took: percentiles, each with the number of jobs that it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MANY = 10_000
"""Below so many jobs the one in a thousand is a matter of luck, and p99.9 is not told."""

TICKS_PER_HALVING = 5
"""Lines of a percentile table for each halving of what is left to 100 %."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles in seconds; `None` where too few jobs were over to tell."""

    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    longest: float | None = None

    def at(self, name: str) -> float | None:
        """By the name that it has in an objective."""
        by_name = {"mean": self.mean, "p50": self.p50, "p90": self.p90, "p99": self.p99, "p99.9": self.p999}
        return self.longest if name == "max" else by_name[name]


def spread_of(latencies: Sequence[float]) -> Spread:
    """The percentiles of these."""
    if not latencies:
        return Spread()
    ordered = sorted(latencies)
    count = len(ordered)
    p50, p90, p99, p999 = (quantile(ordered, share) for share in (0.5, 0.9, 0.99, 0.999))
    mean = math.fsum(ordered) / count
    return Spread(count, mean, p50, p90, p99, p999 if count >= MANY else None, ordered[-1])


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def percentile_table(latencies: Sequence[float]) -> str:
    """The distribution in milliseconds, as the text format `.hgrm` that plotters of HdrHistogram read."""
    ordered = sorted(latencies)
    count = len(ordered)
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    left = 1.0
    while ordered and left * count >= 1:
        rank = max(1, math.ceil((1 - left) * count - 1e-9))
        lines.append(f"{ordered[rank - 1] * 1e3:12.6f} {1 - left:14.12f} {rank:10d} {1 / left:14.2f}")
        left *= 0.5 ** (1 / TICKS_PER_HALVING)
    if ordered:
        mean = math.fsum(ordered) / count
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / count)
        lines += [
            f"{ordered[-1] * 1e3:12.6f} {1:14.12f} {count:10d}",
            f"#[Mean    = {mean * 1e3:12.6f}, StdDeviation   = {deviation * 1e3:12.6f}]",
            f"#[Max     = {ordered[-1] * 1e3:12.6f}, Total count    = {count:12d}]",
        ]
    return "\n".join([*lines, ""])
