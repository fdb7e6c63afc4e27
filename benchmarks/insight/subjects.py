"""Eleven flows to try what the engine says of them on: ten whose costs are known, and the demo's."""

from __future__ import annotations

import hashlib
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.insight.work import Server, Work, uneven
from routilux import Flow, collect, keyed, routine
from routilux.demo.examination import build_flow

FILES = 150
"""So many of the standard library does the demo examine here."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A flow that can be had with any settings, and how it is started."""

    build: Callable[..., Flow]
    entry: str
    params: Mapping[str, Any]


def subjects(work: Work, server: Server, scale: float) -> dict[str, Subject]:
    """By name; the longest ones have fewer items at a smaller scale."""
    library = {"directory": Path(sysconfig.get_path("stdlib")), "limit": int(FILES * scale)}
    return {
        "I/O fan-out": _fan(60, fetch=lambda x: server.ask(uneven(x, 0.005, 0.015))),
        "CPU fan-out": _fan(24, crunch=lambda x: work.python(uneven(x, 0.005, 0.012))),
        "mixed": _fan(
            40,
            load=lambda x: time.sleep(uneven(x, 0.006, 0.014)),
            parse=lambda _: work.python(0.003),
        ),
        "chain": _chain(work),
        "native": _native(work.bytes_of(0.008)),
        "pipeline": _fan(
            60,
            read=lambda _: time.sleep(0.004),
            shape=lambda _: work.python(0.002),
            write=lambda _: _write(work),
        ),
        "branches": _branches(work, server),
        "bursts": _bursts(work),
        "tiny": _fan(int(20_000 * scale), step=lambda x: x),
        "Python 50 µs": _fan(int(2_000 * scale), step=lambda _: work.python(50e-6)),
        "demo": Subject(build_flow, "walk", library),
    }


@routine
def numbers(n: int) -> Iterator[int]:
    """Yields n numbers one by one."""
    yield from range(n)


@routine(fires=collect())
def count(xs: list[Any]) -> int:
    """How many came."""
    return len(xs)


@routine(fires=keyed(lambda x: x))
def pair(fetched: int, computed: int) -> int:
    """Joins what came of the same number."""
    assert fetched == computed
    return fetched


def _defined(entry: str, params: Mapping[str, Any], define: Callable[[Flow], object]) -> Subject:
    def build(**settings: Any) -> Flow:
        flow = Flow("subject", max_history_size=None, **settings)
        define(flow)
        return flow

    return Subject(build, entry, params)


def _fan(items: int, **steps: Callable[[int], object]) -> Subject:
    """Sends numbers through steps one after another, and counts them."""

    def define(flow: Flow) -> None:
        names = [flow.add_routine(_passing(step), name) for name, step in steps.items()]
        flow.chain(flow.add_routine(numbers), *names, flow.add_routine(count))

    return _defined("numbers", {"n": items}, define)


def _passing(step: Callable[[int], object]) -> Callable[[int], int]:
    def handler(x: int) -> int:
        step(x)
        return x

    return handler


def _chain(work: Work) -> Subject:
    """A cycle of forty rounds, in which nothing can be done at once."""

    def step(x: int) -> int | None:
        work.python(0.001)
        time.sleep(0.003)
        return x - 1 if x > 1 else None

    def define(flow: Flow) -> None:
        flow.connect(flow.add_routine(step, "step"), "step")

    return _defined("step", {"x": 40}, define)


def _native(data: bytes) -> Subject:
    return _fan(24, digest=lambda _: hashlib.sha256(data).digest())


def _write(work: Work) -> None:
    work.python(0.0003)
    time.sleep(0.003)


def _branches(work: Work, server: Server) -> Subject:
    """Each number goes two ways, and what comes of it is joined."""

    def define(flow: Flow) -> None:
        flow.add_routine(numbers)
        flow.add_routine(_passing(lambda x: server.ask(uneven(x, 0.003, 0.007))), "fetch")
        flow.add_routine(_passing(lambda x: work.python(uneven(x, 0.002, 0.004))), "compute")
        for branch, slot in (("fetch", "fetched"), ("compute", "computed")):
            flow.connect("numbers", branch)
            flow.connect(branch, "output", flow.add_routine(pair) if slot == "fetched" else "pair", slot)
        flow.connect("pair", flow.add_routine(count))

    return _defined("numbers", {"n": 50}, define)


def _bursts(work: Work) -> Subject:
    """A few long waits, each of which sets off many short computations."""

    def wait(x: int) -> Iterator[int]:
        time.sleep(0.02)
        yield from range(x, x + 20)

    def define(flow: Flow) -> None:
        flow.add_routine(wait, "wait")
        flow.add_routine(_passing(lambda x: work.python(uneven(x, 0.0005, 0.0015))), "compute")
        flow.chain(flow.add_routine(numbers), "wait", "compute", flow.add_routine(count))

    return _defined("numbers", {"n": 12}, define)
