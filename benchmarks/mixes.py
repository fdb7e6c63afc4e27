"""One flow with routines in different modes, against the same flow in the best single mode."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any

from benchmarks.calls import count
from benchmarks.contenders.port import WORKERS
from benchmarks.measure import Figure, speed_up
from benchmarks.spin import rounds_of, spin
from routilux import Context, Flow, routine

SINGLE = ("concurrent", "asyncio", "multiprocessing")

COUNTS = tuple(range(1, 17))
"""Of workers, that single modes are tried with."""

FINALISTS = 4
"""So many, the best of a first run, are tried again to find the best."""


@routine
def spread(n: int, rounds: int, ctx: Context) -> None:
    """Emits n times how many rounds are to be spun."""
    for _ in range(n):
        ctx.emit("output", rounds)


@routine
def pause(rounds: int) -> int:
    """Waits for 10 ms."""
    sleep(0.01)
    return rounds


@routine
def compute(rounds: int) -> int:
    """Computes for so many rounds."""
    return spin(rounds)


def mixed(scale: float, repetitions: int) -> list[Figure]:
    """200 waits of 10 ms, 200 x 5 ms of Python, and the count: with and without the time that workers take to start."""
    n, counts = (200, COUNTS) if scale >= 1 else (10, (1, 2))
    measure = f"mixed: {n} waits of 10 ms on threads -> {n} x 5 ms of Python on processes"
    return [
        _against_the_best(f"{measure}, from nothing", 1.3, n, counts, repetitions, kept=False),
        _against_the_best(f"{measure}, workers up", None, n, counts, repetitions, kept=True),
    ]


def _against_the_best(
    measure: str, target: float | None, n: int, counts: tuple[int, ...], repetitions: int, *, kept: bool
) -> Figure:
    """The mixed flow against the single mode and number of workers that take the least time of all."""
    rounds = rounds_of(0.005)
    settings = [{"execution_mode": "sequential"}] + [
        {"execution_mode": mode, "max_workers": workers} for mode in SINGLE for workers in counts
    ]
    for runs, left in ((1, FINALISTS), (3, 1)):
        seconds = [_seconds_in(one, n, rounds, runs, kept=kept) for one in settings]
        settings = [settings[place] for place in sorted(range(len(settings)), key=seconds.__getitem__)[:left]]
    (best,) = settings
    with _runs(_mixed(), n, rounds, kept=kept) as ours, _runs(_flow(**best), n, rounds, kept=kept) as single:
        figure = speed_up(f"{measure}, against the best single mode", target, ours, single, repetitions)
    return dataclasses.replace(figure, note=f"{figure.note}; best: {' on '.join(map(str, best.values()))}")


def _seconds_in(settings: dict[str, Any], n: int, rounds: int, runs: int, *, kept: bool) -> float:
    """The best of so many runs, after one that is not counted where it starts workers that stay."""
    with _runs(_flow(**settings), n, rounds, kept=kept) as run:
        if kept:
            run()
        return min(_seconds(run) for _ in range(runs))


def _seconds(run: Callable[[], int]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


@contextmanager
def _runs(flow: Flow, n: int, rounds: int, *, kept: bool) -> Iterator[Callable[[], int]]:
    """Executes the flow, on workers that stay if they are to be kept."""

    def run() -> int:
        job = flow.execute("spread", {"n": n, "rounds": rounds})
        assert job.result == n
        assert (job.counts["pause"].completed, job.counts["compute"].completed) == (n, n)
        return 1

    if not kept:
        yield run
        return
    with flow:
        yield run


def _flow(**settings: Any) -> Flow:
    flow = Flow("single", **settings)
    flow.chain(spread, pause, compute, count)
    return flow


def _mixed() -> Flow:
    """Waits on as many threads as a single mode may have workers, computes on a process for each processor."""
    workers = {"concurrent": COUNTS[-1], "multiprocessing": WORKERS}
    flow = Flow("mixed", execution_mode="concurrent", max_workers=workers)
    flow.add_routine(compute, "compute", execution_mode="multiprocessing")
    flow.chain(spread, pause, "compute", count)
    return flow
