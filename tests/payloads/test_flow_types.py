"""A flow's own types are read from its annotations."""

import enum
from dataclasses import dataclass

import msgspec

from routilux import Flow, routine
from routilux.flow_types import types_of
from routilux.payloads import Codec


class Size(enum.Enum):
    BIG = 1


@dataclass
class Line:
    size: Size | None


class Parcel(msgspec.Struct):
    order: "Order"


@dataclass
class Order:
    lines: list[Line]


@dataclass
class Basket(list[int]):
    """More than its fields, so that it cannot be stored."""


def test_types_are_found_through_containers_unions_and_fields() -> None:
    @routine
    def read(path: str) -> dict[str, Order]:
        return {path: Order([])}

    flow = Flow("orders")
    flow.add_routine(read)
    assert types_of(flow) == {Order, Line, Size}


def test_a_struct_is_found_and_a_type_that_is_more_than_its_fields_is_not() -> None:
    @routine
    def pack(parcel: Parcel, basket: Basket) -> None: ...

    flow = Flow("orders")
    flow.add_routine(pack)
    assert types_of(flow) == {Parcel, Order, Line, Size}
    Codec(types_of(flow))
