"""The past of a stored job: its entries as facts, in the moments of the clock of this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from routilux.course import Course
from routilux.decision import Verdict
from routilux.durable.crashes import Crashes
from routilux.durable.job_snapshot import JobSnapshot
from routilux.durable.records import Records
from routilux.durable.snapshot_records import SNAPSHOT
from routilux.errors import StoredJobError, UnknownJobError
from routilux.facts import Begun, Fact, Opened, Origin, Rang, Revived, Settled, StoredFact
from routilux.machine.delivery import Activation
from routilux.machine.replay import Replay
from routilux.stores import port

REVIVED = "revived"
"""The kind of the entries that hold a `Revived`."""


class Past:
    """Reads what happened to one job, and notes what a machine is not told: its crashes."""

    def __init__(self, store: port.Records, records: Records, origin: Origin, *, revived: bool = False) -> None:
        """The moments that it gives are those of the clock that `origin` is of; `revived`: whether it is just now."""
        self._store = store
        self._records = records
        self._origin = origin
        self.crashes = Crashes()
        self.revived = revived
        self._shift: int | None = None
        """What to add to moments as they were written."""
        self._last_revival: int | None = None
        self.snapshot: JobSnapshot | None = None
        """What all before the first of its `facts` came to, if that was taken down."""
        self.openings: list[int] = []
        """When others took it upon themselves, in nanoseconds since the epoch."""
        self.entries = 0
        self.size = 0
        """Entries, and their bytes, since then."""

    def first(self) -> Opened:
        """How the job was submitted."""
        stored = next(self._store.entries(self._origin.job_id), None)
        if stored is None:
            raise UnknownJobError(f"Job {self._origin.job_id} has been removed from its store meanwhile.")
        opened = self._records.read(stored.entry.kind, stored.entry.body).fact
        assert isinstance(opened, Opened)
        return opened

    def facts(self, course: Course, replay: Replay) -> Iterator[Fact]:
        """What happened, in order; what a routine kept as its state goes straight into the course.

        What stopped a job that was revived later is forgiven while it happens.
        """
        failures = course.machine.failures
        for stored in self._store.entries(self._origin.job_id):
            if stored.entry.kind == SNAPSHOT:
                self._resume(stored.entry, course, replay)
                continue
            self.entries += 1
            self.size += len(stored.entry.body)
            fact, state = self._read(stored.entry)
            activation = replay.activation(fact.activation_id) if isinstance(fact, Settled) else None
            if activation is not None and state is not None:
                course.states[activation[1].routine_id] = state
            if not isinstance(fact, (Opened, Begun, Revived)):
                failures.forgiving = _may_stop(activation, fact) and self._is_revived_after(stored.seq)
                yield fact
        failures.forgiving = False

    def _is_revived_after(self, seq: int) -> bool:
        """Whether the job was revived after an entry: looks ahead once, where something may have stopped it."""
        if self._last_revival is None:
            later = self._store.entries(self._origin.job_id, seq)
            self._last_revival = max((one.seq for one in later if one.entry.kind == REVIVED), default=0)
        return self.revived or seq < self._last_revival

    def _read(self, entry: port.Entry) -> tuple[StoredFact, dict[str, Any] | None]:
        fact, state, routine_id = self._records.read(entry.kind, entry.body)
        if isinstance(fact, Opened):
            if self._shift is not None:
                self.openings.append(entry.at)
            self._shift = fact.epoch_offset_ns - self._origin.epoch_offset_ns
        self.crashes.see(fact, routine_id)
        return _shifted(fact, self._shift or 0), state

    def _resume(self, entry: port.Entry, course: Course, replay: Replay) -> None:
        """A machine, and what is kept beside it, comes to where it was when a snapshot was taken."""
        snapshot = self._records.snapshots.read(entry.body)
        self._shift = snapshot.epoch_offset_ns - self._origin.epoch_offset_ns
        self.snapshot = snapshot = snapshot.of(self._origin)
        try:
            replay.resume(snapshot.machine, snapshot.moment)
        except (KeyError, IndexError) as error:
            raise StoredJobError(
                f"The snapshot of job {self._origin.job_id} does not fit its flow: it has no {error}."
            ) from error
        course.states.update(snapshot.states)
        course.started_at = snapshot.started_at
        self.openings = list(snapshot.openings)
        self.crashes.running, self.crashes.lost = dict(snapshot.begun), Counter(snapshot.lost)
        self.entries = self.size = 0


def _may_stop(activation: Activation | None, fact: Fact) -> bool:
    """Whether a failure may come of it."""
    if isinstance(fact, Settled):
        limit = None if activation is None else activation[1].timeout_ns
        late = limit is not None and fact.ended - fact.began > limit
        return late or (fact.error is not None and fact.decision in (None, Verdict.STOP))
    return isinstance(fact, Rang) and bool(fact.over)


def _shifted(fact: StoredFact, by: int) -> StoredFact:
    """The fact in moments of another clock."""
    match fact:
        case Settled():
            return fact._replace(began=fact.began + by, ended=fact.ended + by)
        case Opened():
            return fact
        case _:
            return fact._replace(moment=fact.moment + by)
