"""What an activation costs in each mode on this machine, measured with flows that do nothing.

Each figure is the least of several. It takes a second or two, so it is kept in the user's cache directory, under a
name made of all that could change it. A mode that cannot run here keeps the cost that `Costs` has for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, fields, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from routilux.context import Context
from routilux.errors import MissingExtraError, SettingError
from routilux.execution_mode import ExecutionMode
from routilux.insight.costs import Costs
from routilux.insight.trace import Trace

WIDE = 2000
DEEP = 100
BEATS = 40
REPEATS = 5
PAUSE = 0.001
"""Seconds after which a worker without work is surely asleep."""

PAYLOAD = 1_000_000
"""Bytes."""


class NullJob(Protocol):
    """What is asked of a finished job."""

    @property
    def duration(self) -> float:
        """Seconds from start to end."""

    @property
    def results(self) -> Mapping[str, Sequence[Any]]:
        """By routine: what left the flow there."""

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """Its records."""

    @property
    def trace(self) -> Trace:
        """Where its time went, if it was recorded."""


class NullFlow(AbstractContextManager["NullFlow"], Protocol):
    """What is asked of a flow."""

    def chain(self, *routines: Any) -> Any:
        """Adds routines and connects each to the next."""

    def add_routine(self, routine: Any, routine_id: str) -> str:
        """Adds one."""

    def connect(self, source: str, target: str) -> Any:
        """Connects two."""

    def execute(self, entry: str, entry_params: Mapping[str, Any], *, recording: bool = False) -> NullJob:
        """Runs a job."""


NewFlow = Callable[..., NullFlow]
"""`Flow` itself, which this floor does not know: flow id and settings give a flow."""


def spread(count: int, ctx: Context) -> None:
    """Emits so many numbers at once."""
    for number in range(count):
        ctx.emit("output", number)


def nothing(x: object) -> None:
    """Does nothing."""


async def nothing_async(x: object) -> None:
    """Does nothing, as a coroutine."""


def used(x: object) -> tuple[int, float]:  # noqa: ARG001 -- what fires it
    """This process, and the CPU time that it has used."""
    return os.getpid(), time.process_time()


def turn(x: tuple[int, bytes]) -> tuple[int, bytes] | None:
    """Emits what came with one turn less, until there is none."""
    return (x[0] - 1, x[1]) if x[0] > 0 else None


def beat(x: int) -> int | None:
    """As `turn`, after a pause."""
    time.sleep(PAUSE)
    return x - 1 if x > 0 else None


async def nap(x: int) -> int | None:
    """As `beat`, as a coroutine."""
    await asyncio.sleep(PAUSE)
    return x - 1 if x > 0 else None


def cached_costs(new_flow: NewFlow, directory: Path | None = None) -> Costs:
    """The costs of this machine: those that are kept, or, the first time, measured and kept."""
    path = (directory or cache_directory()) / f"costs-{_key()}.json"
    costs = _kept(path)
    if costs is None:
        costs = calibrate(new_flow)
        _keep(costs, path)
    return costs


def cache_directory() -> Path:
    """Where this platform wants what can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "routilux"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "routilux"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "routilux"


def calibrate(new_flow: NewFlow) -> Costs:
    """Measures what each mode costs."""
    costs = Costs()
    for mode, measure in MEASURES.items():
        try:
            costs = replace(costs, **measure(partial(new_flow, execution_mode=mode)))
        except (SettingError, MissingExtraError):
            continue
    return costs


def _sequential(new_flow: NewFlow) -> dict[str, float]:
    with new_flow("calibration") as flow:
        cost = _wide(flow, nothing)
        plain = flow.execute("spread", {"count": WIDE}).history
        recorded = flow.execute("spread", {"count": WIDE}, recording=True)
    took = statistics.median(one["execution_time"] for one in plain if one["routine_id"] == "leaf")
    attempts = [one for one in recorded.trace.attempts if one.routine_id == "leaf"]
    measuring = statistics.median((one.cpu_ns or 0) / 1e9 for one in attempts) - took
    engine = (recorded.duration - sum(one.run_time for one in recorded.trace.attempts)) / len(attempts) - cost
    return {"sequential": cost, "recording": max(0.0, measuring), "recorder": max(0.0, engine)}


