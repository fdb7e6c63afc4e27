"""The past of a stored job: its entries as facts, in the moments of the clock of this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from routilux.course import Course
from routilux.durable.crashes import Crashes
from routilux.durable.records import Records
from routilux.durable.structure import Structure, from_data, missing
from routilux.errors import FlowChangedError
from routilux.facts import Begun, Fact, Opened, Origin, Settled, StoredFact
from routilux.stores import port


class Past:
    """Reads what happened to one job, and notes what a machine is not told: its crashes and its structure."""

    def __init__(self, store: port.Records, records: Records, origin: Origin, structure: Structure) -> None:
        """The moments that it gives are those of the clock that `origin` is of; `structure` is that of the flow now."""
        self._store = store
        self._records = records
        self._origin = origin
        self._structure = structure
        self.crashes = Crashes()
        self._opened: Opened | None = None

    def first(self) -> Opened:
        """How the job was submitted."""
        stored = next(self._store.entries(self._origin.job_id))
        opened = self._records.read(stored.entry.kind, stored.entry.body).fact
        assert isinstance(opened, Opened)
        self._check(opened)
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
            self._check(fact)
        self.crashes.see(fact)
        shift = 0 if self._opened is None else self._opened.epoch_offset_ns - self._origin.epoch_offset_ns
        return _shifted(fact, shift), state

    def _check(self, opened: Opened) -> None:
        """Raises `FlowChangedError` if the flow has lost something that it had when the job was opened."""
        lacking = missing(from_data(opened.structure), self._structure)
        if lacking:
            raise FlowChangedError(
                f"Job {self._origin.job_id} cannot go on, because its flow has changed: {' '.join(lacking)} It stays "
                "as it is: put back what is missing, or cancel it."
            )


def _shifted(fact: StoredFact, by: int) -> StoredFact:
    """The fact in moments of another clock."""
    match fact:
        case Settled():
            return fact._replace(began=fact.began + by, ended=fact.ended + by)
        case Opened():
            return fact
        case _:
            return fact._replace(moment=fact.moment + by)
