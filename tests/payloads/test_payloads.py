"""What is stored comes back as it was, or is refused by name."""

import contextlib
import enum
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from routilux.errors import PayloadError, PayloadTooLargeError, SecretError, UnknownTypeError
from routilux.payloads import Codec, Secret
from routilux.payloads.foreign import FOREIGN_BY_TAG
from routilux.payloads.forms import BY_TAG


class Colour(enum.Enum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int


@dataclass(frozen=True, slots=True)
class Order:
    lines: Any


class Parcel(msgspec.Struct, frozen=True):
    weight: Any
    label: Any = None


class Temperature(msgspec.Struct):
    celsius: float

    def __post_init__(self) -> None:
        self.celsius += 1


CODEC = Codec(types=[Colour, Access, Point, Order, Parcel, Temperature])
atoms = some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text()
leaves = atoms | some.one_of(
    some.binary(),
    some.binary().map(bytearray),
    some.dates(),
    some.datetimes(timezones=some.none() | some.just(UTC) | some.just(ZoneInfo("Europe/Berlin"))),
    some.times(),
    some.timedeltas(),
    some.uuids(),
    some.decimals(allow_nan=False),
    some.complex_numbers(allow_nan=False),
    some.sampled_from([Colour.RED, Access.READ, Access.READ | Access.WRITE, Access(0)]),
    some.just(Point(3)),
    some.just(Path("a/b")),
    some.just(range(3, 9, 2)),
    some.just(Secret(env="NAME")),
)
keys = some.text() | some.just("$") | some.integers() | some.tuples(some.text())
values = some.recursive(
    leaves,
    lambda inner: (
        some.lists(inner)
        | some.dictionaries(keys, inner)
        | some.tuples(inner, inner)
        | some.builds(Order, inner)
        | some.builds(Parcel, inner, inner)
    ),
    max_leaves=12,
)
json = some.recursive(atoms, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner), max_leaves=40)
refused = some.sampled_from([threading.Lock(), object(), OrderedDict(), lambda: 0, "\ud800", Path, 10**4400])


@given(values)
def test_a_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    back = CODEC.decode(CODEC.encode(value))
    assert back == value
    assert repr(back) == repr(value)


@given(json)
def test_what_is_jsons_own_is_written_as_json(value: Any) -> None:
    data = CODEC.encode(value)
    assert repr(CODEC.decode(data)) == repr(value)
    if b'"$"' not in data:
        assert data == msgspec.json.encode(value)


@given(some.lists(values, max_size=3), refused, some.sampled_from(["[{}]", ".lines[{}]", "['k'][{}]", "[0][{}]"]))
def test_a_refusal_names_the_path_inside_the_value(before: list[Any], bad: Any, path: str) -> None:
    inner = [*before, bad]
    outer = {"[{}]": inner, ".lines[{}]": Order(inner), "['k'][{}]": {"k": inner}, "[0][{}]": (inner, 1)}[path]
    with pytest.raises(PayloadError) as refusal:
        CODEC.encode(outer, "order")
    assert str(refusal.value).startswith(f"order{path.format(len(before))}: ")


@given(some.binary() | json.map(msgspec.json.encode))
def test_bytes_that_mean_nothing_raise_a_payload_error_or_are_a_value(data: bytes) -> None:
    with contextlib.suppress(PayloadError):
        CODEC.decode(data)


hostile = some.recursive(
    some.none() | some.integers() | some.floats() | some.text() | some.sampled_from(["ls", "9" * 5000, "<f8", "AAAA"]),
    lambda inner: (
        some.lists(inner)
        | some.fixed_dictionaries(
            {
                "$": some.sampled_from([*BY_TAG, *FOREIGN_BY_TAG, "dict", "enum", "object"]),
                "v": inner,
            },
            optional={"t": some.sampled_from([f"{__name__}:Order", f"{__name__}:Colour", "os:system"])},
        )
    ),
    max_leaves=8,
)


@given(hostile)
def test_what_an_enemy_writes_is_refused_or_is_a_value_that_can_be_stored(stored: Any) -> None:
    with contextlib.suppress(PayloadError):
        value = CODEC.decode(msgspec.json.encode(stored))
        again = CODEC.decode(CODEC.encode(value))
        assert repr(again) == repr(value) or again == value


@pytest.mark.parametrize("zone", ["../../etc/passwd", "No/Such", "/etc/localtime"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(PayloadError, match="what is tagged 'zone' cannot be read"):
        CODEC.decode(msgspec.json.encode({"$": "zone", "v": zone}))


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(PayloadError, match="contains itself"):
        CODEC.encode(value)


def test_a_value_that_is_in_too_many_places_of_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("codec", "writer"):
        monkeypatch.setattr(f"routilux.payloads.{module}.MAX_ITEMS", 10_000)
    value: Any = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(PayloadError, match="more than 1,000,000 items"):
        CODEC.encode(value)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {1: inner}, Order])
