"""When the facts of a job are replaced by what they come to, and what must be known for that beforehand.

A snapshot is what the facts before it come to, and nothing else, although handlers may be changing what they were given
just then. So what may be changed while it runs is written down before: what an attempt was given, when it begins, and
what a routine keeps, with its last outcome.

The more there is to know of a job, the more seldom it is all written down: no more values than there were facts, and no
more bytes. So it costs a little of what the facts did. One that comes to too much keeps its facts.
"""

from __future__ import annotations

from types import NoneType

import msgspec

from routilux.course import Course
from routilux.durable.crashes import Crashes
from routilux.durable.job_snapshot import JobSnapshot
from routilux.durable.past import Past
from routilux.durable.records import Records
from routilux.durable.snapshot_records import SNAPSHOT, Written
from routilux.errors import PayloadTooLargeError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Opened, Settled, StoredFact
from routilux.guard import guarded
from routilux.machine.delivery import Activation
from routilux.machine.snapshot import is_simple, take, values_in
from routilux.stores.port import Entry
from routilux.tracking.history import History

DISTANCE = 10_000
"""Facts from one snapshot to the next, at least."""

MOST_VALUES = 100_000
"""Of a job with more messages and results there is none."""

ELSEWHERE = (ExecutionMode.MULTIPROCESSING, ExecutionMode.DISTRIBUTED)
"""Where a handler has copies of what it is given."""

_LATER = 64
_UNCHANGING = frozenset({str, int, float, bool, bytes, NoneType})


class Shortening:
    """That of one job. Only the thread that steps the job's machine calls it."""

    __slots__ = (
        "_at",
        "_course",
        "_crashes",
        "_entries",
        "_history",
        "_least",
        "_next",
        "_openings",
        "_records",
        "_sealed",
        "_size",
        "_states",
        "_wanted",
        "_written",
        "in_parallel",
        "is_due",
    )

    def __init__(self, course: Course, history: History, records: Records) -> None:
        self.in_parallel = False
        """Whether handlers run while it is asked for."""
        self.is_due = False
        """Whether it is time for a snapshot."""
        self._course = course
        self._history = history
        self._records = records
        self._entries = 0
        self._size = 0
        """Entries, and their bytes, since the last snapshot."""
        self._at = 0
        """When the last one was."""
        self._wanted = self._next = DISTANCE
        """After how many entries the next one is wanted, and when it is asked for again."""
        self._least = 0
        """Bytes that come before it at least."""
        self._states: dict[str, msgspec.Raw] = {}
        self._crashes = Crashes()
        self._openings: list[int] = []
        self._sealed: dict[int, list[bytes]] = {}
        self._written: Written = {}

    def kept(self, fact: StoredFact, entry: Entry, state: msgspec.Raw | None = None, routine_id: str = "") -> None:
        """A fact is written, and what its routine keeps after it."""
        _, self._at, body = entry
        self._entries += 1
        self._size += len(body)
        if self._entries >= self._next and self._size >= self._least:
            self.is_due = True
        if state is not None:
            self._states[routine_id] = state
        if not isinstance(fact, Settled):
            self._crashes.see(fact)
            if isinstance(fact, Opened):
                self._openings.append(self._at)
        elif self._sealed or fact.error is not None or self._crashes.running:
            self._crashes.see(fact, routine_id)
            if not fact.more:
                self._sealed.pop(fact.activation_id, None)

    def resume(self, past: Past) -> None:
        """All of the past has happened to the course."""
        self._entries, self._size = past.entries, past.size
        self._crashes, self._openings = past.crashes, past.openings
        self._states = {one: self._records.state(state) for one, state in self._course.states.items()}

    def begins(self, activation: Activation) -> None:
        """An attempt is about to run, or a generator to go on."""
        number, station, arguments, *_ = activation
        if len(arguments) == 1 and type(arguments[0]) in _UNCHANGING:
            return
        near = station.is_generator or (self._entries >= self._wanted and self._size >= self._least)
        if near and number not in self._sealed and self._is_open(activation):
            sealed, broken = guarded(self._records.snapshots.seal, arguments, station.names)
            if broken is None:
                self._sealed[number] = sealed

    def is_possible(self) -> bool:
        """Whether what all comes to can be said now; if not, it is due a little later."""
        machine = self._course.machine
        values = values_in(machine)
        if values > min(self._entries, MOST_VALUES):
            self._wanted = max(values, self._entries)
            self._postpone(max(values - self._entries, min(_LATER, DISTANCE)))
            return False
        possible = is_simple(machine)
        if possible:
            doubtful = [one for queue in machine.queues.values() for _, one in queue.suspended]
            running = machine.running.values()
            doubtful += running if self.in_parallel else (one for one in running if self._has_given(one))
            possible = not any(one[0] not in self._sealed and self._is_open(one) for one in doubtful)
        if not possible:
            self._postpone(min(_LATER, DISTANCE))
        return possible

    def entry(self) -> Entry | None:
        """What stands for all that was kept, all of which has happened; nothing if that cannot be said now."""
        if not self.is_possible():
            return None
        course = self._course
        course.read()
        origin, machine, history = course.origin, take(course.machine), self._history.records
        if len(history) > MOST_VALUES:
            self._postpone_for_long()
            return None
        standing = {(one.number, one.attempt) for one in machine.standing}
        snapshot = JobSnapshot(
            machine,
            self._at - origin.epoch_offset_ns,
            origin.epoch_offset_ns,
            course.started_at,
            self._openings,
            {number: attempt for number, attempt in self._crashes.running.items() if (number, attempt) in standing},
            self._crashes.lost,
            history,
            self._history.counts,
            self._states,
        )
        # A value that somebody is changing may fail in any way; a store that is full says so with the next fact.
        written, broken = guarded(self._records.snapshots.write, snapshot, self._sealed, self._written)
        if isinstance(broken, PayloadTooLargeError):
            self._postpone_for_long()
            return None
        if broken is not None:
            self._postpone(max(1, DISTANCE // 8))
            return None
        body, size = written
        self._entries, self._size, self._least = 0, 0, size
        self._wanted = self._next = DISTANCE
        self.is_due = False
        alive = {one.number for one in machine.standing}
        self._sealed = {number: sealed for number, sealed in self._sealed.items() if number in alive}
        return Entry(SNAPSHOT, self._at, body)

    def _postpone(self, entries: int) -> None:
        self._next = self._entries + entries
        self.is_due = False

    def _postpone_for_long(self) -> None:
        """It comes to too much: it is wanted again when there are twice as many facts."""
        self._wanted = 2 * self._entries
        self._postpone(self._entries)

    def _has_given(self, activation: Activation) -> bool:
        return self._course.machine.fan_outs.yields_of(activation[0]) > 0

    @staticmethod
    def _is_open(activation: Activation) -> bool:
        """Whether a handler that runs could change what it was given."""
        return activation[1].mode not in ELSEWHERE and not all(type(one) in _UNCHANGING for one in activation[2])
