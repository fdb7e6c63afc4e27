"""Every fact that is kept comes back, with its payloads, its state and what became of it."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from routilux.decision import TryAgain, Verdict
from routilux.durable.payload import INLINE
from routilux.durable.records import Records
from routilux.errors import PayloadError, PayloadTooLargeError, RoutiluxError, StoredJobError
from routilux.facts import Begun, Cancelled, Measured, Opened, Paused, Rang, Resumed, Settled, Started
from routilux.parcel import Parcel


@dataclass
class Order:
    lines: list[Any]


class Elsewhere(Parcel):
    def open(self) -> Any:
        return ["value"]


Make = Callable[..., Records]
with_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
numbers = some.integers(0, 2**62)
values = some.none() | some.text() | some.binary() | some.tuples(some.integers()) | some.builds(Order, some.just([1]))
decisions = some.none() | some.sampled_from(list(Verdict)) | some.builds(TryAgain, numbers)
measured = some.none() | some.builds(Measured, some.none() | numbers, some.none() | numbers, some.none() | numbers)
facts = some.one_of(
    some.builds(Started, numbers, some.dictionaries(some.text(), values)),
    some.builds(Begun, numbers, numbers, numbers),
    some.builds(Opened, numbers, numbers, numbers, some.sampled_from([b"null", b'{"a":[1]}']), some.just(b"null")),
    some.builds(Rang, numbers, some.none() | some.dictionaries(numbers, numbers)),
    some.builds(Rang, numbers, some.none(), some.lists(some.tuples(numbers, numbers))),
    some.builds(Paused, numbers),
    some.builds(Resumed, numbers),
    some.builds(Cancelled, numbers, some.text()),
    some.builds(
        Settled,
        numbers,
        numbers,
        numbers,
        numbers,
        some.integers(-1, 9),
        some.lists(some.tuples(some.text(), values)),
        error=some.none(),
        more=some.booleans(),
        frames=some.just(()),
        asked=numbers,
        stopped=some.booleans(),
        statements=some.just(()),
        wrote=numbers,
        decision=decisions,
        measured=measured,
    ),
)


@with_fixtures
@given(facts)
def test_a_fact_comes_back(records: Make, fact: Any) -> None:
    kept = records(types=[Order])
    told = kept.read(*kept.write(fact))
    assert told.fact == fact
    assert repr(told.fact) == repr(fact)
    assert told.state is None


@with_fixtures
@given(some.dictionaries(some.text() | some.integers(), values))
def test_the_state_of_a_routine_comes_back_with_what_settled(records: Make, state: dict[Any, Any]) -> None:
    kept = records(types=[Order])
    assert kept.read(*kept.write(Settled(1, 1, 0, 0), kept.state(state))).state == state


def test_a_record_is_short_and_can_be_read_by_people(records: Make) -> None:
    written = records().write(Settled(17, 1, 1000, 2000, emissions=[("output", {"id": 7})]))
    assert written == ("settled", b'{"a":17,"n":1,"b":1000,"e":2000,"m":[["output",{"id":7}]]}')


def test_a_large_payload_lies_elsewhere_and_its_record_holds_its_name(records: Make, blobs: dict[str, bytes]) -> None:
    kept = records()
    inline, large = "x" * (INLINE - 2), "x" * (INLINE - 1)
    small = kept.write(Settled(1, 1, 0, 0, emissions=[("output", inline)]))
    assert not blobs
    written = kept.write(
        Settled(1, 1, 0, 0, emissions=[("output", large), ("other", large)]), kept.state({"seen": large})
    )
    assert len(blobs) == 3
    assert len(written.body) < 300
    assert kept.read(*small).fact.emissions == [("output", inline)]
    told = kept.read(*written)
    assert told.fact.emissions == [("output", large), ("other", large)]
    assert told.state == {"seen": large}


def test_a_value_that_looks_like_the_name_of_a_large_payload_is_none(records: Make) -> None:
    kept, value = records(), {"$": "blob", "v": "blob-0"}
    assert kept.read(*kept.write(Started(0, {"x": value}))).fact.messages == {"x": value}


def test_a_payload_above_the_limit_names_the_option(records: Make) -> None:
    with pytest.raises(PayloadTooLargeError, match="output: its 52 bytes are more than max_payload=50"):
        records(max_payload=50).write(Settled(1, 1, 0, 0, emissions=[("output", "x" * 50)]))


def test_a_value_that_cannot_be_stored_is_named_with_its_event_slot_or_state(records: Make) -> None:
    kept = records()
    for fact, state, path in (
        (Settled(1, 1, 0, 0, emissions=[("output", {"rows": [object()]})]), None, r"output\['rows'\]\[0\]"),
        (Started(0, {"path": object()}), None, "path"),
        (Settled(1, 1, 0, 0), {"seen": object()}, r"state\['seen'\]"),
    ):
        with pytest.raises(PayloadError, match=f"^{path}: a builtins.object cannot be stored"):
            kept.write(fact, None if state is None else kept.state(state))


def test_what_lies_in_a_parcel_is_stored_itself(records: Make) -> None:
    kept = records()
    told = kept.read(*kept.write(Settled(1, 1, 0, 0, emissions=[("output", Elsewhere())])))
    assert told.fact.emissions == [("output", ["value"])]


def test_a_record_may_have_more_than_its_reader_knows(records: Make) -> None:
    assert records().read("paused", b'{"t":3,"later":[1]}').fact == Paused(3)


@pytest.mark.parametrize("kind", ["started", "begun", "opened", "settled", "rang", "paused", "cancelled"])
def test_a_record_of_a_later_release_says_so(records: Make, kind: str) -> None:
    body = b'{"t":1,"a":1,"n":1,"b":0,"e":0,"m":%s,"r":"","p":0,"i":0,"c":"","f":2}' % (
        b"{}" if kind == "started" else b"[]"
    )
    with pytest.raises(StoredJobError, match="is of format 2, and this release reads 1"):
        records().read(kind, body)


@with_fixtures
@given(some.sampled_from(["settled", "started", "rang", "begun", "cancelled", "other"]), some.binary())
def test_what_is_no_record_is_refused(records: Make, kind: str, body: bytes) -> None:
    with pytest.raises(StoredJobError):
        records().read(kind, body)


@with_fixtures
@given(some.data())
def test_a_record_that_was_tampered_with_is_refused_or_read(records: Make, data: some.DataObject) -> None:
    kept = records()
    error = ValueError("no")
    error.__cause__ = KeyError("k")
    kind, body = kept.write(Settled(1, 1, 0, 0, 0, [("output", 1)], error, decision=Verdict.SKIP), {"x": 1})
    stored = msgspec.json.decode(body)
    part = data.draw(some.sampled_from([stored, stored["x"], stored["x"]["c"]]))
    junk = some.none() | some.integers() | some.text() | some.just({"$": "blob", "v": 3}) | some.just("a:b\0")
    part[data.draw(some.sampled_from(sorted(part)))] = data.draw(junk | some.lists(junk))
    with contextlib.suppress(RoutiluxError):
        kept.read(kind, msgspec.json.encode(stored))
