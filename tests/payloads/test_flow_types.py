"""A flow's own types are read from its annotations."""

import enum
from dataclasses import dataclass

from routilux import Flow, routine
from routilux.flow_types import types_of


class Size(enum.Enum):
    BIG = 1


@dataclass
class Line:
    size: Size | None


@dataclass
class Order:
    lines: list[Line]


def test_types_are_found_through_containers_unions_and_fields() -> None:
    @routine
    def read(path: str) -> dict[str, Order]:
        return {path: Order([])}

    flow = Flow("orders")
    flow.add_routine(read)
    assert types_of(flow) == {Order, Line, Size}
