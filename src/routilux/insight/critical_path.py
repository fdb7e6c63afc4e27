"""The longest chain of attempts, each of which needs the one before: no number of workers makes a job shorter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routilux.insight.needs import Need, needs_of
from routilux.insight.split import splits_of
from routilux.insight.trace import Trace


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The longest chain of a job; durations are seconds that attempts would take alone."""

    work: float
    """Of all attempts together."""
    span: float
    """Of the chain, with the delays of retries on it."""
    steps: tuple[int, ...]
    """The chain: places in `Trace.attempts`, first to last."""
    shares: Mapping[str, float]
    """By routine: its share of the span, largest first. What is missing from 1 is delays of retries."""

    @property
    def parallelism(self) -> float:
        """How many workers the job could keep busy on average."""
        return self.work / self.span if self.span else 1.0


def critical_path(trace: Trace, services: Sequence[float] | None = None) -> CriticalPath:
    """The critical path of a recorded job.

    `services` are the seconds that each attempt would take alone, where they are not those of the trace.
    """
    needs = needs_of(trace)
    if services is None:
        services = [split.service for split in splits_of(trace)]
    finished: list[float] = []
    via: list[Need | None] = []
    last: int | None = None
    for index, service in enumerate(services):
        own = list(needs.of[index])
        if index in needs.at_rest and last is not None:
            own.append(Need(last))
        latest = max(own, key=lambda need: finished[need.earlier] + need.delay, default=None)
        ready = 0.0 if latest is None else finished[latest.earlier] + latest.delay
        finished.append(ready + service)
        via.append(latest)
        if last is None or finished[index] >= finished[last]:
            last = index
    steps = _chain(via, last)
    span = 0.0 if last is None else finished[last]
    return CriticalPath(sum(services), span, steps, _shares(trace, steps, services, span))


def _chain(via: Sequence[Need | None], last: int | None) -> tuple[int, ...]:
    steps: list[int] = []
    while last is not None:
        steps.append(last)
        need = via[last]
        last = None if need is None else need.earlier
    return tuple(reversed(steps))


def _shares(trace: Trace, steps: Sequence[int], services: Sequence[float], span: float) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for index in steps:
        routine_id = trace.attempts[index].routine_id
        seconds[routine_id] = seconds.get(routine_id, 0.0) + services[index]
    ranked = sorted(seconds.items(), key=lambda item: item[1], reverse=True)
    return {routine_id: took / span for routine_id, took in ranked} if span else {}
