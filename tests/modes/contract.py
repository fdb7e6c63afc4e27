"""What holds in every mode: the ways in which a flow can be run, and flows whose results none of them may change."""

from __future__ import annotations

import asyncio
import inspect
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routilux import Context, Flow, Routine, batch, collect, gather, keyed, routine
from routilux.job import Job
from routilux.routine import FunctionRoutine
from tests.effects import Effects

PATIENCE = 30
"""Seconds after which a test that waits has failed."""

WORKERS = 2


@dataclass(frozen=True)
class Way:
    """A mode with whatever it needs, and how handlers are written for it."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    awaits: bool = False
    """Whether handlers are coroutines and async generators."""

    def flow(self, flow_id: str = "test", **settings: Any) -> Flow:
        """An empty flow that runs in this way."""
        return Flow(flow_id, **{"max_workers": WORKERS, **self.settings, **settings})

    def handler(self, function: Callable[..., Any], **options: Any) -> FunctionRoutine[..., Any]:
        """A plain function, or a generator function, as a routine of this way."""
        return routine(**options)(awaited(function) if self.awaits else function)

    @property
    def ahead(self) -> int:
        """So many short activations may have begun or wait for a worker: more where they travel in batches."""
        settings = {"multiprocessing": 2_500, "distributed": 5_000}
        return settings.get(self.settings["execution_mode"], 1_000)


SEQUENTIAL = Way("sequential", {"execution_mode": "sequential", "max_workers": None})
AUTO = Way("auto", {"execution_mode": "auto"})
LOCAL = [
    SEQUENTIAL,
    Way("concurrent", {"execution_mode": "concurrent"}),
    Way("asyncio", {"execution_mode": "asyncio", "max_workers": {"asyncio": WORKERS, "concurrent": WORKERS}}),
    Way("coroutines", {"execution_mode": "asyncio"}, awaits=True),
    Way("multiprocessing", {"execution_mode": "multiprocessing"}),
    AUTO,
]
"""The ways that need nothing which lives longer than a flow."""


def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler as a coroutine function or an async generator, which lets others have the loop first."""

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    async def generator(*args: Any, **kwargs: Any) -> Any:
        for value in function(*args, **kwargs):
            await asyncio.sleep(0)
            yield value

    twin = generator if inspect.isgeneratorfunction(function) else coroutine
    twin.__name__ = function.__name__
    twin.__annotations__ = function.__annotations__
    twin.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return twin


def multiset(job: Job) -> Counter[tuple[str, Any]]:
    """What left the flow, in no order."""
    return Counter((routine_id, value) for routine_id, values in job.results.items() for value in values)


# --- what handlers in any process can tell, and be told


class Number:
    """A number in a file, for handlers in whatever process to set and to read."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.set(0)

    def set(self, number: int) -> None:
        """Writes it, at once."""
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(file, struct.pack("=q", number), 0)
        os.close(file)

    def get(self) -> int:
        """Reads it."""
        return int(struct.unpack("=q", Path(self._path).read_bytes())[0])


class Gate:
    """What a handler waits at, in whatever process or on an event loop, until a test opens it."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "open")
        self._told = Effects(folder / "arrived")

    def open(self) -> None:
        """Lets everybody through."""
        Path(self._path).touch()

    def handler(self, way: Way) -> FunctionRoutine[..., Any]:
        """A routine `gated` that gives back what it is given, once it is let through."""

        def gated(x):
            self._told(x)
            wait_until(self._is_open)
            return x

        async def gated_awaited(x):
            self._told(x)
            until = time.monotonic() + PATIENCE
            while not self._is_open():
                assert time.monotonic() < until
                await asyncio.sleep(0.005)
            return x

        gated_awaited.__name__ = "gated"
        return routine(gated_awaited if way.awaits else gated)

    @property
    def arrived(self) -> list[str]:
        """What was given to those that have come to it."""
        return self._told.all()

    def wait_arrived(self, many: int = 1) -> None:
        """Waits until so many have."""
        wait_until(lambda: len(self.arrived) >= many)

    def _is_open(self) -> bool:
        return Path(self._path).exists()


def wait_until(said: Callable[[], bool]) -> None:
    """Waits for what nobody tells."""
    until = time.monotonic() + PATIENCE
    while not said():
        assert time.monotonic() < until
        time.sleep(0.005)


# --- handlers that fail; here, so that a worker which imports them need not import the tests


