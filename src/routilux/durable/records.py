"""The facts of a job as records: a kind and some bytes each, and back.

A record is JSON with the short names below. It may have names that its reader does not know, and lack those that have
a default; a record of a later format is refused. Moments are as they come: whoever keeps records relates them to the
wall clock. Beside its fact, the record of a `Settled` may hold the state that its routine has after the attempt; it and
that of a `Begun` also name the routine, for whoever reads them without the flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from routilux.decision import Decision, TryAgain, Verdict
from routilux.durable.error_records import ErrorRecord, ErrorRecords
from routilux.durable.payload import NOTHING, Payloads, StoredPage
from routilux.durable.snapshot_records import SnapshotRecords
from routilux.durable.stored_error import Known
from routilux.errors import PayloadError, StoredJobError
from routilux.facts import (
    Begun,
    Cancelled,
    Emissions,
    Measured,
    Opened,
    Paused,
    Rang,
    Resumed,
    Revived,
    Settled,
    Started,
    StoredFact,
)
from routilux.page import Pages

FORMAT = 1
MOST_ON_PAGE = 1000
FEW = 32
"""Emissions that are not worth pages."""


class Record(NamedTuple):
    """One fact as it is kept."""

    kind: str
    body: bytes


class Told(NamedTuple):
    """What a record says."""

    fact: StoredFact
    state: dict[str, Any] | None = None
    """The state of the routine after the attempt that settled, where it was kept."""
    routine_id: str = ""
    """The routine whose attempt began or settled, where it was named."""


class _Started(msgspec.Struct, omit_defaults=True, rename={"moment": "t", "messages": "m", "format": "f"}):
    moment: int
    messages: dict[str, msgspec.Raw]
    format: int = FORMAT


class _Begun(
    msgspec.Struct,
    omit_defaults=True,
    rename={"activation_id": "a", "attempt": "n", "moment": "t", "routine_id": "r", "format": "f"},
):
    activation_id: int
    attempt: int
    moment: int
    routine_id: str = ""
    format: int = FORMAT


class _Opened(
    msgspec.Struct,
    omit_defaults=True,
    rename={"moment": "t", "epoch_offset_ns": "p", "fired": "i", "structure": "c", "request": "r", "format": "f"},
):
    moment: int
    epoch_offset_ns: int
    fired: int
    structure: msgspec.Raw
    request: msgspec.Raw
    format: int = FORMAT


class _Settled(
    msgspec.Struct,
    omit_defaults=True,
    rename={"activation_id": "a", "attempt": "n", "began": "b", "ended": "e", "worker": "w", "emissions": "m"}
    | {"error": "x", "more": "g", "asked": "k", "stopped": "s", "decision": "v", "measured": "u", "state": "z"}
    | {"routine_id": "r", "wrote": "q", "pages": "y", "format": "f"},
):
    activation_id: int
    attempt: int
    began: int
    ended: int
    worker: int = 0
    emissions: list[tuple[str, msgspec.Raw]] = []
    error: msgspec.Raw = NOTHING
    more: bool = False
    asked: int = 1
    stopped: bool = False
    decision: str | int | None = None
    """A verdict, or the nanoseconds after which it is tried again."""
    measured: tuple[int | None, int | None, int | None] | None = None
    state: msgspec.Raw = NOTHING
    routine_id: str = ""
    wrote: int = 0
    pages: list[tuple[str, int, msgspec.Raw]] = []
    """Where there are many emissions: events, how many values are emitted on each, and these."""
    format: int = FORMAT


class _Rang(msgspec.Struct, omit_defaults=True, rename={"moment": "t", "later": "l", "over": "o", "format": "f"}):
    moment: int
    later: dict[int, int] | None = None
    over: list[tuple[int, int]] | None = None
    format: int = FORMAT


class _Steered(msgspec.Struct, omit_defaults=True, rename={"moment": "t", "reason": "r", "format": "f"}):
    moment: int
    reason: str = ""
    format: int = FORMAT


_json = msgspec.json.Encoder().encode
_started = msgspec.json.Decoder(_Started).decode
_begun = msgspec.json.Decoder(_Begun).decode
_opened = msgspec.json.Decoder(_Opened).decode
_settled = msgspec.json.Decoder(_Settled).decode
_error = msgspec.json.Decoder(ErrorRecord).decode
_rang = msgspec.json.Decoder(_Rang).decode
_steered = msgspec.json.Decoder(_Steered).decode


class Records:
    """Writes and reads the records of the jobs of one flow."""

    __slots__ = ("_few", "_errors", "_payloads", "snapshots")

    def __init__(self, payloads: Payloads, known: Known, *, few: int = FEW) -> None:
        """`known` are the exception classes that may stand behind a stored error; see `known_exceptions`.

        More than `few` emissions are kept by the page.
        """
        self._few = few
        self._payloads = payloads
        self._errors = ErrorRecords(payloads.codec, known)
        self.snapshots = SnapshotRecords(payloads, self._errors)

    def state(self, state: Mapping[str, Any]) -> msgspec.Raw:
        """What a routine keeps, as it is written; raises `PayloadError` where it cannot be stored."""
        return self._payloads.put(dict(state), "state")

    def write(self, fact: StoredFact, state: msgspec.Raw | None = None, routine_id: str = "") -> Record:
        """The record of a fact, and of an attempt's routine; raises `PayloadError` where a value cannot be stored.

        It must be asked before the fact is applied to a machine, which takes tracebacks off exceptions.
        """
        match fact:
            case Settled():
                return Record("settled", self._write_settled(fact, state, routine_id))
            case Started():
                messages = {slot: self._payloads.put(value, slot) for slot, value in fact.messages.items()}
                return Record("started", _json(_Started(fact.moment, messages)))
            case Begun():
                return Record("begun", _json(_Begun(*fact, routine_id)))
            case Opened():
                return Record(
                    "opened", _json(_Opened(*fact[:3], msgspec.Raw(fact.structure), msgspec.Raw(fact.request)))
                )
            case Rang():
                later = None if fact.later is None else dict(fact.later)
                over = None if fact.over is None else list(fact.over)
                return Record("rang", _json(_Rang(fact.moment, later, over)))
            case Paused():
                return Record("paused", _json(_Steered(fact.moment)))
            case Resumed():
                return Record("resumed", _json(_Steered(fact.moment)))
            case Revived():
                return Record("revived", _json(_Steered(fact.moment)))
            case Cancelled():
                reason = fact.reason.encode("utf-8", "backslashreplace").decode()
                return Record("cancelled", _json(_Steered(fact.moment, reason)))

    def read(self, kind: str, body: bytes) -> Told:
        """What a record says; raises `StoredJobError`, or `PayloadError` where a value of it cannot be read."""
        try:
            return self._read(kind, body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise StoredJobError(f"A record of kind {kind!r} is damaged: {error}.") from error

    def _read(self, kind: str, body: bytes) -> Told:
        match kind:
            case "settled":
                return self._read_settled(_settled(body))
            case "started":
                started = _checked(_started(body))
                messages = {slot: self._payloads.take(value, slot) for slot, value in started.messages.items()}
                return Told(Started(started.moment, messages))
            case "begun":
                begun = _checked(_begun(body))
                return Told(Begun(begun.activation_id, begun.attempt, begun.moment), None, begun.routine_id)
            case "opened":
                opened = _checked(_opened(body))
                stood = opened.moment, opened.epoch_offset_ns, opened.fired
                return Told(Opened(*stood, bytes(opened.structure), bytes(opened.request)))
            case "rang":
                rang = _checked(_rang(body))
                return Told(Rang(rang.moment, rang.later, rang.over))
            case "paused":
                return Told(Paused(_checked(_steered(body)).moment))
            case "resumed":
                return Told(Resumed(_checked(_steered(body)).moment))
            case "revived":
                return Told(Revived(_checked(_steered(body)).moment))
            case "cancelled":
                cancelled = _checked(_steered(body))
                return Told(Cancelled(cancelled.moment, cancelled.reason))
            case _:
                raise StoredJobError(f"There is no record of kind {kind!r} in this release; a later one wrote it.")

    def _write_settled(self, fact: Settled, state: msgspec.Raw | None, routine_id: str) -> bytes:
        (
            activation_id,
            attempt,
            began,
            ended,
            worker,
            emissions,
            error,
            more,
            frames,
            asked,
            stopped,
            decision,
            measured,
            _,
            wrote,
        ) = fact
        put = self._payloads.put
        pages = self._pages(emissions) if len(emissions) > self._few else []
        return _json(
            _Settled(
                activation_id,
                attempt,
                began,
                ended,
                worker,
                [] if pages else [(event, put(value, event)) for event, value in emissions],
                NOTHING if error is None else self._errors.written(error, frames),
                more,
                asked,
                stopped,
                None if decision is None else _said(decision),
                measured,
                NOTHING if state is None else state,
                routine_id,
                wrote,
                pages,
            )
        )

    def _pages(self, emissions: Emissions) -> list[tuple[str, int, msgspec.Raw]]:
        """Emissions by the page; none where a value does not fit on one, or where little would be on each."""
        pages: list[tuple[str, int, msgspec.Raw]] = []
        for event, group in groupby(emissions, itemgetter(0)):
            values, done, count = [value for _, value in group], 0, MOST_ON_PAGE
            while done < len(values):
                some = values[done : done + count]
                data = self._payloads.put_all(some)
                if data is not None:
                    pages.append((event, len(some), msgspec.Raw(data)))
                    done += len(some)
                elif len(some) == 1:
                    return []
                else:
                    count = len(some) // 2
        return pages if len(pages) * self._few <= len(emissions) else []

    def _read_settled(self, stored: _Settled) -> Told:
        if stored.format != FORMAT:
            _checked(stored)
        take, state, error = self._payloads.take, None, None
        frames: tuple[tuple[str, int, str], ...] = ()
        if stored.error is not NOTHING:
            record = _error(stored.error)
            error, frames = self._errors.read(record), tuple(record.frames)
        if stored.state is not NOTHING:
            state = take(stored.state, "state")
            if type(state) is not dict:
                raise PayloadError("state: it is no mapping.")
        emissions: Emissions = [(event, take(value, event)) for event, value in stored.emissions]
        if stored.pages:
            codec = self._payloads.codec
            emissions = Pages([StoredPage(event, count, data, codec) for event, count, data in stored.pages])
        fact = Settled(
            stored.activation_id,
            stored.attempt,
            stored.began,
            stored.ended,
            stored.worker,
            emissions,
            error,
            stored.more,
            frames,
            stored.asked,
            stored.stopped,
            None if stored.decision is None else _decision(stored.decision),
            None if stored.measured is None else Measured(*stored.measured),
            wrote=stored.wrote,
        )
        return Told(fact, state, stored.routine_id)


def _said(decision: Decision) -> str | int:
    return decision.delay_ns if isinstance(decision, TryAgain) else decision.name.lower()


def _decision(said: str | int) -> Decision:
    if isinstance(said, int):
        return TryAgain(said)
    if said.upper() not in Verdict.__members__:
        raise StoredJobError(f"A record of kind 'settled' is damaged: {said[:80]!r} is no verdict.")
    return Verdict[said.upper()]


def _checked(stored: Any) -> Any:
    if stored.format > FORMAT:
        raise StoredJobError(
            f"A record is of format {stored.format}, and this release reads {FORMAT}. Open the store with the release "
            "that wrote it, or a later one."
        )
    return stored
