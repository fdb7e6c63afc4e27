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


class Tally:
    """Counts records by routine and status; what is simply completed costs an addition for many at once."""

    __slots__ = ("_records", "_unusual")

    def __init__(self, counts: Mapping[str, Counts] | None = None) -> None:
        """Goes on from counts that there were."""
        self._records: Counter[str] = Counter()
        self._unusual: Counter[tuple[str, str]] = Counter()
        for routine_id, known in (counts or {}).items():
            self._records[routine_id] = known.executions + known.retried + known.yielded
            said = known._asdict()
            self._unusual.update({(routine_id, status): said[status] for status in UNUSUAL if said[status]})

    def add(self, records: Iterable[Record]) -> None:
        """Counts records of whatever routines."""
        self._records.update(map(itemgetter(2), records))

    def add_unusual(self, unusual: Iterable[Record]) -> None:
        """Says of records, counted besides, that they did not simply complete."""
        self._unusual.update(map(itemgetter(2, 4), unusual))

    def counts(self) -> dict[str, Counts]:
        """By routine id, in the order in which each was first seen."""
        return {routine_id: self._counts(routine_id, total) for routine_id, total in list(self._records.items())}

    def _counts(self, routine_id: str, total: int) -> Counts:
        unusual = {status: count for status in UNUSUAL if (count := self._unusual[routine_id, status])}
        return Counts(
            executions=total - unusual.get("retried", 0) - unusual.get("yielded", 0),
            completed=total - sum(unusual.values()),
            **unusual,
        )
