"""Many jobs of one flow, a few at a time."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from routilux.engine import Engine
from routilux.guard import guarded
from routilux.job import Job
from routilux.launch import Prepared
from routilux.modes import Mode

MAX_JOBS = 32
"""How many are under way, or finished and not yet taken, where nobody says it."""

END: Any = object()
"""What no iterable gives."""


def run_many(
    prepare: Callable[[Mapping[str, Any], Engine | None], Prepared[Mode]],
    params: Iterable[Mapping[str, Any]],
    max_jobs: int,
    new_engine: Callable[[], Engine] | None,
) -> Iterator[Job]:
    """Runs the jobs that `prepare` makes of `params`, and gives each as it finishes.

    They share the engine that `new_engine` makes; without one, that of the flow's block. Whoever stops taking jobs
    cancels those that are under way. What `params` or `prepare` raises comes after the jobs before it.
    """
    engine = None if new_engine is None else new_engine()
    over: queue.SimpleQueue[Job] = queue.SimpleQueue()
    under_way: dict[str, Job] = {}
    coming = iter(params)

    def prepare_next() -> Prepared[Mode] | None:
        one = next(coming, END)
        return None if one is END else prepare(one, engine)

    broken: Exception | None = None
    try:
        while True:
            while broken is None and len(under_way) < max_jobs:
                prepared, broken = guarded(prepare_next)
                if prepared is None:
                    break
                job, mode, first = prepared
                under_way[job.job_id] = job
                mode.course.when_finished.append(lambda _, job=job: over.put(job))
                mode.run_beside(first)
                if mode.course.finished.is_set():  # in sequence, the next one begins when this one has been taken
                    break
            if not under_way:
                if broken is not None:
                    raise broken
                return
            job = over.get()
            del under_way[job.job_id]
            yield job
    finally:
        for job in under_way.values():
            job.cancel("nobody takes the jobs of its map any more")
        for job in under_way.values():
            job.wait()
        if engine is not None:
            engine.close()
