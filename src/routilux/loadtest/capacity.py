"""What a flow's parts can serve at the most, and which of them was full when it could serve no more.

The first follows from what one job takes alone: whatever there is so much of, divided by what a job needs of it, is
a bound for the jobs a second, by Little's law. The lowest bound is the predicted knee. The second is read off a step
that was not sustained.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from routilux.execution_mode import ExecutionMode
from routilux.insight.bounds import Bounds, Demand, bounds
from routilux.insight.term import Term
from routilux.insight.trace import cores_left
from routilux.loadtest.step import FEW_FAILURES, LATE_SECONDS, RoutineLoad, Shortfall, Step

FULL = 0.9
"""From so much of it in use, something counts as full: arrivals by chance leave it idle now and then."""

BUSY_THREAD = 0.8
"""The same for what only one thread can have at a time: handing it on takes time, too."""

SLOWED = 1.3
"""Handlers that take so many times as long as alone wait for something that they share."""

THREADS = frozenset({ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT})
ELSEWHERE = frozenset({ExecutionMode.MULTIPROCESSING, ExecutionMode.DISTRIBUTED})


class Cause(enum.StrEnum):
    """What a flow stops at."""

    WORKERS = enum.auto()
    GIL = enum.auto()
    CORES = enum.auto()
    LOOP = enum.auto()
    LIMIT = enum.auto()
    HANDLERS = enum.auto()
    """What handlers wait for, outside of the engine."""
    OBJECTIVE = enum.auto()
    FAILURES = enum.auto()
    GENERATOR = enum.auto()
    """What starts the jobs."""
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Shared:
    """A limit that jobs share: how many at once may hold it, or how many a second may take it."""

    at_once: int | None = None
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What a flow runs on."""

    mode: ExecutionMode
    modes: Mapping[str, ExecutionMode]
    """By routine: where its handlers run."""
    workers: Mapping[ExecutionMode, int]
    cores: int
    gil: bool = True
    limits: Mapping[str, Shared] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By routine: the limits that each of its activations takes."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one job takes while no other runs."""

    latency: float
    """The median, in seconds."""
    slowest: float
    """The 99th percentile."""
    cpu: float
    """Seconds of processor time, of the engine as well."""
    routines: Mapping[str, RoutineLoad]
    """For many jobs together."""
    jobs: int

    def work(self, routine_id: str) -> float:
        """Seconds in handlers of a routine, for one job."""
        load = self.routines.get(routine_id)
        return 0.0 if load is None else load.work / self.jobs

    def executions(self, routine_id: str) -> float:
        """Activations of a routine, for one job."""
        load = self.routines.get(routine_id)
        return 0.0 if load is None else load.executions / self.jobs


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A bound for the jobs a second."""

    cause: Cause
    rate: float
    name: str
    """What it is, in words."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a flow serves no more."""

    cause: Cause
    sentence: str
    routine_id: str | None = None


TERMS = {Term.WORKERS: Cause.WORKERS, Term.GIL: Cause.GIL, Term.CORES: Cause.CORES, Term.LOOP: Cause.LOOP}


def ceilings_of(profile: Profile, layout: Layout, foreign_load: float | None = None) -> tuple[Ceiling, ...]:
    """The bounds for a flow, the lowest first. All processor time of threads is taken to hold the GIL."""
    found: dict[Cause, Ceiling] = {}
    limits = []
    for mode, workers in layout.workers.items():
        known = _bounds_in(mode, workers, profile, layout, cores_left(layout.cores, foreign_load))
        for term, seconds in known.terms.items():
            cause = TERMS.get(term)
            if cause is None or seconds <= 0 or (cause in found and found[cause].rate <= 1 / seconds):
                continue
            name = _workers_of(mode, workers) if cause is Cause.WORKERS else f"the {term.value}"
            found[cause] = Ceiling(cause, 1 / seconds, name)
    for name, shared in layout.limits.items():
        rate = _limit_rate(name, shared, profile, layout)
        if rate is not None:
            limits.append(Ceiling(Cause.LIMIT, rate, f"limit {name!r}"))
    return tuple(sorted([*found.values(), *limits], key=lambda ceiling: ceiling.rate))


def useful_workers(profile: Profile, layout: Layout, foreign_load: float | None = None) -> int | None:
    """With so many workers in the job's own mode, something else than their number is the bound."""
    if layout.mode is ExecutionMode.DISTRIBUTED or layout.mode not in layout.workers:
        return None
    known = _bounds_in(
        layout.mode, layout.workers[layout.mode], profile, layout, cores_left(layout.cores, foreign_load)
    )
    return known.useful_workers


def reason_of(step: Step, shortfalls: tuple[Shortfall, ...], profile: Profile, layout: Layout) -> Reason:
    """Why a step was not sustained."""
    if Shortfall.FAILURES in shortfalls and step.failed > FEW_FAILURES * step.offered:
        return Reason(Cause.FAILURES, f"{step.failed} of {step.offered} jobs fail; the first says: {step.failure}")
    if shortfalls == (Shortfall.OBJECTIVE,):
        return Reason(
            Cause.OBJECTIVE,
            f"Jobs take longer than they may, {step.waiting:.0%} of it waiting to begin; {_full(step, layout)}.",
        )
    reason = _limit(step, layout) or _workers(step, profile, layout) or _processors(step, layout)
    if reason is not None:
        return reason
    if step.late and step.lateness > LATE_SECONDS:
        return Reason(
            Cause.GENERATOR,
            f"The generator falls {step.lateness * 1e3:.0f} ms behind, and the flow is not full: "
            "it could serve more than can be offered from within its process.",
        )
    return Reason(Cause.UNKNOWN, f"Nothing that is measured is full ({_full(step, layout)}), so why is not known.")


