"""What the facts of a job come to, as a record, and back: its machine, and what else is folded from its facts.

Values are written as those in other records are, and moments as they come. Nothing in it is larger than it may be: what
comes to more bytes than that is refused, and kept as facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import msgspec

from routilux.durable.error_records import ErrorRecord, ErrorRecords
from routilux.durable.job_snapshot import JobSnapshot
from routilux.durable.payload import Payloads
from routilux.errors import PayloadTooLargeError, StoredJobError
from routilux.facts import Failure, FailureKind, Record
from routilux.machine.snapshot import Given, Item, Open, Parked, Parking, Snapshot, Standing
from routilux.tracking.counts import Counts

SNAPSHOT = "snapshot"
"""The kind of its entries."""

FORMAT = 1
MOST_ON_PAGE = 1000
MOST_BYTES = 16 * 1024 * 1024

Sealed: TypeAlias = Mapping[int, list[bytes]]
"""By activation: what it was given, written before anybody could change it."""

Written: TypeAlias = dict[int, tuple[Failure, msgspec.Raw]]
"""By identity: failures that have been written before."""

_Where: TypeAlias = tuple[int, tuple[int, ...]] | None


class _Standing(NamedTuple):
    number: int
    station: int
    arguments: list[msgspec.Raw]
    cause: int
    fired: int
    attempt: int
    spot: _Where


class _Parked(NamedTuple):
    position: int
    value: msgspec.Raw
    cause: int
    spot: _Where


class _Page(NamedTuple):
    """So many plain values as a list; or, where that is 0, one value."""

    values: int
    data: msgspec.Raw


class _Parking(NamedTuple):
    station: int
    generation: int
    held: dict[int, msgspec.Raw]
    messages: list[_Parked]
    hoarded: list[_Page]


class _Item(NamedTuple):
    path: tuple[int, ...]
    arrival: int
    value: msgspec.Raw
    cause: int


class _Open(NamedTuple):
    opener: str | None
    number: int
    outer: _Where
    live: int
    buffers: dict[int, list[_Item]]
    served: list[int]


class _Failure(NamedTuple):
    routine_id: str
    activation_id: int
    attempt: int
    kind: FailureKind
    error: msgspec.Raw


class _Ended(NamedTuple):
    """A record of the history; its failure is one of the list."""

    number: int
    routine_id: str
    attempt: int
    status: str
    cause: int
    fired: int
    begun: int
    ended: int
    worker: int
    failure: int | None


class _Snapshot(msgspec.Struct):
    moment: int
    epoch_offset_ns: int
    started_at: int
    openings: list[int]
    stations: list[tuple[str, ...]]
    fired: int
    paused: bool
    standing: list[_Standing]
    retries: list[tuple[int, _Standing]]
    batches: list[tuple[int, int]]
    due: int | None
    given: list[Given]
    parking: list[_Parking]
    scopes: list[_Open]
    left: list[tuple[str, str, list[_Page]]]
    crashes: dict[int, int]
    forgiven: dict[int, int]
    failures: list[_Failure]
    errors: list[int]
    error_count: int
    late: int
    begun: dict[int, int]
    lost: dict[str, int]
    history: list[_Ended]
    counts: dict[str, Counts]
    states: dict[str, msgspec.Raw]
    format: int = FORMAT


_json = msgspec.json.Encoder().encode
_snapshot = msgspec.json.Decoder(_Snapshot).decode
_error = msgspec.json.Decoder(ErrorRecord).decode


class SnapshotRecords:
    """Writes and reads the snapshots of the jobs of one flow."""

    __slots__ = ("_errors", "_payloads")

    def __init__(self, payloads: Payloads, errors: ErrorRecords) -> None:
        self._payloads = payloads
        self._errors = errors

    def write(self, snapshot: JobSnapshot, sealed: Sealed, written: Written) -> tuple[bytes, int]:
        """Its bytes, and how many there are with large values, which lie elsewhere.

        Raises `PayloadError` where a value cannot be stored, or all together are too large.
        `written` becomes the failures that are in it.
        """
        writing = _Writing(self._payloads, self._errors, sealed, written)
        body = writing.whole(snapshot)
        return body, max(len(body), writing.size)

    def seal(self, values: Sequence[Any], names: Sequence[str]) -> list[bytes]:
        """What an activation was given, as it is now; raises `PayloadError`."""
        return [self._payloads.written(value, name) for value, name in zip(values, names, strict=True)]

    def read(self, body: bytes) -> JobSnapshot:
        """The snapshot; raises `StoredJobError`, or `PayloadError` where a value of it cannot be read."""
        try:
            stored = _snapshot(body)
            if stored.format > FORMAT:
                raise StoredJobError(
                    f"A snapshot is of format {stored.format}, and this release reads {FORMAT}. Open the store with "
                    "the release that wrote it, or a later one."
                )
            return _Reading(self._payloads, self._errors, stored).whole()
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, IndexError) as error:
            raise StoredJobError(f"A record of kind {SNAPSHOT!r} is damaged: {error}.") from error


class _Writing:
    def __init__(
        self,
        payloads: Payloads,
        errors: ErrorRecords,
        sealed: Sealed,
        written: Written,
    ) -> None:
        self._payloads = payloads
        self._errors = errors
        self._sealed = sealed
        self._before = dict(written)
        self._written = written
        self._failures: list[_Failure] = []
        self._numbers: dict[int, int] = {}
        self.size = 0

    def whole(self, snapshot: JobSnapshot) -> bytes:
        machine = snapshot.machine
        self._written.clear()
        return _json(
            _Snapshot(
                snapshot.moment,
                snapshot.epoch_offset_ns,
                snapshot.started_at,
                list(snapshot.openings),
                list(machine.stations),
                machine.fired,
                machine.paused,
                [self._standing(one, machine) for one in machine.standing],
                [(due, self._standing(one, machine)) for due, one in machine.retries],
                list(machine.batches),
                machine.due,
                list(machine.given),
                [self._parking(one) for one in machine.parking],
                [self._scope(one) for one in machine.scopes],
                [
                    (*where, self._pages([one[2] for one in group], where[1]))
                    for where, group in groupby(machine.left, itemgetter(0, 1))
                ],
                dict(machine.crashes),
                dict(machine.forgiven),
                self._failures,
                [self._failure(one) for one in machine.errors],
                machine.error_count,
                machine.late,
                dict(snapshot.begun),
                dict(snapshot.lost),
                [self._ended(one) for one in snapshot.history],
                dict(snapshot.counts),
                dict(snapshot.states),
            )
        )

    def _put(self, value: Any, root: str) -> msgspec.Raw:
        return self._place(self._payloads.written(value, root))

    def _place(self, data: bytes) -> msgspec.Raw:
        self._count(data)
        return self._payloads.place(data)

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > MOST_BYTES:
            raise PayloadTooLargeError(f"A snapshot has more than {MOST_BYTES:,} bytes.")

    def _standing(self, one: Standing, machine: Snapshot) -> _Standing:
        number, station, arguments, cause, fired, attempt, spot = one
        sealed = self._sealed.get(number)
        names = machine.stations[station][1:]
        if sealed is None:
            given = [self._put(value, name) for value, name in zip(arguments, names, strict=True)]
        else:
            given = [self._place(data) for data in sealed]
        return _Standing(number, station, given, cause, fired, attempt, spot)

    def _parking(self, one: Parking) -> _Parking:
        held = {position: self._put(value, "held") for position, value in one.held.items()}
        messages = [
            _Parked(position, self._put(value, "message"), cause, spot) for position, value, cause, spot in one.messages
        ]
        return _Parking(one.station, one.generation, held, messages, self._pages(one.hoarded, "item"))

    def _pages(self, values: Sequence[Any], root: str) -> list[_Page]:
        pages: list[_Page] = []
        for first in range(0, len(values), MOST_ON_PAGE):
            some = values[first : first + MOST_ON_PAGE]
            data = self._payloads.put_all(list(some))
            if data is None:
                pages += [_Page(0, self._put(value, root)) for value in some]
            else:
                self._count(data)
                pages.append(_Page(len(some), msgspec.Raw(data)))
        return pages

    def _scope(self, one: Open) -> _Open:
        buffers = {
            station: [_Item(path, arrival, self._put(value, "item"), cause) for path, arrival, value, cause in items]
            for station, items in one.buffers.items()
        }
        return _Open(one.opener, one.number, one.outer, one.live, buffers, list(one.served))

    def _failure(self, failure: Failure) -> int:
        """Its number in the list of failures, to which it is added the first time."""
        number = self._numbers.get(id(failure))
        if number is None:
            number = self._numbers[id(failure)] = len(self._failures)
            before = self._before.get(id(failure))
            raw = self._errors.written(failure.error, failure.frames) if before is None else before[1]
            self._count(bytes(raw))
            self._written[id(failure)] = failure, raw
            said = failure.routine_id, failure.activation_id, failure.attempt, failure.kind
            self._failures.append(_Failure(*said, raw))
        return number

    def _ended(self, record: Record) -> _Ended:
        _, number, routine_id, attempt, status, cause, fired, begun, ended, worker, failure = record
        which = None if failure is None else self._failure(failure)
        return _Ended(number, routine_id, attempt, status, cause, fired, begun, ended, worker, which)


class _Reading:
    def __init__(self, payloads: Payloads, errors: ErrorRecords, stored: _Snapshot) -> None:
        self._take = payloads.take
        self._codec = payloads.codec
        self._stored = stored
        self._failures = [self._failure(one, errors) for one in stored.failures]

    def whole(self) -> JobSnapshot:
        stored = self._stored
        machine = Snapshot(
            stored.stations,
            stored.fired,
            stored.paused,
            self._standings(stored.standing),
            [(due, self._standings([one])[0]) for due, one in stored.retries],
            stored.batches,
            stored.due,
            stored.given,
            [self._parking(one) for one in stored.parking],
            [self._scope(one) for one in stored.scopes],
            [
                (routine_id, event, value)
                for routine_id, event, pages in stored.left
                for value in self._values(pages, event)
            ],
            stored.crashes,
            stored.forgiven,
            [self._failures[one] for one in stored.errors],
            stored.error_count,
            stored.late,
        )
        return JobSnapshot(
            machine,
            stored.moment,
            stored.epoch_offset_ns,
            stored.started_at,
            stored.openings,
            stored.begun,
            stored.lost,
            [("", *one[:-1], None if one.failure is None else self._failures[one.failure]) for one in stored.history],
            stored.counts,
            {routine_id: self._take(state, "state") for routine_id, state in stored.states.items()},
        )

    def _standings(self, standings: Iterable[_Standing]) -> list[Standing]:
        take, stations = self._take, self._stored.stations
        return [
            Standing(
                number,
                station,
                tuple(map(take, arguments, stations[station][1:])),
                cause,
                fired,
                attempt,
                spot,
            )
            for number, station, arguments, cause, fired, attempt, spot in standings
        ]

    def _parking(self, one: _Parking) -> Parking:
        held = {position: self._take(value, "held") for position, value in one.held.items()}
        messages = [
            Parked(position, self._take(value, "message"), cause, spot) for position, value, cause, spot in one.messages
        ]
        return Parking(one.station, one.generation, held, messages, list(self._values(one.hoarded, "item")))

    def _values(self, pages: Iterable[_Page], root: str) -> Iterator[Any]:
        for count, data in pages:
            if count:
                yield from self._codec.decode_plain(bytes(data), root)
            else:
                yield self._take(data, root)

    def _scope(self, one: _Open) -> Open:
        buffers = {
            station: [Item(path, arrival, self._take(value, "item"), cause) for path, arrival, value, cause in items]
            for station, items in one.buffers.items()
        }
        return Open(one.opener, one.number, one.outer, one.live, buffers, one.served)

    @staticmethod
    def _failure(one: _Failure, errors: ErrorRecords) -> Failure:
        record = _error(one.error)
        error, frames = errors.read(record), tuple(record.frames)
        return Failure(one.routine_id, one.activation_id, one.attempt, one.kind, error, frames)