def test_a_value_may_be_a_hundred_levels_deep_and_no_deeper(wrap: Any) -> None:
    value: Any = 1
    for _ in range(100):
        value = wrap(value)
    assert CODEC.decode(CODEC.encode(value)) == value
    with pytest.raises(PayloadError, match="more than 100 levels"):
        CODEC.encode(wrap(value))


def test_a_value_may_have_a_million_items_and_no_more() -> None:
    most = [0] * 1_000_000
    assert CODEC.decode(CODEC.encode(most)) == most
    with pytest.raises(PayloadError, match=r"more than 1,000,000 items"):
        CODEC.encode([*most, 0])
    with pytest.raises(PayloadError, match=r"more than 1,000,000 items"):
        CODEC.decode(b"[" + b"0," * 1_000_000 + b"0]")


@pytest.mark.parametrize(
    "data",
    [
        b'{"$":"no"}',
        b'{"$":["int"],"v":1}',
        b'{"$":"int","v":null}',
        b'{"$":"set","v":[[]]}',
        b"[" * 5000,
        b"[" * 500 + b"]" * 500,
        b'{"$":"enum","t":"os:system","v":"ls"}',
        b'{"$":"dict","v":3}',
        b'{"$":"dict","v":[[1]]}',
        b'{"$":"dict","v":[[[],1]]}',
        b'{"$":"datetime","v":[1]}',
        b'{"$":"numpy.ndarray","v":["O",[1],"C","AAAAAAAAAAA="]}',
        b'{"$":"numpy.ndarray","v":["<f8",[9],"C","AAAAAAAAAAA="]}',
        b'{"$":"secret","v":"x; y"}',
    ],
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PayloadError):
        CODEC.decode(data)


def test_a_type_that_was_not_given_is_named() -> None:
    with pytest.raises(UnknownTypeError, match="Order"):
        Codec().decode(CODEC.encode(Order(1)))


def test_a_type_without_fields_of_its_own_cannot_be_given() -> None:
    with pytest.raises(PayloadError, match="OrderedDict cannot be stored"):
        Codec(types=[OrderedDict])


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(PayloadError, match="Two types are called"):
        Codec(types=[make_dataclass("Twin", ["x"]), make_dataclass("Twin", ["y"])])


def test_a_field_that_was_added_since_gets_its_default_and_one_that_is_gone_is_named() -> None:
    def order(fields: list[Any]) -> type:
        made = make_dataclass("Order", fields)
        made.__module__ = "shop"
        return made

    old, new = order(["id"]), order(["id", ("lines", list, field(default_factory=list))])
    stored = Codec([old]).encode(old(7))
    assert Codec([new]).decode(stored) == new(7, [])
    with pytest.raises(PayloadError, match="fields of shop:Order were id, lines when it was stored, and are now id"):
        Codec([old]).decode(Codec([new]).encode(new(7, [])))


def test_a_field_that_is_not_set_is_refused_when_it_is_written() -> None:
    broken = object.__new__(Order)
    with pytest.raises(PayloadError, match="a field of it cannot be read"):
        CODEC.encode(broken)


def test_a_struct_is_what_it_was_whatever_its_post_init_does() -> None:
    value = Temperature(20.0)
    assert CODEC.decode(CODEC.encode(value)) == value == CODEC.decode(CODEC.encode(CODEC.decode(CODEC.encode(value))))


def test_a_payload_may_have_just_as_many_bytes_as_are_allowed() -> None:
    codec = Codec(max_payload=10)
    assert codec.decode(codec.encode("x" * 8)) == "x" * 8
    with pytest.raises(PayloadTooLargeError, match="value: its 11 bytes are more than max_payload=10"):
        codec.encode("x" * 9)
    with pytest.raises(PayloadTooLargeError):
        codec.decode(b'"xxxxxxxxx"')


def test_a_secret_is_stored_as_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR", "sesame")
    secret = Secret(env="DOOR")
    stored = CODEC.encode({"door": secret})
    assert b"sesame" not in stored
    assert "sesame" not in f"{secret} {secret!r}"
    assert CODEC.decode(stored)["door"].value == "sesame"


def test_a_secret_that_is_not_there_or_was_written_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOOR", raising=False)
    with pytest.raises(SecretError, match="DOOR is not set"):
        print(Secret(env="DOOR").value)
    with pytest.raises(SecretError, match="not the secret itself") as refusal:
        Secret(env="open sesame!")
    assert "sesame" not in str(refusal.value)
