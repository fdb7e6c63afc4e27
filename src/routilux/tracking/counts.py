"""How many activations ended in which way, however many of their records were dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from routilux.facts import ActivationStatus, Record


class Counts(NamedTuple):
    """Of one routine: how its activations and attempts ended."""

    executions: int = 0
    """Activations that ended for good: completed, failed, skipped or cancelled."""
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    retried: int = 0
    """Attempts that failed and were tried again."""
    yielded: int = 0
    """Values that generators gave."""


UNUSUAL = tuple(status.value for status in ActivationStatus if status is not ActivationStatus.COMPLETED)


SHORT = 256
"""Records. Batches of no more come of short jobs, which are often alike: the same routines in the same order."""

KINDS = 32
"""So many different short batches are told apart before they are counted."""


class Tally:
    """Counts records by routine and status; what is simply completed costs an addition for many at once."""

    __slots__ = ("_alike", "_records", "_unusual")

    def __init__(self, counts: Mapping[str, Counts] | None = None) -> None:
        """Goes on from counts that there were."""
        self._records: Counter[str] = Counter()
        self._alike: dict[tuple[str, ...], int] = {}
        """By the routines of a short batch, in order: how many such there were that are not counted yet."""
        self._unusual: Counter[tuple[str, str]] = Counter()
        for routine_id, known in (counts or {}).items():
            self._records[routine_id] = known.executions + known.retried + known.yielded
            said = known._asdict()
            self._unusual.update({(routine_id, status): said[status] for status in UNUSUAL if said[status]})

    def add(self, records: Iterable[Record]) -> None:
        """Counts records of whatever routines."""
        routine_ids = tuple([record[2] for record in records])
        if len(routine_ids) > SHORT:
            self._count_alike()
            self._records.update(routine_ids)
            return
        self._alike[routine_ids] = self._alike.get(routine_ids, 0) + 1
        if len(self._alike) > KINDS:
            self._count_alike()

    def add_unusual(self, unusual: Iterable[Record]) -> None:
        """Says of records, counted besides, that they did not simply complete."""
        self._unusual.update(map(itemgetter(2, 4), unusual))

    def counts(self) -> dict[str, Counts]:
        """By routine id, in the order in which each was first seen."""
        self._count_alike()
        return {routine_id: self._counts(routine_id, total) for routine_id, total in list(self._records.items())}

    def _count_alike(self) -> None:
        """Counts the short batches, each kind once: half the cost where most are alike, and twice it where none are."""
        for routine_ids, times in self._alike.items():
            for routine_id, count in Counter(routine_ids).items():
                self._records[routine_id] += count * times
        self._alike.clear()

    def _counts(self, routine_id: str, total: int) -> Counts:
        unusual = {status: count for status in UNUSUAL if (count := self._unusual[routine_id, status])}
        return Counts(
            executions=total - unusual.get("retried", 0) - unusual.get("yielded", 0),
            completed=total - sum(unusual.values()),
            **unusual,
        )
