"""Jobs of a few steps in DBOS, on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
def dbos_jobs(folder: Path, steps: int) -> Iterator[Callable[[int, int], int]]:
    """Runs so many jobs, so many of them at once, and gives how many steps that were."""
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})
    DBOS.launch()

    def run(jobs: int, at_once: int) -> int:
        if at_once == 1:
            done = [workflow(1, steps) for _ in range(jobs)]
        else:  # Threads that each run one after another are faster here than `start_workflow`.
            with ThreadPoolExecutor(at_once) as pool:
                done = list(pool.map(lambda _: workflow(1, steps), range(jobs)))
        assert done == [1] * jobs
        return jobs * steps

    yield run
    DBOS.destroy()
