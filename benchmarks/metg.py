"""METG(50 %), Task Bench's measure of what a task costs: how long one must run for two workers to be worth one.

METG is the minimum effective task granularity: the shortest run time of tasks at which a system reaches half of what
its workers could do at best. Two workers reach that when they take no longer than the plain loop. Searched by
bisection, for us and for our peers, on the same tasks in the same process.
"""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Mapping
from time import perf_counter

from benchmarks.contenders.ours import open_for
from benchmarks.contenders.port import WORKERS, Contender, installed, opened
from benchmarks.measure import Figure, duration
from benchmarks.patterns import Pattern, fan_in, plain, stencil, tree, trivial
from benchmarks.spin import rounds_of

EFFICIENCY = 0.5

TRIES = 3
"""So often a size is tried before it counts as too small: others on the machine must not decide."""

BEST = 2
"""So many chunk sizes, the best of the first try, are tried again."""

PRECISION = 1.1
"""The search ends when the size that is enough is at most so many times the one that is not."""

LONGEST = 0.1
"""Seconds: no search goes beyond."""

FAR = 5
"""A peer that needs so many times as much as another is measured roughly, because each of its runs takes seconds."""

PEERS = {
    "pool": ("Pool.imap", "multiprocessing"),
    "joblib": ("joblib", "joblib"),
    "dask": ("Dask", "distributed"),
    "ray": ("Ray", "ray"),
}
"""By module: what the table calls it, and the package it needs."""

PATTERNS = {
    "trivial": (trivial(1024), trivial(64)),
    "stencil": (stencil(16, 64), stencil(4, 4)),
    "tree": (tree(9), tree(4)),
    "fan-in": (fan_in(32), fan_in(4)),
}
"""By name: a pattern of about a thousand tasks, and a small one."""


def metg(scale: float, repetitions: int) -> list[Figure]:
    """Ours on each pattern beside the peers; and the granularity at which all patterns are worth two workers.

    That last one is judged against the peers', because a flow is seldom of one pattern: where nothing depends on
    anything, handing out chunks of a list costs next to nothing. Small sizes are measured without peers; those come
    last, because some leave threads behind that slow down whoever is measured after.
    """
    patterns, figures = {name: sizes[scale < 1] for name, sizes in PATTERNS.items()}, list[Figure]()
    ours, peers = dict[str, list[float]](), dict[str, dict[str, float]]()
    for name, pattern in patterns.items():
        with open_for(pattern) as contender:
            ours[name] = [least_granularity(contender) for _ in range(max(1, repetitions // 2))]
    for name, pattern in patterns.items():
        found = ours[name]
        peers[name] = _of_peers(pattern, min(found)) if scale >= 1 else {}
        note = ", ".join(f"{title} {duration(seconds)}" for title, seconds in peers[name].items())
        measure = f"METG(50 %), two processes, {name} pattern of {pattern.tasks:,} tasks"
        figures.append(Figure(measure, 60.0, "µs", min(found) * 1e6, statistics.median(found) * 1e6, note))
    if scale >= 1:
        figures.append(_of_all_patterns(ours, peers))
    return figures


def _of_all_patterns(ours: Mapping[str, list[float]], peers: Mapping[str, Mapping[str, float]]) -> Figure:
    """What a task must take for every pattern to be worth two workers: ours, against the best peer's."""
    worst = {
        title: max(found[title] for found in peers.values())
        for title in next(iter(peers.values()))
        if all(title in found for found in peers.values())
    }
    best = min(worst.values(), default=math.nan)
    note = ", ".join(f"{title} {duration(seconds)}" for title, seconds in worst.items())
    least, usual = max(map(min, ours.values())), max(map(statistics.median, ours.values()))
    return Figure("METG(50 %), all four patterns, against the best peer", 1.0, "x", least / best, usual / best, note)


def least_granularity(contender: Contender, rival: float = math.inf) -> float:
    """Seconds that a task must take, found only to a factor of two where that is far more than a rival's.

    The first runs, which start workers and learn sizes, are not counted.
    """
    search = _Search(contender)
    too_small, enough = search.bracket()
    precision = 2.0 if search.guess(too_small) > FAR * rival else PRECISION
    while enough > precision * too_small and enough - too_small > 1:
        between = max(math.isqrt(too_small * enough), too_small + 1)
        too_small, enough = (too_small, between) if search.reached(between) else (between, enough)
    return search.seconds(enough)


def _of_peers(pattern: Pattern, ours: float) -> dict[str, float]:
    """By title: seconds that a task of the pattern must take with each peer that is installed."""
    found = dict[str, float]()
    for name, (title, package) in PEERS.items():
        if installed(package):
            with opened(name, pattern) as peer:
                found[title] = least_granularity(peer, min([ours, *found.values()]))
    return found


class _Search:
    """Tries one size of task after another; sizes are rounds of `spin`."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._microsecond = rounds_of(1e-6)
        self._results = plain(contender.pattern, 1)
        for chunk in contender.chunks:
            self._taken(1, chunk)

    def bracket(self) -> tuple[int, int]:
        """A size that is too small and one, twice as large, that is enough."""
        # Where tasks take next to no time, all that is left is what cannot be enough.
        least = min(self._taken(1, chunk) for chunk in self._contender.chunks) / self._contender.pattern.tasks
        size = max(1, int(least * 1e6 * self._microsecond))
        if self.reached(size):
            while size > 1 and self.reached(size // 2):
                size //= 2
            return size // 2, size
        while not self.reached(2 * size):
            size *= 2
            assert self.guess(size) < LONGEST, f"{self._contender} never reaches half of its workers"
        return size, 2 * size

    def reached(self, size: int) -> bool:
        """Whether this size is enough, with any number of tasks that travel together."""
        chunks, best, baseline = list(self._contender.chunks), math.inf, math.inf
        for _ in range(TRIES):
            taken = {chunk: self._taken(size, chunk) for chunk in chunks}
            best, baseline = min(best, *taken.values()), min(baseline, self._plain(size))
            if EFFICIENCY * WORKERS * best <= baseline:
                return True
            chunks = sorted(taken, key=lambda chunk: taken[chunk])[:BEST]
        return False

    def guess(self, size: int) -> float:
        """About how many seconds a task of this size takes."""
        return size / self._microsecond * 1e-6

    def seconds(self, size: int) -> float:
        """What a task of this size takes in a plain loop."""
        return min(self._plain(size) for _ in range(TRIES)) / self._contender.pattern.tasks

    def _plain(self, size: int) -> float:
        gc.collect()
        began = perf_counter()
        results = plain(self._contender.pattern, size)
        taken = perf_counter() - began
        assert results == self._results
        return taken

    def _taken(self, size: int, chunk: int) -> float:
        gc.collect()
        began = perf_counter()
        results = self._contender.run(size, chunk)
        taken = perf_counter() - began
        assert results == self._results
        return taken