def _threads(new_flow: NewFlow) -> dict[str, float]:
    with new_flow("calibration", max_workers=4) as flow:
        thread = _wide(flow, nothing)
    with new_flow("calibration", max_workers=2) as flow:
        # Of the two that a beat fires the worker itself goes on with one; the other has to be woken for.
        flow.connect(flow.add_routine(beat, "beat"), "beat")
        flow.connect("beat", flow.add_routine(nothing, "leaf"))
        job = flow.execute("beat", {"x": BEATS})
        waits: dict[int, float] = {}
        for record in job.history:
            cause = record["cause"]
            waits[cause] = max(waits.get(cause, 0.0), record["queue_wait"])
    waits.pop(0, None)
    return {"thread": thread, "thread_wake": sorted(waits.values())[len(waits) // 2]}


def _loop(new_flow: NewFlow) -> dict[str, float]:
    with new_flow("calibration") as flow:
        loop = _wide(flow, nothing_async)
    with new_flow("calibration") as flow:
        flow.chain(flow.add_routine(spread, "spread"), flow.add_routine(nap, "leaf"))
        before = time.process_time()
        flow.execute("spread", {"count": WIDE})
        napping = (time.process_time() - before) / WIDE
    with new_flow("calibration") as flow:
        flow.connect(flow.add_routine(nap, "nap"), "nap")
        naps = min(flow.execute("nap", {"x": BEATS}).duration for _ in range(REPEATS)) / (BEATS + 1)
    sleeps = min(_slept() for _ in range(BEATS))
    return {"loop": loop, "loop_wait": max(0.0, napping - loop), "loop_timer": max(0.0, naps - loop - sleeps)}


def _processes(new_flow: NewFlow) -> dict[str, float]:
    count = WIDE // 4
    with new_flow("calibration", max_workers=1) as flow:
        flow.chain(flow.add_routine(spread, "spread"), flow.add_routine(used, "leaf"))
        callers, children = [], []
        for _ in range(REPEATS):
            before = time.process_time()
            job = flow.execute("spread", {"count": count})
            callers.append((time.process_time() - before) / count)
            cpu = [seconds for _, seconds in job.results["leaf"]]
            children.append((max(cpu) - min(cpu)) / (count - 1))
    with new_flow("calibration", max_workers=1) as flow:
        flow.connect(flow.add_routine(turn, "turn"), "turn")
        hop = _deep(flow, b"")
        heavy = _deep(flow, bytes(PAYLOAD))
    caller, child = min(callers), min(children)
    per_byte = max(0.0, heavy - hop) / (2 * PAYLOAD)  # there and back
    return {
        "process_send": caller / 2,
        "process_receive": caller / 2,
        "process_child": child,
        "process_wake": max(0.0, hop - caller - child) / 2,
        "byte_send": per_byte / 2,
        "byte_child": per_byte / 2,
    }


MEASURES: dict[ExecutionMode, Callable[[NewFlow], dict[str, float]]] = {
    ExecutionMode.SEQUENTIAL: _sequential,
    ExecutionMode.CONCURRENT: _threads,
    ExecutionMode.ASYNCIO: _loop,
    ExecutionMode.MULTIPROCESSING: _processes,
}


def _wide(flow: NullFlow, leaf: Callable[[object], object]) -> float:
    """Seconds for each of many activations that are ready at once."""
    flow.chain(flow.add_routine(spread, "spread"), flow.add_routine(leaf, "leaf"))
    return min(flow.execute("spread", {"count": WIDE}).duration for _ in range(REPEATS)) / WIDE


def _deep(flow: NullFlow, payload: bytes) -> float:
    """Seconds for each of many activations, one after another, that hand on a payload."""
    return min(flow.execute("turn", {"x": (DEEP, payload)}).duration for _ in range(REPEATS)) / DEEP


def _slept() -> float:
    """Seconds that a pause takes a thread."""
    before = time.perf_counter()
    time.sleep(PAUSE)
    return time.perf_counter() - before


def _kept(path: Path) -> Costs | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Costs(**{field.name: float(kept[field.name]) for field in fields(Costs)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(costs: Costs, path: Path) -> None:
    """Keeps costs for the next time; where that cannot be, they are measured again."""
    fresh = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(asdict(costs)), encoding="utf-8")
        fresh.replace(path)


def _key() -> str:
    """All that could change the costs, in sixteen letters."""
    known = [platform.node(), platform.machine(), os.cpu_count(), sys.version, sys.getswitchinterval()]
    return hashlib.sha256(repr([*known, version("routilux")]).encode()).hexdigest()[:16]
