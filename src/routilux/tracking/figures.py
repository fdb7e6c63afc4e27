"""Durations, summed up: exact count, sum, minimum and maximum, and quantiles from a digest."""

from __future__ import annotations

from collections.abc import Sequence

from fastdigest import TDigest

WHOLE = 1000
"""So many durations all go into the digest; of those that come later, one in `SAMPLE` does."""

SAMPLE = 8


class Figures:
    """All durations of one kind, in nanoseconds, folded into a few numbers."""

    __slots__ = ("count", "digest", "longest", "shortest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.shortest = 0
        self.longest = 0
        self.digest = TDigest()

    def fold(self, durations: Sequence[int]) -> None:
        """Adds durations; at least one."""
        shortest, longest = min(durations), max(durations)
        self.shortest = min(self.shortest, shortest) if self.count else shortest
        self.longest = max(self.longest, longest)
        self.digest.batch_update(durations if self.count < WHOLE else durations[::SAMPLE])
        self.count += len(durations)
        self.total += sum(durations)

    def merge(self, other: Figures) -> None:
        """Adds all that another has seen."""
        if other.count:
            self.shortest = min(self.shortest, other.shortest) if self.count else other.shortest
            self.longest = max(self.longest, other.longest)
            self.count += other.count
            self.total += other.total
            self.digest.merge_inplace(other.digest)

    def summary(self) -> dict[str, float]:
        """`min`, `mean`, `p50`, `p95`, `p99` and `max` in seconds; empty where there was nothing."""
        if not self.count:
            return {}
        p50, p95, p99 = (
            min(max(self.digest.quantile(share), self.shortest), self.longest) for share in (0.5, 0.95, 0.99)
        )
        return {
            "min": self.shortest / 1e9,
            "mean": self.total / self.count / 1e9,
            "p50": p50 / 1e9,
            "p95": p95 / 1e9,
            "p99": p99 / 1e9,
            "max": self.longest / 1e9,
        }
