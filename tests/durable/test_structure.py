"""What a stored job relies on is found again, or named."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from routilux import Flow, Skip, batch, keyed, routine
from routilux.durable.structure import Structure, from_data, missing, part_of, structure_of
from routilux.errors import StoredJobError
from routilux.slots import OUTPUT


@routine
def read(path: str) -> str:
    return path


@routine(fires=batch(3), error_strategy=Skip())
def price(order: list[str]) -> str:
    return order[0]


@routine(fires=keyed(lambda message: message))
def join(left: str, right: str) -> None: ...


def orders() -> Flow:
    flow = Flow("orders")
    flow.chain(read, price)
    flow.connect("price", OUTPUT, "join" if "join" in flow.routines else flow.add_routine(join), "left")
    flow.connect("read", OUTPUT, "join", "right", field=0)
    return flow


def test_a_structure_comes_back_and_lacks_nothing_of_itself() -> None:
    structure = structure_of(orders())
    assert from_data(structure.data) == structure
    assert missing(structure, structure_of(orders())) == []
    assert structure_of(orders()).digest == structure.digest


def test_a_structure_is_the_same_in_every_process() -> None:
    folder, name = Path(__file__).parent, Path(__file__).stem
    code = f"import sys; sys.path.append({str(folder)!r}); from {name} import *; print(structure_of(orders()).digest)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == structure_of(orders()).digest


def test_what_is_added_is_not_missed() -> None:
    flow = orders()

    @routine(events=("output", "odd"))
    def pack(order: str, note: str = "") -> None: ...

    flow.connect("price", pack)
    assert missing(structure_of(orders()), structure_of(flow)) == []
    assert structure_of(part_of(flow, structure_of(orders()))) == structure_of(orders())
    assert missing(structure_of(flow), structure_of(orders())) == [
        "Flow 'orders' has no routine 'pack' any more.",
        "Flow 'orders': price.output -> pack.order is not connected any more.",
    ]


def flow_of(changed: Callable[..., object], **options: object) -> Flow:
    flow = Flow("orders")
    flow.add_routine(changed, "price", **options)  # type: ignore[arg-type]
    return flow


@routine(fires=batch(4), error_strategy=Skip())
def fires_otherwise(order: list[str]) -> str:
    return order[0]


@routine(fires=batch(3), error_strategy=Skip())
def other_slot(orders: list[str]) -> str:
    return orders[0]


@routine(fires=batch(3), error_strategy=Skip(), events=())
def no_event(order: list[str]) -> None: ...


WHERE = "Flow 'orders', routine 'price'"


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (flow_of(fires_otherwise), "{}, slot 'order': it fires by Batch(size=4, timeout=None), not by Batch(size=3"),
        (flow_of(other_slot), "{}: it has no slot 'order' any more."),
        (flow_of(no_event), "{}: it has no event 'output' any more."),
        (flow_of(price, version=2), "{}: its version is 2, not None."),
        (flow_of(price, crash_retries=0), "{}: its crash_retries is 0, not 3."),
        (flow_of(price, delivery="at_most_once"), "{}: its delivery is at_most_once, not at_least_once."),
        (Flow("orders"), "Flow 'orders' has no routine 'price' any more."),
    ],
    ids=["rule", "slot", "event", "version", "crash_retries", "delivery", "routine"],
)
def test_what_is_missing_is_named(flow: Flow, said: str) -> None:
    (sentence,) = missing(structure_of(flow_of(price)), structure_of(flow))
    assert sentence.startswith(said.format(WHERE))


def test_a_slot_that_holds_now_and_slots_that_were_parted_are_named() -> None:
    @routine
    def pair(left: str, right: str) -> None: ...

    @routine(hold=["right"])
    def held(left: str, right: str) -> None: ...

    was, now = structure_of(flow_of(pair)), structure_of(flow_of(held))
    assert missing(was, now) == [f"{WHERE}, slot 'right': it keeps its last message now."]
    assert missing(now, was) == [f"{WHERE}, slot 'right': it does not keep its last message now."]


@given(some.binary())
def test_what_is_no_structure_is_refused(data: bytes) -> None:
    with pytest.raises(StoredJobError):
        from_data(data)


@routine
def target(x: int) -> int:
    return x


connected = some.lists(
    some.tuples(some.sampled_from("abcd"), some.sampled_from("abcd"), some.none() | some.integers(0, 1)),
    max_size=6,
    unique=True,
)


def flow_with(connections: list[tuple[str, str, int | None]]) -> Flow:
    flow = Flow("random")
    for name in sorted({end for one in connections for end in one[:2]}):
        flow.add_routine(target, name)
    for left, right, field in connections:
        flow.connect(left, OUTPUT, right, "x", field=field)
    return flow


def shape(connections: list[tuple[str, str, int | None]]) -> Structure:
    return structure_of(flow_with(connections))


@given(connected, connected)
def test_what_is_missing_is_told_exactly(was: list[Any], now: list[Any]) -> None:
    old, new = shape(was), shape(now)
    ends = [{end for one in connections for end in one[:2]} for connections in (was, now)]
    assert len(missing(old, new)) == len(ends[0] - ends[1]) + len(set(was) - set(now))
    assert (old.digest == new.digest) == (was == now)


@given(connected, some.randoms())
def test_a_part_has_the_order_of_its_structure(was: list[Any], random: Any) -> None:
    flow, old = flow_with(random.sample(was, len(was))), shape(was)
    assert missing(old, structure_of(flow)) == []
    assert structure_of(part_of(flow, old)) == old
