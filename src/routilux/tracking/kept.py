"""The records that a tracker keeps of many routines: bounded for each of them and in all, by number and by age."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable

from routilux.facts import Record

SLACK = 1.25
"""By how much more is kept than must be, so that a chunk that is dropped seldom has anything that is still needed."""


MOST = 20_000
"""How many records of all routines together are kept, unless one routine alone may have more."""


class Kept:
    """Keeps whole chunks of records, and drops whole chunks.

    One queue for each routine would free records in another order than they were made in, and then memory is so
    slow that it costs more than all the rest of tracking. What a chunk still has of routines that are rare is
    moved to a queue of theirs when it is dropped.
    """

    def __init__(self, max_size: int | None, ttl_seconds: float | None, now: Callable[[], int]) -> None:
        """The bounds are for each routine; `None` lifts one, a `max_size` of 0 keeps nothing."""
        self._max_size = max_size
        self._ttl_ns = None if ttl_seconds is None else int(ttl_seconds * 1e9)
        self._now = now
        self._chunks: deque[tuple[list[Record], dict[str, int]]] = deque()
        self._in_chunks: Counter[str] = Counter()
        self._rare: dict[str, deque[Record]] = {}
        self._size = 0
        self.too_old: Counter[str] = Counter()
        """By routine: how many were dropped for their age."""

    def add(self, records: list[Record], counts: dict[str, int]) -> None:
        """Takes a chunk over, with the number of its records of each routine; drops what is then too much."""
        if self._max_size == 0:
            return
        self._chunks.append((records, counts))
        self._in_chunks.update(counts)
        self._size += len(records)
        if self._max_size is not None:
            routines = len(self._in_chunks)
            limit = min(SLACK * self._max_size * routines, max(MOST, SLACK * self._max_size))
            share = min(self._max_size, int(limit / SLACK) // routines)
            while self._size - len(self._chunks[0][0]) >= limit:
                self._drop_oldest(share)

    def by_routine(self) -> dict[str, list[Record]]:
        """What is kept now of each routine that has any, oldest first."""
        self._drop_old()
        oldest = None if self._ttl_ns is None else self._now() - self._ttl_ns
        found: defaultdict[str, list[Record]] = defaultdict(list)
        for records in (*self._rare.values(), *(chunk for chunk, _ in self._chunks)):
            for record in records:
                if oldest is None or record[8] >= oldest:
                    found[record[2]].append(record)
        if self._max_size is None:
            return found
        return {routine_id: records[-self._max_size :] for routine_id, records in found.items()}

    def _drop_oldest(self, share: int) -> None:
        records, counts = self._chunks.popleft()
        self._size -= len(records)
        self._in_chunks.subtract(counts)
        lacking = {routine_id for routine_id in counts if self._in_chunks[routine_id] < share}
        if lacking:
            for record in records:
                if record[2] in lacking:
                    self._rare.setdefault(record[2], deque(maxlen=share)).append(record)

    def _drop_old(self) -> None:
        if self._ttl_ns is None:
            return
        oldest = self._now() - self._ttl_ns
        while self._chunks and self._chunks[0][0][-1][8] < oldest:
            records, counts = self._chunks.popleft()
            self._size -= len(records)
            self._in_chunks.subtract(counts)
            self.too_old.update(counts)
        for routine_id, queue in self._rare.items():
            while queue and queue[0][8] < oldest:
                queue.popleft()
                self.too_old[routine_id] += 1
