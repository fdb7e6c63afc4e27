"""Dask: futures that depend on futures, all submitted at once."""

from __future__ import annotations

from typing import Any

from distributed import Client, LocalCluster

from benchmarks.contenders.port import WORKERS, Contender
from benchmarks.patterns import Pattern, inputs_of, task


class Dask(Contender):
    """A local cluster of processes with one thread each."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        self._local = LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        )
        self._client = Client(self._local)

    def run(self, rounds: int, chunk: int) -> list[int]:
        """Maps levels whose inputs are futures, and waits for the last."""
        values = self.pattern.first
        for level in self.pattern.levels:
            if all(len(needs) == 1 for needs in level):
                columns: list[Any] = [[values[needed] for (needed,) in level]]
                values = self._client.map(task, [rounds] * len(level), *columns, pure=False)
            else:
                values = [self._client.submit(task, rounds, *one, pure=False) for one in inputs_of(level, values)]
        return sorted(self._client.gather(values))

    @property
    def cluster(self) -> Client:
        """The client."""
        return self._client

    def close(self) -> None:
        """Ends the client and its cluster."""
        self._client.close()
        self._local.close()


def open_for(pattern: Pattern) -> Dask:
    """A Dask cluster for this pattern."""
    return Dask(pattern)
