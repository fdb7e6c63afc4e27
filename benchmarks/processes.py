"""What only a fresh process shows: memory over a long time, and the time to start."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from time import perf_counter

from benchmarks.measure import Figure

CACHING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment in which Python keeps what it has compiled, as it does unless somebody forbids it."""

MEMORY = """
import json, resource, sys
def resident():
    try:
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""

ACTIVATIONS = (
    MEMORY
    + """
from benchmarks.calls import chain_flow, run_chain
flow, most = chain_flow(), 0
run_chain(flow, 1000)
before = resident()
for done in range(2, int(sys.argv[1]) // 100_000 + 1):
    run_chain(flow, 1000)
    most = max(most, resident())
    if done % 10 == 0:
        print(f"  {done // 10} million activations, {resident() / 1e6:.1f} MB", file=sys.stderr, flush=True)
assert flow.execution_tracker.get_performance_metrics()["executions"] == int(sys.argv[1])
print(json.dumps({"growth": max(0, most - before)}))
"""
)

ITEMS = (
    MEMORY
    + """
from routilux import Flow, routine
marks = {}
@routine
def source(n):
    for number in range(n):
        if number % 50_000 == 0:
            marks[number] = resident()
            if number % 1_000_000 == 0 and number:
                reached = f"  {number // 1_000_000} million items, {marks[number] / 1e6:.1f} MB"
                print(reached, file=sys.stderr, flush=True)
        yield number
@routine
def first(x): return x
@routine
def second(x): return x
@routine
def last(x): return None
flow = Flow("items", execution_mode=sys.argv[2])
flow.chain(source, first, second, last)
n = int(sys.argv[1])
job = flow.execute("source", {"n": n})
assert job.status == "completed" and not job.results and len(job.history) <= 1000
assert job.counts["source"].yielded == n
assert [job.counts[one].completed for one in ("source", "first", "second", "last")] == [1, n, n, n]
after = [size for number, size in marks.items() if number >= 100_000] or [0]
print(json.dumps({"growth": max(0, max(after) - after[0]), "seconds": job.duration}))
"""
)

ONE_ROUTINE = """
from routilux import Flow, routine
@routine
def double(x): return 2 * x
flow = Flow("one")
flow.add_routine(double)
assert flow.execute("double", {"x": 21}).result == 42
"""


def memory_of_activations(scale: float) -> list[Figure]:
    """Five million activations in one process with default limits."""
    n = max(200_000, int(5_000_000 * scale))
    found = _run(ACTIVATIONS, str(n))
    return [_growth(f"memory: {n:,} activations, growth after the first 100,000", found)]


def memory_of_a_source(mode: str, scale: float) -> list[Figure]:
    """A generator of ten million items through three routines."""
    n = max(200_000, int(10_000_000 * scale))
    found = _run(ITEMS, str(n), mode)
    return [_growth(f"memory: a source of {n:,} items, {mode}, growth after the first 100,000", found, n)]


def start(scale: float, repetitions: int) -> list[Figure]:
    """From nothing to a first result, and to an import, beyond what Python itself takes."""
    rounds = max(3, repetitions if scale >= 1 else 3)
    for code in ("pass", "import routilux", ONE_ROUTINE):
        _seconds(code)
    found = [[_seconds(code) for code in ("pass", "import routilux", ONE_ROUTINE)] for _ in range(rounds)]
    figures = []
    for column, (measure, target) in enumerate(
        (("import routilux", 80.0), ("first result of a one-routine flow", 120.0)), 1
    ):
        beyond = [(row[column] - row[0]) * 1000 for row in found]
        best = (min(row[column] for row in found) - min(row[0] for row in found)) * 1000
        figures.append(
            Figure(
                f"{measure}, fresh process, beyond Python's start",
                target,
                "ms",
                best,
                statistics.median(beyond),
            )
        )
    return figures


def _growth(measure: str, found: dict[str, float], items: int = 0) -> Figure:
    growth = found["growth"] / 1e6
    note = f"{items / found['seconds']:,.0f} items/s" if items else ""
    return Figure(measure, 5.0, "MB", growth, growth, note)


def _run(code: str, *arguments: str) -> dict[str, float]:
    # What it says of its progress, or of why it failed, goes where ours goes.
    done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _seconds(code: str) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=CACHING)
    return perf_counter() - began
