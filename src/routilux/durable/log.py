"""The log of one job: what happened to it becomes entries of a store, before its machine is told.

A fact is completed first: what a machine finds out for itself when a fact happens, but could not find out when it
happens again - which timeouts were over, what a strategy said of an exception - goes into the fact.

What a handler wrote in transactions goes to the store with its outcome, if that will count. It will if nothing is under
way that may be the end of the attempt or of the job; while there is, such an outcome waits until that has happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec

from routilux.course import Course
from routilux.decision import TryAgain
from routilux.durable.records import Records
from routilux.durable.shortening import ELSEWHERE, Shortening
from routilux.errors import PayloadError, StoreError, TransactionError
from routilux.facts import Begun, Happening, JobStatus, Origin, Paused, Rang, Resumed, Settled, Statement, StoredFact
from routilux.machine.delivery import Activation
from routilux.machine.forecast import completes, decision_on, timed_out
from routilux.machine.machine import Machine
from routilux.stores.port import Entry, Store
from routilux.stores.port import Then as Told

HARMLESS = (Paused, Resumed)
"""Facts by which nothing ends."""

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

    def __init__(
        self, course: Course, store: Store, records: Records, shortening: Shortening, suspects: int = 0
    ) -> None:
        """`suspects`: activations up to this number may be why a process died."""
        self._course = course
        self._store = store
        self._records = records
        self.shortening = shortening
        self._suspects = suspects
        self._notes = suspects > 0 or any(station.crash_retries == 0 for station in course.machine.plan.stations)
        self._deferred: list[Entry] = []
        self._group: _Group | None = None
        """Those that were appended last."""
        # Only a context has transactions.
        self._may_write = any(station.needs_context for station in course.machine.plan.stations)
        self._ending: set[int] = set()
        """By identity: the facts under way that may be the end of an attempt or of the job."""
        self._held: list[tuple[Settled, Then]] = []
        """The outcomes that wait until those have happened."""
        self._under_way = 0
        """How many facts have been appended that have not happened yet."""
        self._after: deque[tuple[Happening, Then]] | None = None
        """While a snapshot waits until all has happened: the facts that come after it."""

    @property
    def waiting(self) -> int:
        """How many entries have been deferred."""
        return len(self._deferred)

    def must_note(self, activation: Activation) -> bool:
        """Whether it must be durable that an attempt begins, before it does.

        What runs in another process cannot have been why this one died.
        """
        if not self._notes:
            return False
        station = activation[1]
        return station.crash_retries == 0 or (activation[0] <= self._suspects and station.mode not in ELSEWHERE)

    def write(self, facts: Iterable[StoredFact]) -> None:
        """Keeps facts that are complete; they are durable when this returns."""
        self._store.write(self._course.origin.job_id, [self._entry(fact) for fact in facts])

    def defer(self, fact: Happening) -> Happening:
        """Has a fact kept with the next that is written, and gives what is to happen to the machine.

        One with statements is written here and now.
        """
        complete, entry, statements = self._completed(fact)
        if statements:
            assert isinstance(complete, Settled)
            before, self._deferred = self._deferred, []
            try:
                self._store.write(self._course.origin.job_id, [*before, entry], statements)
            except TransactionError as error:
                self._deferred = before
                return self.defer(self._refused(complete, error))
        else:
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

    def shorten(self) -> None:
        """Puts what it comes to in place of what was kept, if that can be said; all of it must have happened."""
        entry = self.shortening.entry()
        if entry is not None:
            self._group = None
            self._store.compact(self._course.origin.job_id, entry)

    def keep(self, fact: Happening) -> Happening:
        """As `defer`, and all is durable when this returns."""
        complete = self.defer(fact)
        self.flush()
        return complete

    def append(self, fact: Happening, then: Then) -> None:
        """Keeps a fact without waiting: `then` is given what is to happen, in another thread, once it is durable.

        It may be given together with those that were appended before with the same `then`; not so what has statements,
        which may be refused.
        """
        if self._after is None and self.shortening.is_due and self.shortening.is_possible():
            self._after = deque()
            self._shorten_in_turn()
        if self._after is None:
            self._append(fact, then)
        else:
            self._after.append((fact, then))

    def _append(self, fact: Happening, then: Then) -> None:
        if self._ending and isinstance(fact, Settled) and fact.statements:
            self._held.append((fact, then))
            return
        complete, entry, statements = self._completed(fact)
        self._under_way += 1
        if self._may_write and not _changes_no_end(self._course.machine, complete):
            self._ending.add(id(complete))
        group = self._group
        if statements:
            self._group = None
            self._store.append(self._course.origin.job_id, [entry], _Group([complete], [entry], then), statements)
            return
        if group is not None and group.then is then:
            group.facts.append(complete)
            if self._store.join(group.entries, entry):
                return
            group.facts.pop()
        self._group = group = _Group([complete], [entry], then)
        self._store.append(self._course.origin.job_id, group.entries, group)

    def happened(self, fact: Happening) -> None:
        """What `append` gave has happened to the machine: what waited for that may be kept."""
        self._under_way -= 1
        if self._ending:
            self._ending.discard(id(fact))
            while self._held and not self._ending:
                self._append(*self._held.pop(0))
        if self._after is not None:
            self._shorten_in_turn()

    def _shorten_in_turn(self) -> None:
        """Once all has happened that was appended before, a snapshot is taken; what came meanwhile follows it."""
        assert self._after is not None
        if self._under_way:
            return
        self.shorten()
        after, self._after = self._after, None
        for fact, then in after:
            self._append(fact, then)

    def append_refused(self, fact: Settled, error: TransactionError, then: Then) -> None:
        """As `append`, that an outcome whose statements the store has refused is a failure of its handler."""
        self._under_way -= 1
        self._append(self._refused(fact, error), then)

    def _refused(self, fact: Settled, error: TransactionError) -> Settled:
        where = _where(self._course, fact)
        text = f"{where}: what it wrote in ctx.transaction() was refused, so nothing of it is kept. {error}"
        failure = TransactionError(text)
        failure.__cause__ = error.__cause__
        return _failed(self._course, fact, failure)

    def append_begun(self, begun: Begun, then: Told) -> None:
        """Keeps that an attempt begins, without waiting; it may once `then` is told that this is durable."""
        self._store.append(self._course.origin.job_id, [self._entry(begun)], then)

    def _completed(self, fact: Happening) -> tuple[Happening, Entry, Sequence[Statement]]:
        machine = self._course.machine
        statements: Sequence[Statement] = ()
        if isinstance(fact, Rang):
            later = fact.later or {}
            fact = fact._replace(over=[one for one in timed_out(machine, fact.moment) if one[0] not in later])
        elif isinstance(fact, Settled):
            if fact.statements:
                fact, statements = _with_statements(self._course, fact)
            if fact.error is not None and fact.decision is None:
                fact = fact._replace(decision=decision_on(machine, fact))
            try:
                return fact, self._entry(fact), statements
            except PayloadError as error:
                text = f"{_where(self._course, fact)}: what it emitted, or keeps as state, cannot be stored. {error}"
                fact, statements = _failed(self._course, fact, type(error)(text)), ()
        return fact, self._entry(fact), statements

    def _entry(self, fact: StoredFact) -> Entry:
        state, routine_id = None, ""
        if isinstance(fact, (Begun, Settled)):
            routine_id = _routine_of(self._course, fact) or ""
            kept = self._course.states.get(routine_id)
            if kept is not None and isinstance(fact, Settled) and not isinstance(fact.error, PayloadError):
                state = self._records.state(kept)
        entry = entry_of(fact, self._course.origin, self._records, state, routine_id)
        self.shortening.kept(fact, entry, state, routine_id)
        return entry


def entry_of(
    fact: StoredFact,
    origin: Origin,
    records: Records,
    state: msgspec.Raw | None = None,
    routine_id: str = "",
) -> Entry:
    """A fact as a store keeps it, with an attempt's routine and what that keeps as its state; raises `PayloadError`."""
    moment = fact.ended if isinstance(fact, Settled) else fact.moment
    kind, body = records.write(fact, state, routine_id)
    return Entry(kind, moment + origin.epoch_offset_ns, body)


