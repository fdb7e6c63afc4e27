"""Ray: remote calls that take the references of others, all made at once."""

from __future__ import annotations

import logging

import ray

from benchmarks.contenders.port import WORKERS, Contender
from benchmarks.patterns import Pattern, inputs_of, task


class Ray(Contender):
    """A local Ray of two workers."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        self._task = ray.remote(max_retries=0)(task)

    def run(self, rounds: int, chunk: int) -> list[int]:
        """Calls level by level with references, and waits for the last."""
        values = self.pattern.first
        for level in self.pattern.levels:
            values = [self._task.remote(rounds, *inputs) for inputs in inputs_of(level, values)]
        return sorted(ray.get(values))

    @property
    def cluster(self) -> str:
        """The Ray that this process is connected to."""
        return "ray"

    def close(self) -> None:
        """Ends it."""
        ray.shutdown()


def open_for(pattern: Pattern) -> Ray:
    """A Ray for this pattern."""
    return Ray(pattern)
