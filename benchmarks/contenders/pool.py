"""`multiprocessing.Pool.imap`: a map for each level, because its tasks cannot need one another."""

from __future__ import annotations

import multiprocessing
from functools import partial

from benchmarks.contenders.port import WORKERS, Contender, chunks_of
from benchmarks.patterns import Pattern, inputs_of, task


class Pool(Contender):
    """A pool of spawned processes."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        self.chunks = chunks_of(pattern)
        self._pool = multiprocessing.get_context("spawn").Pool(WORKERS)

    def run(self, rounds: int, chunk: int) -> list[int]:
        """Maps level by level."""
        values = self.pattern.first
        for level in self.pattern.levels:
            values = list(self._pool.imap(partial(apply, rounds), inputs_of(level, values), chunk))
        return sorted(values)

    def close(self) -> None:
        """Ends the processes."""
        self._pool.terminate()
        self._pool.join()


def apply(rounds: int, inputs: tuple[int, ...]) -> int:
    """A task with its inputs in one argument."""
    return task(rounds, *inputs)


def open_for(pattern: Pattern) -> Pool:
    """A pool for this pattern."""
    return Pool(pattern)
