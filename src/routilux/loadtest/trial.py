"""The course of a load test: warm-up, steps up to the knee, a hold below it, a soak.

It sees the system under test through a port, and has no clock and no thread, so that it can be played through with a
system on paper.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from routilux.errors import LoadTestError
from routilux.loadtest.capacity import Layout, Reason, ceilings_of, reason_of, useful_workers
from routilux.loadtest.growth import growths_of
from routilux.loadtest.options import Options
from routilux.loadtest.result import Knee, LoadTest, Soak
from routilux.loadtest.search import HELD, HOLD, Ask, KneeSearch, Phase
from routilux.loadtest.step import Served, Shortfall, Step, step_of
from routilux.loadtest.warm_up import MOST_WINDOWS, WINDOWS, is_steady, profile_of

STEP_JOBS = 200
"""The fewest jobs of a step."""

BISECT_STEPS = 2
HOLD_STEPS = 3
"""How many times as long as one of the climb such a step is: near the knee chance has a larger part."""

WINDOW = 0.1
"""Of a step: the least length of a window of the warm-up."""

WINDOW_JOBS = 5
"""The fewest jobs of a window."""

START = 1 / 3
"""Of the predicted knee: where the climb begins."""

SOAK_WINDOWS = 50
SHOWN_ALLOCATIONS = 5


class System(ABC):
    """Something that jobs can be started in. All its jobs are over when a method returns, or have been cancelled."""

    layout: Layout

    @abstractmethod
    def offer(self, due: Sequence[float], seconds: float) -> Served:
        """Starts a job at each of these moments, whatever becomes of the others."""

    @abstractmethod
    def serve(self, users: int, think: float, seconds: float, jobs: int) -> Served:
        """Has users start jobs, each when the last one is over, until so many seconds and jobs have passed."""

    @abstractmethod
    def footprint(self) -> Mapping[str, float]:
        """What the process holds at this moment, by name."""

    def allocations(self) -> Mapping[str, int] | None:
        """Bytes that are allocated, by source line; `None` where nobody counts them."""
        return None


class Trial:
    """One load test."""

    def __init__(self, system: System, options: Options, told: Callable[[Step], None] | None = None) -> None:
        """`told` is called with each step when it is over."""
        self._system = system
        self._options = options
        self._told = told
        self._steps: list[Step] = []
        self._slowest = 0.0
        self._latencies: Sequence[float] = ()

    def run(self) -> LoadTest:
        """Does all that the options ask for."""
        options, layout = self._options, self._system.layout
        windows = self._warm_up()
        profile = profile_of(windows)
        self._slowest = profile.slowest
        foreign = windows[-1].usage.foreign_load
        ceilings = ceilings_of(profile, layout, foreign)
        knee, reason = None, None
        if options.users is not None:
            self._serve(Phase.USERS, HOLD_STEPS * options.step_seconds)
        elif options.rates:
            reason = self._try(options.rates, lambda step: reason_of(step, self._lacks(step), profile, layout))
        else:
            knee, broken = self._search(START * ceilings[0].rate if ceilings else 1 / max(1e-6, profile.latency))
            reason = None if broken is None else reason_of(broken, self._lacks(broken), profile, layout)
            if knee.sustained is not None:
                self._offer(Phase.HOLD, HOLD * knee.rate, _hold_seconds(options, HOLD * knee.rate))
        return LoadTest(
            options=options,
            layout=layout,
            profile=profile,
            steady=is_steady(windows),
            ceilings=ceilings,
            useful_workers=useful_workers(profile, layout, foreign),
            steps=tuple(self._steps),
            knee=knee,
            reason=reason,
            soak=self._soak(knee) if options.soak is not None else None,
            latencies=self._latencies,
        )

    def _warm_up(self) -> list[Step]:
        """One window with all workers, so that they are there, and then one job at a time until that is steady."""
        workers = min(32, sum(self._system.layout.workers.values()))
        seconds = WINDOW * self._options.step_seconds
        served = self._system.serve(workers, 0.0, seconds, WINDOW_JOBS * workers)
        windows: list[Step] = []
        while True:
            if served.failed * 2 > len(served.due):
                raise LoadTestError(
                    f"{served.failed} of {len(served.due)} jobs failed before there was any load; the first says: "
                    f"{served.failure}. Execute the flow once with these params, and mend that first."
                )
            if len(windows) == MOST_WINDOWS or (len(windows) >= WINDOWS and is_steady(windows)):
                return windows
            served = self._system.serve(1, 0.0, seconds, WINDOW_JOBS)
            windows.append(step_of(Phase.WARM_UP, None, served, math.inf, users=1))
            self._tell(windows[-1])

    def _search(self, start: float) -> tuple[Knee, Step | None]:
        """The knee, and the step that shows best what stops the flow there."""
        search = KneeSearch(start, self._options.max_rate or math.inf)
        broken: list[Step] = []
        while (ask := search.ask) is not None:
            step = self._offer(ask.phase, ask.rate, self._step_seconds(ask))
            lacks = self._lacks(step)
            search.tell(not lacks, nearly=step.nearly)
            if lacks and search.broken == ask.rate:
                broken.append(step)
        if not broken:
            return Knee(search.sustained, search.broken), None
        lowest = broken[-1]
        capacity = max((step.throughput for step in broken if step.throughput < step.rate), default=None)
        # What is full shows best where most was offered; a bound for latency, where it was just passed.
        within = Shortfall.COMPLETED not in self._lacks(lowest)
        return Knee(search.sustained, search.broken, capacity), lowest if within else broken[0]

    def _try(self, rates: Sequence[float], why: Callable[[Step], Reason]) -> Reason | None:
        """Tries certain rates, and gives why the first was not sustained that was not."""
        reason = None
        for rate in rates:
            step = self._offer(Phase.FIXED, rate, _hold_seconds(self._options, rate))
            if self._lacks(step) and reason is None:
                reason = why(step)
        return reason

    def _soak(self, knee: Knee | None) -> Soak | None:
        rates = self._options.rates
        rate = rates[-1] if rates else None if knee is None or knee.rate == 0 else HOLD * knee.rate
        if rate is None and self._options.users is None:
            return None
        windows, moments, readings = [], [], []
        middle: Mapping[str, int] | None = None
        passed = 0.0
        for number in range(SOAK_WINDOWS):
            seconds = (self._options.soak or 0.0) / SOAK_WINDOWS
            # Those that wait for a job have no rate.
            if rate is None:
                windows.append(self._serve(Phase.SOAK, seconds))
            else:
                windows.append(self._offer(Phase.SOAK, rate, seconds))
            passed += windows[-1].usage.elapsed
            moments.append(passed)
            readings.append(self._system.footprint())
            if number == SOAK_WINDOWS * 2 // 3:
                middle = self._system.allocations()
        growths = growths_of(moments, readings, self._source())
        return Soak(tuple(windows), growths, _more(middle, self._system.allocations()))

    def _offer(self, phase: Phase, rate: float, seconds: float) -> Step:
        due = self._options.arrivals.moments(rate, seconds, self._source())
        served = self._system.offer(due, seconds)
        return self._noted(step_of(phase, rate, served, self._slowest), served)

    def _serve(self, phase: Phase, seconds: float) -> Step:
        users = self._options.users or 1
        served = self._system.serve(users, self._options.think, seconds, 1)
        return self._noted(step_of(phase, None, served, math.inf, users), served)

    def _noted(self, step: Step, served: Served) -> Step:
        if step.phase in HELD:
            self._latencies = served.latencies
        if step.phase is not Phase.SOAK:
            self._steps.append(step)
        self._tell(step)
        return step

    def _tell(self, step: Step) -> None:
        if self._told is not None:
            self._told(step)

    def _lacks(self, step: Step) -> tuple[Shortfall, ...]:
        return step.shortfalls(self._options.objectives)

    def _source(self) -> random.Random:
        """The chance of the next step, which does not depend on how the others went."""
        return random.Random(f"{self._options.seed}/{len(self._steps)}")

    def _step_seconds(self, ask: Ask) -> float:
        needed = max((one.jobs for one in self._options.objectives if one.rate is None), default=STEP_JOBS)
        seconds = max(self._options.step_seconds, max(STEP_JOBS, needed) / ask.rate)
        return BISECT_STEPS * seconds if ask.phase is Phase.BISECT else seconds


def least_seconds(options: Options) -> float | None:
    """The least that the steps and the soak take; `None` for a search, of which nobody knows how many it has."""
    if options.users is not None:
        steps = HOLD_STEPS * options.step_seconds
    elif options.rates:
        steps = sum(_hold_seconds(options, rate) for rate in options.rates)
    else:
        return None
    return steps + (options.soak or 0.0)


def _hold_seconds(options: Options, rate: float) -> float:
    needed = max((one.jobs for one in options.objectives), default=0)
    # One more than are needed, lest rounding leave one out.
    return max(HOLD_STEPS * max(options.step_seconds, STEP_JOBS / rate), (needed + 1) / rate)


def _more(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    """The lines that hold most more bytes than before."""
    if before is None or after is None:
        return ()
    grown = [(line, size - before.get(line, 0)) for line, size in after.items()]
    grown.sort(key=lambda item: item[1], reverse=True)
    return tuple(item for item in grown[:SHOWN_ALLOCATIONS] if item[1] > 0)
