"""The history of one job."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from routilux.facts import Record, taken_out
from routilux.tracking.counts import Counts, Tally
from routilux.tracking.records import Executions

COUNT_AT = 1024
"""So many records are counted at once; a job that has fewer is counted when somebody asks."""


class History:
    """The last records of one job, and counts of all there were.

    Each record is dropped once, from the front, so keeping the bounds costs nothing that grows with them.
    """

    def __init__(
        self, max_size: int | None, ttl_seconds: float | None, now: Callable[[], int], offset: int = 0
    ) -> None:
        """`None` lifts a bound, a `max_size` of 0 keeps nothing.

        `now` gives the present moment of the job's clock, and `offset` what to add to get nanoseconds since the epoch.
        """
        self._records: deque[Record] = deque(maxlen=max_size)
        self._ttl_ns = None if ttl_seconds is None else int(ttl_seconds * 1e9)
        self._now = now
        self._offset = offset
        self._tally: Tally | None = None
        self._uncounted: list[Record] = []
        self._unusual: list[Record] = []
        self._counting = threading.Lock()
        """So that whoever asks meanwhile misses nothing: a snapshot would miss it for good."""

    @property
    def executions(self) -> Executions:
        """What is kept now, oldest first."""
        return Executions(self.records, self._offset)

    @property
    def records(self) -> list[Record]:
        """The same as tuples."""
        self._prune()
        return list(self._records)

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By routine id: how its activations ended, all of them."""
        with self._counting:
            return self._count().counts()

    def resume(self, records: Sequence[Record], counts: Mapping[str, Counts]) -> None:
        """Goes on where another one was; nothing has been absorbed yet."""
        self._records.extend(records)
        self._tally = Tally(counts)

    def absorb(self, records: Sequence[Record], unusual: Sequence[Record]) -> None:
        """Takes records in."""
        self._records.extend(records)
        self._uncounted.extend(records)
        self._unusual.extend(unusual)
        if len(self._uncounted) >= COUNT_AT:
            self._prune()
            with self._counting:
                self._count()

    def _count(self) -> Tally:
        """Counts what has not been; most jobs are so short, and so seldom asked, that it never comes to that."""
        if self._tally is None:
            self._tally = Tally()
        self._tally.add(taken_out(self._uncounted))
        self._tally.add_unusual(taken_out(self._unusual))
        return self._tally

    def _prune(self) -> None:
        """Drops what is too old."""
        if self._ttl_ns is not None:
            oldest, kept = self._now() - self._ttl_ns, self._records
            while kept and kept[0][8] < oldest:
                kept.popleft()
