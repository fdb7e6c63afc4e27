"""The records that are kept: bounded by number and by age."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from routilux.facts import Record
from routilux.tracking.records import ExecutionRecord


class Retained(Sequence[ExecutionRecord]):
    """A sequence of the last records, oldest first; what is too old has gone when one looks.

    Each record is dropped once, from the front, so keeping the bounds costs nothing that grows with them.
    """

    def __init__(self, max_size: int | None, ttl_seconds: float | None, now: Callable[[], int]) -> None:
        """`None` lifts a bound, a `max_size` of 0 keeps nothing; `now` gives the present moment of the job's clock."""
        self._records: deque[Record] = deque(maxlen=max_size)
        self._ttl_ns = None if ttl_seconds is None else int(ttl_seconds * 1e9)
        self._now = now
        self.dropped_by_count = 0
        self.dropped_by_age = 0

    def extend(self, records: Sequence[Record]) -> None:
        """Adds records; drops as many of the oldest as there are too many."""
        kept = self._records
        if kept.maxlen is not None:
            self.dropped_by_count += max(0, len(kept) + len(records) - kept.maxlen)
        kept.extend(records)

    def prune(self) -> None:
        """Drops what is too old; those from the front that ended before the oldest moment to keep."""
        if self._ttl_ns is None:
            return
        oldest, kept = self._now() - self._ttl_ns, self._records
        while kept and kept[0][9] < oldest:
            kept.popleft()
            self.dropped_by_age += 1

    @overload
    def __getitem__(self, index: int) -> ExecutionRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[ExecutionRecord]: ...
    def __getitem__(self, index: int | slice) -> ExecutionRecord | list[ExecutionRecord]:
        self.prune()
        if isinstance(index, slice):
            return [ExecutionRecord(record) for record in list(self._records)[index]]
        return ExecutionRecord(self._records[index])

    def __len__(self) -> int:
        self.prune()
        return len(self._records)

    def __iter__(self) -> Iterator[ExecutionRecord]:
        self.prune()
        return map(ExecutionRecord, list(self._records))

    def __repr__(self) -> str:
        return f"<{len(self)} records>"
