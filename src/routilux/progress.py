"""A progress bar for many jobs; needs rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized

from rich.progress import track

from routilux.job import Job


def shown(jobs: Iterator[Job], params: Iterable[object], flow_id: str) -> Iterator[Job]:
    """The same jobs, with a bar in the terminal that moves on with each."""
    total = len(params) if isinstance(params, Sized) else None
    yield from track(jobs, description=flow_id, total=total)
