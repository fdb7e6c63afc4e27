"""The log of one job: what happened to it becomes entries of a store, before its machine is told.

A fact is completed first: what a machine finds out for itself when a fact happens, but could not find out when it
happens again - which timeouts were over, what a strategy said of an exception - goes into the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from routilux.course import Course
from routilux.durable.records import Records
from routilux.errors import PayloadError, StoreError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Begun, Happening, Origin, Rang, Settled, StoredFact
from routilux.machine.delivery import Activation
from routilux.machine.forecast import decision_on, timed_out
from routilux.stores.port import Entry, Store
from routilux.stores.port import Then as Told

ELSEWHERE = (ExecutionMode.MULTIPROCESSING, ExecutionMode.DISTRIBUTED)


Then: TypeAlias = Callable[[Sequence[Happening], StoreError | None], Callable[[], None]]
"""Is given what is durable, or why it never will be; gives what is to be called when that is all for now."""


class _Group:
    """Facts that are written together, in a store that may have begun to while the next is added."""

    __slots__ = ("entries", "facts", "then")

    def __init__(self, facts: list[Happening], entries: list[Entry], then: Then) -> None:
        self.facts = facts
        self.entries = entries
        self.then = then

    def __call__(self, error: StoreError | None) -> Callable[[], None]:
        return self.then(self.facts[: len(self.entries)], error)


class JobLog:
    """Writes the facts of one job. Only the thread that steps the job's machine calls it, but for `tell`."""

    def __init__(self, course: Course, store: Store, records: Records, suspects: int = 0) -> None:
        """`suspects`: activations up to this number may be why a process died."""
        self._course = course
        self._store = store
        self._records = records
        self._suspects = suspects
        self._deferred: list[Entry] = []
        self._group: _Group | None = None
        """Those that were appended last."""

    @property
    def waiting(self) -> int:
        """How many entries have been deferred."""
        return len(self._deferred)

    def must_note(self, activation: Activation) -> bool:
        """Whether it must be durable that an attempt begins, before it does.

        What runs in another process cannot have been why this one died.
        """
        station = activation[1]
        return station.crash_retries == 0 or (activation[0] <= self._suspects and station.mode not in ELSEWHERE)

    def write(self, facts: Iterable[StoredFact]) -> None:
        """Keeps facts that are complete; they are durable when this returns."""
        self._store.write(self._course.origin.job_id, [self._entry(fact) for fact in facts])

    def defer(self, fact: Happening) -> Happening:
        """Has a fact kept with the next that is written, and gives what is to happen to the machine."""
        complete, entry = self._completed(fact)
        self._deferred.append(entry)
        return complete

    def note(self, begun: Begun) -> None:
        """As `defer`, that an attempt begins."""
        self._deferred.append(self._entry(begun))

    def flush(self) -> None:
        """Keeps what was deferred, which is durable when this returns."""
        if self._deferred:
            entries, self._deferred = self._deferred, []
            self._store.write(self._course.origin.job_id, entries)

    def keep(self, fact: Happening) -> Happening:
        """As `defer`, and all is durable when this returns."""
        complete = self.defer(fact)
        self.flush()
        return complete

    def append(self, fact: Happening, then: Then) -> None:
        """Keeps a fact without waiting: `then` is given what is to happen, in another thread, once it is durable.

        It may be given together with those that were appended before with the same `then`.
        """
        complete, entry = self._completed(fact)
        group = self._group
        if group is not None and group.then is then:
            group.facts.append(complete)
            if self._store.join(group.entries, entry):
                return
            group.facts.pop()
        self._group = group = _Group([complete], [entry], then)
        self._store.append(self._course.origin.job_id, group.entries, group)

    def append_begun(self, begun: Begun, then: Told) -> None:
        """Keeps that an attempt begins, without waiting; it may once `then` is told that this is durable."""
        self._store.append(self._course.origin.job_id, [self._entry(begun)], then)

    def _completed(self, fact: Happening) -> tuple[Happening, Entry]:
        machine = self._course.machine
        if isinstance(fact, Rang):
            later = fact.later or {}
            fact = fact._replace(over=[one for one in timed_out(machine, fact.moment) if one[0] not in later])
        elif isinstance(fact, Settled):
            if fact.error is not None:
                fact = fact._replace(decision=decision_on(machine, fact))
            try:
                return fact, self._entry(fact)
            except PayloadError as error:
                fact = self._refused(fact, error)
        return fact, self._entry(fact)

    def _refused(self, fact: Settled, error: PayloadError) -> Settled:
        """An outcome that cannot be stored is a failure of its handler."""
        station = self._station(fact)
        where = f"Flow {self._course.origin.flow_id!r}" + ("" if station is None else f", routine {station!r}")
        refused = type(error)(f"{where}: what it emitted, or keeps as state, cannot be stored. {error}")
        fact = fact._replace(emissions=(), error=refused, more=False, frames=())
        return fact._replace(decision=decision_on(self._course.machine, fact))

    def _entry(self, fact: StoredFact) -> Entry:
        state, routine_id = None, ""
        if isinstance(fact, (Begun, Settled)):
            routine_id = self._station(fact) or ""
        if isinstance(fact, Settled) and not isinstance(fact.error, PayloadError):
            state = self._course.states.get(routine_id)
        return entry_of(fact, self._course.origin, self._records, state, routine_id)

    def _station(self, fact: Begun | Settled) -> str | None:
        activation = self._course.machine.running.get(fact.activation_id)
        return None if activation is None else activation[1].routine_id


def entry_of(
    fact: StoredFact,
    origin: Origin,
    records: Records,
    state: Mapping[str, Any] | None = None,
    routine_id: str = "",
) -> Entry:
    """A fact as a store keeps it, with an attempt's routine and what that keeps as its state; raises `PayloadError`."""
    moment = fact.ended if isinstance(fact, Settled) else fact.moment
    kind, body = records.write(fact, state, routine_id)
    return Entry(kind, moment + origin.epoch_offset_ns, body)
