"""joblib: a call of `Parallel` for each level, on processes that stay."""

from __future__ import annotations

from contextlib import ExitStack

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from benchmarks.contenders.port import WORKERS, Contender, chunks_of
from benchmarks.patterns import Pattern, inputs_of, task

AUTO = 0
"""Stands for joblib's own choice of how many tasks travel together."""


class Joblib(Contender):
    """joblib with its processes of loky."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        self.chunks = [AUTO, *chunks_of(pattern)]
        self._open = ExitStack()
        # Without `max_nbytes=None` it makes a folder for each call, for arrays that are not there.
        self._parallel = {
            chunk: self._open.enter_context(
                Parallel(n_jobs=WORKERS, batch_size=chunk or "auto", pre_dispatch="all", max_nbytes=None)
            )
            for chunk in self.chunks
        }

    def run(self, rounds: int, chunk: int) -> list[int]:
        """Maps level by level."""
        values, parallel = self.pattern.first, self._parallel[chunk]
        for level in self.pattern.levels:
            values = parallel(delayed(task)(rounds, *inputs) for inputs in inputs_of(level, values))
        return sorted(values)

    def close(self) -> None:
        """Ends the processes."""
        self._open.close()
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


def open_for(pattern: Pattern) -> Joblib:
    """joblib for this pattern."""
    return Joblib(pattern)
