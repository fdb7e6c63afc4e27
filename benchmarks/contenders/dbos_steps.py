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
def dbos_jobs(folder: Path, steps: int) -> Iterator[Callable[[int, int], int]]:
    """Runs so many jobs, so many of them at once, and gives how many steps that were."""
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})
    DBOS.launch()

    def run(jobs: int, at_once: int) -> int:
        for first in range(0, jobs, at_once):
            count = min(at_once, jobs - first)
            if count == 1:
                assert workflow(1, steps) == 1
                continue
            started = [DBOS.start_workflow(workflow, 1, steps) for _ in range(count)]
            assert [one.get_result() for one in started] == [1] * count
        return jobs * steps

    yield run
    DBOS.destroy()
