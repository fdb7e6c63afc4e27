"""The account of a stored job: what a person wants to know of it, folded from its entries without its flow.

What needs the flow - which activation would run next, what a join waits for - cannot be told here. What the entries
say of themselves can: how the job was submitted, which attempts ended and how, and what the next process would find.
Payloads stay the JSON that they are stored as.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

import msgspec

from routilux.decision import TryAgain, Verdict
from routilux.durable.job_snapshot import JobSnapshot
from routilux.durable.records import Told
from routilux.durable.snapshot_records import SNAPSHOT
from routilux.durable.structure import from_data
from routilux.durable.unopened import unopened_records, without_pickles
from routilux.errors import PayloadError, StoreDamagedError, StoredJobError, WorkerLostError
from routilux.facts import (
    ActivationStatus,
    Begun,
    Cancelled,
    Failure,
    FailureKind,
    JobStatus,
    Opened,
    Paused,
    Resumed,
    Revived,
    Settled,
)
from routilux.stores.port import FINISHED, Records, StoredJob
from routilux.tracking.counts import Counts

MOST_SHOWN = 50
"""So many failures, and results of a routine, are kept: the last; all are counted."""

_SAID = {
    ActivationStatus.RETRIED.value: "retry",
    ActivationStatus.SKIPPED.value: "skip",
    ActivationStatus.FAILED.value: "continue",
}
"""What had become of a failure, of a job that went on."""


@dataclass(slots=True)
class Tally:
    """How the attempts of one routine ended."""

    completed: int = 0
    yielded: int = 0
    retried: int = 0
    skipped: int = 0
    failed: int = 0
    lost: int = 0
    """Whose process or worker died."""
    dropped: int = 0
    """That ended after the job had been stopped."""
    results: int = 0
    """How many values left the flow there."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One failed attempt."""

    at: int
    """Nanoseconds since the epoch."""
    routine_id: str
    activation_id: int
    attempt: int
    message: str
    where: str
    """File and line, where known."""
    decision: str
    """What became of it: "stop", "continue", "skip", "retry", or "" where that follows from more than the failure."""


class RestKind(StrEnum):
    """Why something rests: its attempt had begun, or is due again, or it is a generator that has more to give."""

    BEGUN = auto()
    RETRY = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class Rest:
    """Something that the next process will find unfinished."""

    routine_id: str
    activation_id: int
    attempt: int
    kind: RestKind
    at: int
    """When it began, or is due, in nanoseconds since the epoch."""


