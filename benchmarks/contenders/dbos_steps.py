"""Jobs of a few steps in DBOS, on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbos import DBOS


@DBOS.step()
def step(x: int) -> int:
    """Does nothing."""
    return x


@DBOS.workflow()
def workflow(x: int, steps: int) -> int:
    """So many steps, one after another."""
    for _ in range(steps):
        x = step(x)
    return x


@contextmanager
def dbos_jobs(folder: Path, steps: int) -> Iterator[Callable[[int], int]]:
    """Runs so many jobs and gives how many steps that were."""
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})
    DBOS.launch()

    def run(jobs: int) -> int:
        for _ in range(jobs):
            assert workflow(1, steps) == 1
        return jobs * steps

    yield run
    DBOS.destroy()