def _bounds_in(mode: ExecutionMode, workers: int, profile: Profile, layout: Layout, cores: float) -> Bounds:
    work = {one: profile.work(one) for one in profile.routines if layout.modes.get(one, layout.mode) is mode}
    # Of modes that are mixed it is not known whose the processor time is.
    own = len(layout.workers) == 1
    cpu = profile.cpu if own else 0.0
    gil = cpu if mode in THREADS and layout.gil else 0.0
    return bounds(Demand(sum(work.values()), cpu, gil, 0.0, 0, {}, work, {}), mode, workers, cores)


def _limit_rate(name: str, shared: Shared, profile: Profile, layout: Layout) -> float | None:
    takers = [one for one, needs in layout.needs.items() if name in needs]
    held = sum(profile.work(one) for one in takers)
    taken = sum(profile.executions(one) for one in takers)
    if shared.at_once is not None and held > 0:
        return shared.at_once / held
    if shared.per_second is not None and taken > 0:
        return shared.per_second / taken
    return None


def _limit(step: Step, layout: Layout) -> Reason | None:
    """A limit of which all that there is was taken."""
    loads = step.usage.routines
    for name, shared in layout.limits.items():
        takers = [one for one, needs in layout.needs.items() if name in needs and one in loads]
        if shared.at_once is not None:
            share = sum(loads[one].work for one in takers) / step.usage.elapsed / shared.at_once
        else:
            share = sum(loads[one].executions for one in takers) / step.usage.elapsed / (shared.per_second or 1.0)
        if takers and share >= FULL:
            chief = max(takers, key=lambda one: loads[one].work)
            how = "taken as often as it allows" if shared.at_once is None else f"held {_share(share)} of the time"
            return Reason(Cause.LIMIT, f"Limit {name!r} binds: it is {how}, mostly by {chief!r}.", chief)
    return None


def _workers(step: Step, profile: Profile, layout: Layout) -> Reason | None:
    """Workers that are all busy: because there are few, or because each handler takes longer than alone."""
    for mode, workers in layout.workers.items():
        loads = {one: load for one, load in step.usage.routines.items() if layout.modes.get(one, layout.mode) is mode}
        share = sum(load.work for load in loads.values()) / step.usage.elapsed / workers
        if not loads or share < FULL:
            continue
        slowed = _slowed(step, profile, loads.__contains__)
        chief = max(loads, key=lambda one: loads[one].work)
        if slowed < SLOWED:
            which, verb = _workers_of(mode, workers), "is" if workers == 1 else "are"
            return Reason(
                Cause.WORKERS,
                f"The workers bind: {which} {verb} busy {_share(share)} of the time, mostly with {chief!r}.",
                chief,
            )
        return _processors(step, layout) or Reason(
            Cause.HANDLERS,
            f"The handlers slow each other down: {chief!r} takes {slowed:.1f} times as long as alone, and that is no "
            "processor time. What it waits for is full: a lock, a service, a disk.",
            chief,
        )
    return None


def _processors(step: Step, layout: Layout) -> Reason | None:
    """Processors, or the one thread at a time that may run Python."""
    foreign = step.usage.foreign_load or 0.0
    chief = max(step.usage.routines, key=lambda one: step.usage.routines[one].work, default=None)
    if layout.cores > 1 and step.cores + foreign >= FULL * layout.cores:
        others = f", {foreign:.1f} of them by other processes" if step.disturbed else ""
        used = f"{step.cores + foreign:.1f} of {layout.cores}"
        return Reason(Cause.CORES, f"The processors are full: {used} are in use{others}.", chief)
    if step.cores < BUSY_THREAD or not layout.gil or not ELSEWHERE.isdisjoint(layout.workers):
        return None
    if ExecutionMode.ASYNCIO in layout.workers:
        return Reason(
            Cause.LOOP, f"The event loop is busy {_share(step.cores)} of the time, mostly with {chief!r}.", chief
        )
    return Reason(
        Cause.GIL,
        f"One thread at a time can run Python, and does {_share(step.cores)} of the time, mostly {chief!r}: "
        "more threads will not help.",
        chief,
    )


def _slowed(step: Step, profile: Profile, counts: Callable[[str], bool]) -> float:
    """How many times as long as alone handlers take, each weighed by its time."""
    alone = under_load = 0.0
    for routine_id, load in step.usage.routines.items():
        executions = profile.executions(routine_id)
        if counts(routine_id) and executions:
            alone += profile.work(routine_id) / executions * load.executions
            under_load += load.work
    return under_load / alone if alone else 1.0


def _workers_of(mode: ExecutionMode, workers: int) -> str:
    match mode, workers:
        case ExecutionMode.SEQUENTIAL, _:
            return "the one thread"
        case _, 1:
            return f"the one worker of {mode} mode"
    return f"the {workers} workers of {mode} mode"


def _full(step: Step, layout: Layout) -> str:
    workers = sum(layout.workers.values())
    return f"{step.workers:.1f} of {workers} workers and {step.cores:.1f} of {layout.cores} processors are in use"


def _share(share: float) -> str:
    return f"{min(1.0, share):.0%}"
