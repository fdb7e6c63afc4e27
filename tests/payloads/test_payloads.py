"""What is stored comes back as it was, or is refused by name."""

import contextlib
import enum
import threading
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some

from routilux.errors import PayloadError, PayloadTooLargeError, UnknownTypeError
from routilux.payloads import Blobs, Codec


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int


@dataclass(frozen=True, slots=True)
class Order:
    lines: Any


CODEC = Codec(types=[Colour, Point, Order])
leaves = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(allow_nan=False),
    some.text(),
    some.binary(),
    some.dates(),
    some.datetimes(timezones=some.just(UTC)),
    some.timedeltas(),
    some.uuids(),
    some.decimals(allow_nan=False),
    some.complex_numbers(allow_nan=False),
    some.just(Colour.RED),
    some.just(Point(3)),
    some.just(Path("a/b")),
    some.just(range(3, 9, 2)),
)
values = some.recursive(
    leaves,
    lambda inner: (
        some.lists(inner)
        | some.dictionaries(some.text() | some.just("$") | some.integers(), inner)
        | some.tuples(inner, inner)
        | some.builds(Order, inner)
    ),
    max_leaves=12,
)


@given(values)
def test_a_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    back = CODEC.decode(CODEC.encode(value))
    assert repr(back) == repr(value)


@given(some.binary())
def test_bytes_that_mean_nothing_raise_a_payload_error_or_are_a_value(data: bytes) -> None:
    with contextlib.suppress(PayloadError):
        CODEC.decode(data)


def test_a_refusal_names_the_path_inside_the_value() -> None:
    with pytest.raises(PayloadError, match=r"value\.lines\[1\]\['lock'\]: a _thread.lock cannot be stored"):
        CODEC.encode(Order([1, {"lock": threading.Lock()}]))


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(PayloadError, match="contains itself"):
        CODEC.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"$":"no"}',
        b'{"$":["int"],"v":1}',
        b'{"$":"int","v":null}',
        b'{"$":"set","v":[[]]}',
        b"[" * 5000,
        b'{"$":"enum","t":"os:system","v":"ls"}',
        b'{"$":"dict","v":3}',
        b'{"$":"datetime","v":[1]}',
    ],
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PayloadError):
        CODEC.decode(data)


def test_a_type_that_was_not_given_is_named() -> None:
    with pytest.raises(UnknownTypeError, match="Order"):
        Codec().decode(CODEC.encode(Order(1)))


def test_a_payload_above_the_limit_is_refused() -> None:
    with pytest.raises(PayloadTooLargeError, match="max_payload=10"):
        Codec(max_payload=10).encode("x" * 9)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(PayloadError, match=r"value\[0\]: a lone surrogate"):
        CODEC.encode(["\ud800"])


def test_a_blob_comes_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    name = blobs.save(b"much")
    assert blobs.load(name) == b"much"
    assert (tmp_path / "blobs" / name).stat().st_mode & 0o777 == 0o600
    (tmp_path / "blobs" / name).write_bytes(b"less")
    with pytest.raises(PayloadError, match="damaged"):
        blobs.load(name)
    assert blobs.sweep(keep=()) == 1