class OddError(Exception):
    """Has arguments, and something of its own."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(number, why)
        self.number = number


def fails(x):
    if x == 3:
        raise OddError(x, "is odd")
    return x


def fails_twice(x, ctx: Context):
    if x == 3 and ctx.attempt <= 2:
        raise OddError(x, "is odd")
    return x


# --- flows; each begins at "numbers" with a count `n`


def numbers(n):
    yield from range(n)


def same(x):
    return x


def fan_out_and_keyed_join(way: Way) -> Flow:
    """Each number goes two ways, and its halves meet again whatever has overtaken them."""
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(way.handler(lambda x: (x, x * x)), "square")
    flow.add_routine(way.handler(lambda x: (x, -x)), "minus")
    flow.add_routine(way.handler(lambda left, right: (*left, *right), fires=keyed(0)), "join")
    for side, slot in (("square", "left"), ("minus", "right")):
        flow.connect("numbers", side)
        flow.connect(side, "output", "join", slot)
    return flow


def gather_in_order(way: Way) -> Flow:
    """Fan-outs within a fan-out: what is gathered stands in the order in which it was emitted."""

    def spread(x):
        yield from ((x, item) for item in range(x % 4))

    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(way.handler(spread), "spread")
    flow.add_routine(way.handler(same), "same")
    flow.add_routine(way.handler(lambda xs: tuple(xs), fires=gather(of="spread")), "inner")
    flow.add_routine(way.handler(lambda xs: tuple(xs), fires=gather(of="numbers")), "outer")
    flow.chain("numbers", "spread", "same", "inner", "outer")
    return flow


def batches(way: Way) -> Flow:
    """Messages in lists of four, and the rest at the end; only lengths and sum are the same in every order."""
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(way.handler(lambda xs: len(xs), fires=batch(4)), "lengths")
    flow.add_routine(way.handler(lambda xs: sum(xs), fires=batch(4)), "sums")
    flow.add_routine(way.handler(lambda xs: sum(xs), fires=collect()), "total")
    flow.connect("numbers", "lengths")
    flow.connect("numbers", "sums")
    flow.connect("sums", "total")
    return flow


def collect_all(way: Way) -> Flow:
    """Everything in one list at the end, and once more of what that gives."""
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(way.handler(same), "same")
    flow.add_routine(way.handler(lambda xs: (yield from sorted(xs)), fires=collect()), "sorted")
    flow.add_routine(way.handler(lambda xs: (len(xs), sum(xs)), fires=collect()), "counted")
    flow.chain("numbers", "same", "sorted", "counted")
    return flow


def generators_on_generators(way: Way) -> Flow:
    """Each item of a generator opens another."""
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(way.handler(lambda x: (yield from range(x % 5))), "more")
    flow.add_routine(way.handler(lambda x: (yield from (x, -x))), "twice")
    flow.chain("numbers", "more", "twice")
    return flow


def cycle(way: Way) -> Flow:
    """Every number goes round until it is 1 (Collatz); those of a generator among them."""

    def turn(x, ctx: Context):
        number, steps = x
        if number <= 1:
            ctx.emit("output", steps)
        else:
            ctx.emit("again", (number // 2 if number % 2 == 0 else 3 * number + 1, steps + 1))

    flow = way.flow()
    flow.add_routine(way.handler(lambda n: (yield from ((number, 0) for number in range(n)))), "numbers")
    flow.add_routine(way.handler(turn, events=["output", "again"]), "turn")
    flow.connect("numbers", "turn")
    flow.connect("turn", "again", "turn", "x")
    return flow


class Ledger(Routine):
    """Keeps a sum and a count from one activation to the next, and sorts what it is given."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        self.define_slot("x", handler=self.add_awaited if way.awaits else self.add)
        self.define_event("even")
        self.define_event("odd")
        self.define_event("last")

    def add(self, x):
        self.state["count"] = self.state.get("count", 0) + 1
        self.state["sum"] = self.state.get("sum", 0) + x
        self.emit("odd" if x % 2 else "even", x)
        if self.state["count"] == 20:
            self.emit("last", self.state["sum"])

    async def add_awaited(self, x):
        count, total = self.state.get("count", 0), self.state.get("sum", 0)
        await asyncio.sleep(0)
        self.state["count"], self.state["sum"] = count + 1, total + x
        self.emit("odd" if x % 2 else "even", x)
        if count + 1 == 20:
            self.emit("last", total + x)


def state_of_a_class(way: Way) -> Flow:
    """A `Routine` subclass that keeps state: one activation at a time, wherever the next one runs."""
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(Ledger(way), "ledger")
    flow.connect("numbers", "ledger")
    return flow


def fields(way: Way) -> Flow:
    """Connections that carry a part of what is emitted."""
    flow = way.flow()
    flow.add_routine(way.handler(numbers))
    flow.add_routine(way.handler(lambda x: {"name": f"n{x}", "pair": (x, x + 1)}), "rows")
    flow.add_routine(way.handler(lambda x: x), "names")
    flow.add_routine(way.handler(lambda x: x), "pairs")
    flow.add_routine(way.handler(lambda x: x), "firsts")
    flow.connect("numbers", "rows")
    flow.connect("rows", "output", "names", "x", field="name")
    flow.connect("rows", "output", "pairs", "x", field="pair")
    flow.connect("pairs", "output", "firsts", "x", field=0)
    return flow


SHAPES = [
    fan_out_and_keyed_join,
    gather_in_order,
    batches,
    collect_all,
    generators_on_generators,
    cycle,
    state_of_a_class,
    fields,
]
