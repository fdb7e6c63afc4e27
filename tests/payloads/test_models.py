"""Models of pydantic come back as they were, without being validated again."""

import pytest

from routilux import Flow, routine
from routilux.flow_types import types_of
from routilux.payloads import Codec

pydantic = pytest.importorskip("pydantic")


class Line(pydantic.BaseModel):
    sku: str


class Order(pydantic.BaseModel, extra="allow"):
    lines: list[Line]
    total: int = pydantic.Field(default=0, alias="sum")
    _notes: list[str] = pydantic.PrivateAttr(default_factory=list)

    @pydantic.field_validator("total")
    @classmethod
    def doubled(cls, total: int) -> int:
        return 2 * total


class Later(pydantic.BaseModel):
    sku: str
    count: int = 1


def test_a_model_comes_back_with_all_that_it_keeps() -> None:
    order = Order(lines=[Line(sku="a")], sum=3, colour="red")
    order._notes.append("fragile")
    codec = Codec([Order, Line])
    back = codec.decode(codec.encode(order))
    assert back == order
    assert (back.total, back.colour, back._notes) == (6, "red", ["fragile"])
    assert back.model_fields_set == order.model_fields_set
    assert type(back.lines[0]) is Line


def test_a_field_that_was_added_since_gets_its_default() -> None:
    later = type("Line", (Later,), {"__module__": Line.__module__, "__qualname__": "Line"})
    assert Codec([later]).decode(Codec([Line]).encode(Line(sku="a"))).count == 1


def test_models_are_found_in_annotations() -> None:
    @routine
    def price(order: Order) -> int:
        return order.total

    flow = Flow("orders")
    flow.add_routine(price)
    assert types_of(flow) == {Order, Line}
