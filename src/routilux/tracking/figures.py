"""Durations, summed up: exact count, sum, minimum and maximum, and quantiles from a digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastdigest import TDigest

WHOLE = 1024
"""So many durations all go into the digest; of those that come later, one in `SAMPLE` does."""

SAMPLE = 8

DIGEST_AT = 256
"""So many durations go into the digest at once."""

CENTROIDS = 200
"""The size of a digest: quantiles are right to about a hundredth of their rank, and better at the ends."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How durations are spread."""

    count: int
    total: float
    """Seconds of all together."""
    at_most: tuple[int, ...]
    """For each of the bounds that were asked for: how many durations were no longer, an estimate."""


class Figures:
    """All durations of one kind, in nanoseconds, folded into a few numbers."""

    __slots__ = ("_digest", "_sample", "count", "longest", "shortest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.shortest = 0
        self.longest = 0
        self._digest = TDigest(max_centroids=CENTROIDS)
        self._sample: list[int] = []

    def fold(self, durations: Sequence[int], weight: int = 1) -> None:
        """Adds durations, at least one, each of which stands for `weight`."""
        shortest, longest = min(durations), max(durations)
        if shortest < self.shortest or not self.count:
            self.shortest = shortest
        if longest > self.longest:
            self.longest = longest
        self._sample += durations if self.count < WHOLE else durations[::SAMPLE]
        if len(self._sample) >= DIGEST_AT:
            self._digest.batch_update(self._sample)
            self._sample.clear()
        self.count += len(durations) * weight
        self.total += sum(durations) * weight

    @property
    def digest(self) -> TDigest:
        """The distribution of the durations."""
        if self._sample:
            self._digest.batch_update(self._sample)
            self._sample.clear()
        return self._digest

    def merge(self, other: Figures) -> None:
        """Adds all that another has seen."""
        if other.count:
            self.shortest = min(self.shortest, other.shortest) if self.count else other.shortest
            self.longest = max(self.longest, other.longest)
            self.count += other.count
            self.total += other.total
            self._digest.merge_inplace(other.digest)

    def distribution(self, bounds: Sequence[float]) -> Distribution:
        """How many durations were at most so many seconds; the bounds ascend."""
        if not self.count:
            return Distribution(0, 0.0, (0,) * len(bounds))
        shares = [self.digest.cdf(bound * 1e9) if bound * 1e9 < self.longest else 1.0 for bound in bounds]
        return Distribution(self.count, self.total / 1e9, tuple(round(share * self.count) for share in shares))

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
