"""Four bounds that no schedule beats. The largest is what holds the job up, and anybody can check it by hand.

::

    wall time >= max( work / workers,  time the GIL is held,  CPU time / cores,  span )
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from routilux.execution_mode import ExecutionMode
from routilux.insight.costs import FREE, Costs
from routilux.insight.critical_path import critical_path
from routilux.insight.split import splits_of
from routilux.insight.term import Term
from routilux.insight.trace import Trace

CLOSE = 0.97
"""Terms that differ by less are as good as equal."""

MOSTLY = 0.75
"""A routine with so much of something is named for it alone."""

IN_PROCESS = frozenset({ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT, ExecutionMode.ASYNCIO})
"""The modes whose handlers share the GIL of the calling process."""

TINY = 1e-9
"""Seconds below which nothing is divided by a term."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a job needs of each thing that there is only so much of, in seconds."""

    work: float
    cpu: float
    gil: float
    """CPU time with the GIL held."""
    span: float
    attempts: int
    gil_by_routine: Mapping[str, float]
    """The largest first."""
    work_by_routine: Mapping[str, float]
    path_shares: Mapping[str, float]
    """By routine: its share of the span."""
    transfer: float = 0.0
    """Of the time to pickle and unpickle all arguments."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds for one mode and number of workers."""

    terms: Mapping[Term, float]
    """Seconds."""
    useful_workers: int
    """With so many, something else than the number of workers binds."""
    demand: Demand

    @property
    def binding(self) -> Term:
        """The largest term; the number of workers only where it is larger by far, since more would soon not help."""
        others = {term: seconds for term, seconds in self.terms.items() if term is not Term.WORKERS}
        most = max(others, key=lambda term: others[term])
        return most if others[most] >= CLOSE * self.terms[Term.WORKERS] else Term.WORKERS

    @property
    def least(self) -> float:
        """Seconds that the job takes at the least."""
        return max(self.terms.values())

    def sentence(self, wall_time: float) -> str:
        """What holds up a job that took so many seconds, in one plain sentence."""
        share = f"{min(1.0, self.least / wall_time):.0%} of the wall time" if wall_time > 0 else "all the time"
        demand = self.demand
        match self.binding:
            case Term.GIL:
                return f"{_chief(demand.gil_by_routine)} holds the GIL {share}: more threads will not help."
            case Term.CORES:
                return f"The cores are busy {share}: more workers will not help, more cores would."
            case Term.LOOP:
                return f"The event loop is busy {share}: what computes belongs on threads or processes."
            case Term.CALLER:
                return f"The calling process hands out work {share}: fewer, larger activations would help."
            case Term.CRITICAL_PATH:
                who = _chief(demand.path_shares)
                return f"The critical path, mostly {who}, takes {share}: only a shorter chain would help."
        return f"The workers are busy {share}: up to {self.useful_workers} of them would help."


def demand_of(trace: Trace) -> Demand:
    """What a recorded job needs."""
    splits = splits_of(trace)
    path = critical_path(trace, services=[split.service for split in splits])
    gil: dict[str, float] = {}
    work: dict[str, float] = {}
    for attempt, split in zip(trace.attempts, splits, strict=True):
        gil[attempt.routine_id] = gil.get(attempt.routine_id, 0.0) + split.python
        work[attempt.routine_id] = work.get(attempt.routine_id, 0.0) + split.service
    return Demand(
        work=path.work,
        cpu=sum(split.cpu for split in splits),
        gil=sum(gil.values()),
        span=path.span,
        attempts=len(splits),
        gil_by_routine=_ranked(gil),
        work_by_routine=_ranked(work),
        path_shares=path.shares,
        transfer=sum((attempt.pickle_ns or 0) / 1e9 for attempt in trace.attempts),
    )


def bounds(demand: Demand, mode: ExecutionMode, workers: int, cores: float, costs: Costs = FREE) -> Bounds:
    """The bounds for all handlers in one mode."""
    count, path = demand.attempts, {Term.CRITICAL_PATH: demand.span}
    work, cpu = demand.work, demand.cpu
    match mode:
        case ExecutionMode.ASYNCIO:
            others = {Term.LOOP: cpu + count * costs.loop, **path}
        case ExecutionMode.MULTIPROCESSING:
            caller = count * (costs.process_send + costs.process_receive) + demand.transfer / 2
            child = count * costs.process_child + demand.transfer / 2
            work += child
            others = {Term.CALLER: caller, Term.CORES: (cpu + caller + child) / cores, **path}
        case _:
            cost = costs.thread if mode is ExecutionMode.CONCURRENT else costs.sequential
            others = {Term.GIL: demand.gil + count * cost, Term.CORES: cpu / cores, **path}
    return Bounds({Term.WORKERS: work / workers, **others}, _useful(work, others), demand)


def bounds_of(trace: Trace, demand: Demand) -> Bounds:
    """The bounds of a recorded job as it ran: of the GIL only what was held in its own process counts."""
    modes = {who: trace.mode_of(who) for who in demand.work_by_routine}
    used = set(modes.values()) or {trace.mode}
    if used == {ExecutionMode.DISTRIBUTED}:
        return bounds(demand, ExecutionMode.MULTIPROCESSING, trace.workers, math.inf)
    if len(used) == 1:
        mode = next(iter(used))
        return bounds(demand, mode, trace.workers_by_mode.get(mode, trace.workers), trace.cores)
    held = {who: took for who, took in demand.gil_by_routine.items() if modes[who] in IN_PROCESS}
    here = replace(demand, gil=sum(held.values()), gil_by_routine=held)
    return bounds(here, ExecutionMode.CONCURRENT, trace.workers, trace.cores)


def _useful(work: float, others: Mapping[Term, float]) -> int:
    """The fewest workers with which the number of workers does not bind; a rounding error is no worker."""
    return max(1, math.ceil(work / max(TINY, *others.values()) - 1e-6))


def _ranked(seconds: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(seconds.items(), key=lambda item: item[1], reverse=True))


def _chief(ranked: Mapping[str, float]) -> str:
    """The routine that has most of something, and whether others have much of it, too."""
    names = list(ranked)
    if not names:
        return "nothing"
    mostly = ranked[names[0]] >= MOSTLY * sum(ranked.values())
    return repr(names[0]) if mostly else f"{names[0]!r} with {len(names) - 1} others"
