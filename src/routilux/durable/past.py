"""The past of a stored job: its entries as facts, in the moments of the clock of this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from routilux.course import Course
from routilux.durable.crashes import Crashes
from routilux.durable.records import Records
from routilux.facts import Begun, Fact, Opened, Origin, Settled, StoredFact
from routilux.stores import port


class Past:
    """Reads what happened to one job, and notes what a machine is not told: its crashes."""

    def __init__(self, store: port.Records, records: Records, origin: Origin) -> None:
        """The moments that it gives are those of the clock that `origin` is of."""
        self._store = store
        self._records = records
        self._origin = origin
        self.crashes = Crashes()
        self._opened: Opened | None = None

    def first(self) -> Opened:
        """How the job was submitted."""
        stored = next(self._store.entries(self._origin.job_id))
        opened = self._records.read(stored.entry.kind, stored.entry.body).fact
        assert isinstance(opened, Opened)
        return opened

    def facts(self, course: Course) -> Iterator[Fact]:
        """What happened, in order; what a routine kept as its state goes straight into the course."""
        running = course.machine.running
        for stored in self._store.entries(self._origin.job_id):
            fact, state = self._read(stored.entry)
            if isinstance(fact, Settled) and state is not None and fact.activation_id in running:
                course.states[running[fact.activation_id][1].routine_id] = state
            if not isinstance(fact, (Opened, Begun)):
                yield fact

    def _read(self, entry: port.Entry) -> tuple[StoredFact, dict[str, Any] | None]:
        fact, state = self._records.read(entry.kind, entry.body)
        if isinstance(fact, Opened):
            self._opened = fact
        self.crashes.see(fact)
        shift = 0 if self._opened is None else self._opened.epoch_offset_ns - self._origin.epoch_offset_ns
        return _shifted(fact, shift), state


def _shifted(fact: StoredFact, by: int) -> StoredFact:
    """The fact in moments of another clock."""
    match fact:
        case Settled():
            return fact._replace(began=fact.began + by, ended=fact.ended + by)
        case Opened():
            return fact
        case _:
            return fact._replace(moment=fact.moment + by)
