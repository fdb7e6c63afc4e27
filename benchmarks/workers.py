"""What processes give: two processors for Python code, long and short, and arrays that are not copied more than needed.

Workers are up before anything is measured, as they are in a flow's `with` block.
"""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.calls import spread
from benchmarks.contenders.port import WORKERS, installed
from benchmarks.measure import Figure, ratio, skipped, speed_up
from benchmarks.spin import rounds_of, spin
from routilux import Flow, routine

MODE = "multiprocessing"

ARRAY = 80_000_000
"""Bytes."""

HOPS = 3


def long_work(scale: float, repetitions: int) -> list[Figure]:
    """16 activations of 0.2 s of Python."""
    seconds = 0.2 * scale
    measure = f"processes: 16 x {seconds:g} s of Python on two workers, against a plain loop"
    return [_of_python(measure, 1.9, 16, seconds, max(1, repetitions // 2))]


def short_work(scale: float, repetitions: int) -> list[Figure]:
    """2,000 activations of 1 ms of Python."""
    n = max(40, int(2000 * scale))
    measure = f"processes: {n:,} x 1 ms of Python on two workers, against a plain loop"
    return [_of_python(measure, 1.7, n, 0.001, max(1, repetitions // 2))]


def arrays(scale: float, repetitions: int) -> list[Figure]:
    """An array through three routines, against copies of it into shared memory and out of it."""
    measure = f"processes: NumPy array of {ARRAY * scale / 1e6:g} MB through {HOPS} routines"
    if not installed("numpy"):
        return [skipped(measure, "numpy")]
    copies: Any = importlib.import_module("benchmarks.arrays")
    array = copies.ones(int(ARRAY * scale))
    flow = Flow("arrays", execution_mode=MODE, max_workers=WORKERS)
    steps = [flow.add_routine(copies.marked, f"step_{number}") for number in range(HOPS)]
    flow.chain(*steps)

    def ours() -> int:
        result = flow.execute(steps[0], {"array": array}).result
        assert result.shape == array.shape
        assert (result[0], result[1], result[-1]) == (1 + HOPS, 1, 1)
        return 1

    def copied(times: int) -> int:
        result = array
        for _ in range(times):
            result = copies.there_and_back(result)
        assert (result[0], result[-1]) == (1, 1)
        return 1

    with flow:
        per_routine = f"{measure}, against a copy into shared memory and one out for each"
        once = f"{measure}, against one copy each way in all"
        return [
            ratio(per_routine, 1.5, ours, lambda: copied(HOPS), repetitions),
            ratio(once, None, ours, lambda: copied(1), repetitions),
        ]


def _of_python(measure: str, target: float, n: int, seconds: float, repetitions: int) -> Figure:
    """So many activations of so many seconds each."""
    rounds = rounds_of(seconds)

    @routine
    def work(x: int) -> int:
        return spin(rounds) + x

    flow = Flow("work", execution_mode=MODE, max_workers=WORKERS)
    flow.chain(spread, work)
    expected = [spin(rounds) + number for number in range(n)]

    def ours() -> int:
        job = flow.execute("spread", {"n": n})
        assert sorted(job.results["work"]) == expected
        assert job.counts["work"].completed == n
        return 1

    def loop() -> int:
        assert [spin(rounds) + number for number in range(n)] == expected
        return 1

    with flow:
        return speed_up(measure, target, ours, loop, repetitions)
