"""The history of one job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from routilux.facts import Record
from routilux.tracking.counts import Counts, Tally
from routilux.tracking.retained import Retained

COUNT_AT = 1024
"""So many records are counted at once; a job that has fewer is counted when somebody asks."""


class History(Retained):
    """The records of one job that are kept, and counts of all there were."""

    def __init__(self, max_size: int | None, ttl_seconds: float | None, now: Callable[[], int]) -> None:
        super().__init__(max_size, ttl_seconds, now)
        self._tally = Tally()
        self._uncounted: list[Record] = []

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By routine id: how its activations ended, all of them."""
        uncounted, self._uncounted = self._uncounted, []
        self._tally.add(uncounted)
        return self._tally.counts()

    def absorb(self, records: Sequence[Record], unusual: Sequence[Record]) -> None:
        """Takes records in."""
        self.extend(records)
        self._tally.add_unusual(unusual)
        self._uncounted.extend(records)
        if len(self._uncounted) >= COUNT_AT:
            self.prune()
            self._tally.add(self._uncounted)
            self._uncounted.clear()