def _changes_no_end(machine: Machine, fact: Happening) -> bool:
    """Whether neither an attempt nor the job can end by a fact but well."""
    if isinstance(fact, Settled):
        return completes(machine, fact) and machine.settings.max_activations is None
    return isinstance(fact, HARMLESS)


def _with_statements(course: Course, fact: Settled) -> tuple[Settled, Sequence[Statement]]:
    """An outcome as it is kept, and what is executed with it.

    One that comes after its job has failed counts when the job is revived; as it has written nothing, it is lost.
    """
    machine, statements = course.machine, fact.statements
    fact = fact._replace(statements=())
    if completes(machine, fact):
        return fact._replace(wrote=sum(len(rows) for _, rows in statements)), statements
    if machine.end is not JobStatus.FAILED or fact.error is not None:
        return fact, ()
    text = f"{_where(course, fact)}: what it wrote in ctx.transaction() is not kept: its job had failed before."
    activation = machine.running.get(fact.activation_id)
    again = activation is not None and activation[1].crash_retries > 0
    failed = _failed(course, fact, TransactionError(text))
    return failed._replace(decision=TryAgain(0) if again else None), ()


def _failed(course: Course, fact: Settled, error: Exception) -> Settled:
    fact = fact._replace(emissions=(), error=error, more=False, frames=(), wrote=0)
    return fact._replace(decision=decision_on(course.machine, fact))


def _where(course: Course, fact: Settled) -> str:
    routine_id = _routine_of(course, fact)
    return f"Flow {course.origin.flow_id!r}" + ("" if routine_id is None else f", routine {routine_id!r}")


def _routine_of(course: Course, fact: Begun | Settled) -> str | None:
    activation = course.machine.running.get(fact.activation_id)
    return None if activation is None else activation[1].routine_id