class Account:
    """What the entries of a job say, so far as they could be read."""

    def __init__(self, stored: StoredJob) -> None:
        self.stored = stored
        self.entry = ""
        self.mode = ""
        self.pickles = False
        """Whether values of it may have been pickled."""
        self.params: Mapping[str, Any] = {}
        self.openings: list[int] = []
        """When processes took it upon themselves, in nanoseconds since the epoch."""
        self.tallies: dict[str, Tally] = {}
        """By routine; "" for attempts of which it was not written down."""
        self.troubles: deque[Trouble] = deque(maxlen=MOST_SHOWN)
        self.trouble_count = 0
        self.results: dict[str, deque[Any]] = {}
        """By routine: what left the flow there last."""
        self.rests: dict[int, Rest] = {}
        """By activation."""
        self.paused_at: int | None = None
        self.stopped_at: int | None = None
        """When a failure ended it."""
        self.cancelled_for: str | None = None
        self.damage: str | None = None
        """Why its entries could not be read further."""
        self._connected: set[tuple[str, str]] = set()
        """Routines and those of their events that something is connected to."""

    @property
    def status(self) -> str:
        """Where it stands; of a job that is not over, as the next process would find it."""
        if self.is_over:
            return self.stored.status
        if self.cancelled_for is not None:
            return JobStatus.CANCELLING.value
        return self.stored.status if self.paused_at is None else JobStatus.PAUSED.value

    @property
    def settled(self) -> int:
        """How many attempts have ended, and values of generators have come."""
        tallies = self.tallies.values()
        ended = sum(one.completed + one.yielded + one.retried + one.skipped + one.failed for one in tallies)
        return ended + sum(one.lost + one.dropped for one in tallies)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will run any more."""
        return self.stored.status in FINISHED

    def see(self, at: int, told: Told) -> None:
        """Takes the next fact, which happened at that moment."""
        fact = told.fact
        match fact:
            case Opened():
                self._open(at, fact)
            case Begun():
                rest = Rest(told.routine_id, fact.activation_id, fact.attempt, RestKind.BEGUN, at)
                self.rests[fact.activation_id] = rest
            case Settled():
                self._settle(at, told.routine_id, fact)
            case Paused():
                self.paused_at = at
            case Resumed():
                self.paused_at = None
            case Cancelled():
                self.cancelled_for = fact.reason
            case Revived():
                self._revive()
            case _:
                pass

    def resume(self, snapshot: JobSnapshot) -> None:
        """Takes all that came before, but how it was submitted, as what it has come to."""
        machine, offset = snapshot.machine, snapshot.epoch_offset_ns
        at = snapshot.moment + offset
        routine_of = [name[0] for name in machine.stations]
        self.openings = [*self.openings[:1], *snapshot.openings]
        self.paused_at = at if machine.paused else None
        self.tallies = {one: _tally(counts, snapshot.lost.get(one, 0)) for one, counts in snapshot.counts.items()}
        self.trouble_count = sum(one.retried + one.failed + one.skipped for one in snapshot.counts.values())
        self.troubles.clear()
        for *_, status, _, _, _, ended, _, failure in snapshot.history:
            if failure is not None:
                self.troubles.append(_trouble(ended + offset, failure, _SAID.get(status, "")))
        self.results = {}
        for routine_id, _, value in machine.left:
            self._add_results(routine_id, [value])
        given = {one.number for one in machine.given if one.yields}
        self.rests = {}
        for one in machine.standing:
            kind = RestKind.BEGUN if one.number in snapshot.begun else RestKind.OPEN
            if one.number in given or kind is RestKind.BEGUN:
                self.rests[one.number] = Rest(
                    routine_of[one.station], one.number, one.attempt, kind, one.fired + offset
                )
        for due, one in machine.retries:
            self.rests[one.number] = Rest(
                routine_of[one.station], one.number, one.attempt, RestKind.RETRY, due + offset
            )

    def _open(self, at: int, opened: Opened) -> None:
        if not self.openings:
            request = msgspec.json.decode(opened.request, type=_Request)
            self.entry, self.mode = request.entry, request.settings.execution_mode
            self.params = without_pickles(request.params)
            self.pickles = request.pickles
            connections = from_data(opened.structure).connections
            self._connected = {(source, event) for source, event, *_ in connections}
        self.openings.append(at)
        self.rests = {number: rest for number, rest in self.rests.items() if rest.kind is not RestKind.BEGUN}

    def _revive(self) -> None:
        """What came after the stop counts after all, and what stopped the job is tried again."""
        self.stopped_at = None
        for tally in self.tallies.values():
            tally.completed, tally.dropped = tally.completed + tally.dropped, 0

    def _settle(self, at: int, routine_id: str, fact: Settled) -> None:
        number = fact.activation_id
        tally = self.tallies.setdefault(routine_id, Tally())
        self.rests.pop(number, None)
        ended = self.stopped_at is not None or self.cancelled_for is not None
        if fact.error is not None:
            self._fail(at, routine_id, fact, tally)
        elif ended:
            tally.dropped += 1
        else:
            tally.completed += not fact.more
            tally.yielded += fact.asked if fact.more else fact.asked - 1
            self._add_results(
                routine_id, [value for event, value in fact.emissions if (routine_id, event) not in self._connected]
            )
        if fact.more and not ended:
            self.rests[number] = Rest(routine_id, number, fact.attempt, RestKind.OPEN, at)

    def _fail(self, at: int, routine_id: str, fact: Settled, tally: Tally) -> None:
        error, decision, said = fact.error, fact.decision, ""
        assert error is not None
        if isinstance(decision, TryAgain):
            tally.retried, said = tally.retried + 1, "retry"
            due, again = at + decision.delay_ns, fact.attempt + 1
            self.rests[fact.activation_id] = Rest(routine_id, fact.activation_id, again, RestKind.RETRY, due)
        elif isinstance(error, WorkerLostError):
            tally.lost += 1
        elif decision is Verdict.SKIP:
            tally.skipped, said = tally.skipped + 1, "skip"
        else:
            tally.failed, said = tally.failed + 1, "" if decision is None else decision.name.lower()
        if decision is Verdict.STOP and self.stopped_at is None:
            self.stopped_at = at
        self.trouble_count += 1
        kind = FailureKind.ERROR
        failure = Failure(routine_id, fact.activation_id, fact.attempt, kind, error, tuple(fact.frames))
        self.troubles.append(_trouble(at, failure, said))

    def _add_results(self, routine_id: str, left: Sequence[Any]) -> None:
        if left:
            self.tallies.setdefault(routine_id, Tally()).results += len(left)
            self.results.setdefault(routine_id, deque(maxlen=MOST_SHOWN)).extend(left)


def account_of(records: Records, stored: StoredJob) -> Account:
    """The account of a job of a store, up to where its entries can be read."""
    account, reader = Account(stored), unopened_records()
    try:
        for one in records.entries(stored.job_id):
            if one.entry.kind == SNAPSHOT:
                account.resume(reader.snapshots.read(one.entry.body))
            else:
                account.see(one.entry.at, reader.read(one.entry.kind, one.entry.body))
    except (StoreDamagedError, StoredJobError, PayloadError) as error:
        account.damage = str(error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        account.damage = f"What it was submitted with is damaged: {error}."
    return account


def _trouble(at: int, failure: Failure, said: str) -> Trouble:
    where = f"{failure.frames[-1][0]}:{failure.frames[-1][1]}" if failure.frames else ""
    return Trouble(at, failure.routine_id, failure.activation_id, failure.attempt, failure.message, where, said)


def _tally(counts: Counts, lost: int) -> Tally:
    """As counts say it; there, an attempt that was lost was retried, or failed, or was skipped."""
    retried = min(lost, counts.retried)
    failed = min(lost - retried, counts.failed)
    return Tally(
        counts.completed,
        counts.yielded,
        counts.retried - retried,
        counts.skipped - (lost - retried - failed),
        counts.failed - failed,
        lost,
        counts.cancelled,
    )


class _Settings(msgspec.Struct):
    execution_mode: str


class _Request(msgspec.Struct):
    """What is read of a request; see `routilux.durable.request`."""

    entry: str
    params: dict[str, Any]
    settings: _Settings
    pickles: bool = False
