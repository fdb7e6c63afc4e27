"""A load: what a flow's activations need on average, and the rate at which so many threads would run them.

::

    seconds an activation on k threads = max( service / k,  GIL,  CPU / cores,  service / breadth )
    in k processes, each of them with what sending costs there and here
                              = max( service / k,  caller,  CPU / cores,  service / breadth )
"""

from __future__ import annotations

import math
from typing import NamedTuple

from routilux.execution_mode import ExecutionMode
from routilux.insight.costs import Costs
from routilux.insight.term import Term
from routilux.tuning.sending import Sending

HEADROOM = 4.0
"""So many times the threads that would do if all activations were alike and never bunched; idle ones cost little."""

HAND_OVER = 20e-6
"""Seconds with the GIL held that a thread takes for an activation, and to wake for it."""

COSTS = Costs()
"""What sending costs is taken from a usual machine: to measure it would take as long as many a job."""

ENOUGH_LOOKS = 20
"""So many looks of a probe tell Python from native code."""


class Load(NamedTuple):
    """What was measured of activations that ran one after another, with nothing beside them; seconds."""

    activations: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    looks: int = 0
    """How often it was looked what else could have run at that moment."""
    others: float = 0.0
    """How many others could have, of all looks together; endless where a source was open."""
    python: float = 0.0
    """How often a probe found Python running, and then native code."""
    native: float = 0.0

    @property
    def service(self) -> float:
        """Of one activation."""
        return self.wall / self.activations if self.activations else 0.0

    @property
    def cpu_each(self) -> float:
        """CPU time of one activation."""
        return min(self.cpu, self.wall) / self.activations if self.activations else 0.0

    @property
    def gil_share(self) -> float | None:
        """How much of the CPU time the GIL was held; `None`: it is not known, and taken to be all."""
        found = self.python + self.native
        return self.python / found if found >= ENOUGH_LOOKS else None

    @property
    def gil_each(self) -> float:
        """CPU time of one activation with the GIL held."""
        return self.cpu_each * (1.0 if self.gil_share is None else self.gil_share)

    @property
    def breadth(self) -> float:
        """How many activations could run at once."""
        return 1.0 + (self.others / self.looks if self.looks else 0.0)

    @property
    def from_a_source(self) -> bool:
        """Whether a source gave them, which stays on a thread of the calling process wherever others run.

        It gives one value for several activations, so that it is counted for more than it takes: what errs, stays.
        """
        return math.isinf(self.others)

    def resembles(self, other: Load, change: float) -> bool:
        """Whether activations took, but for such a part, the same time and CPU time."""
        near = abs(self.cpu_each - other.cpu_each) <= change * self.service
        return near and abs(self.service - other.service) <= change * self.service

    def plus(self, other: Load) -> Load:
        """This and another one of the same flow."""
        return Load(
            self.activations + other.activations,
            self.wall + other.wall,
            self.cpu + other.cpu,
            self.looks + other.looks,
            self.others + other.others,
            self.python + other.python,
            self.native + other.native,
        )


class Forecast(NamedTuple):
    """What so many workers would give."""

    workers: int
    rate: float
    """Activations a second."""
    term: Term
    """What binds."""
    mode: ExecutionMode = ExecutionMode.CONCURRENT
    """What the workers are, where there is more than one."""


def forecast(load: Load, workers: int, cores: float) -> Forecast:
    """What would come of so many threads; of one, what was measured in sequence."""
    if load.service <= 0.0:
        return Forecast(workers, 0.0, Term.WORKERS)
    if workers == 1:
        return Forecast(1, 1.0 / load.service, Term.WORKERS)
    terms = {**_others(load, cores), Term.WORKERS: load.service / workers}
    term = max(terms, key=lambda one: terms[one])
    return Forecast(workers, 1.0 / terms[term], term)


def best(load: Load, cores: float, cap: int) -> Forecast:
    """The threads that a load is best run with, and what binds then."""
    others = _others(load, cores)
    enough = load.service / max(others.values()) if load.service > 0.0 else 1.0
    workers = max(1, math.ceil(min(cap, HEADROOM * enough, load.breadth)))
    found = forecast(load, workers, cores)
    if workers > 1:
        return found
    return Forecast(1, found.rate, max(others, key=lambda one: others[one]))


def elsewhere(load: Load, processes: int, cores: float, sending: Sending) -> Forecast:
    """What would come of so many processes; what the calling one does for them, it does with its GIL held."""
    if load.service <= 0.0:
        return Forecast(processes, 0.0, Term.WORKERS, ExecutionMode.MULTIPROCESSING)
    caller = COSTS.process_send + COSTS.process_receive + sending.seconds + (HAND_OVER if load.from_a_source else 0.0)
    child = COSTS.process_child + sending.seconds
    terms = {
        Term.WORKERS: (load.service + child) / processes,
        Term.CALLER: caller,
        Term.CORES: (load.cpu_each + child + caller) / cores,
        Term.CRITICAL_PATH: (load.service + child + caller + 2 * COSTS.process_wake) / load.breadth,
    }
    term = max(terms, key=lambda one: terms[one])
    return Forecast(processes, 1.0 / terms[term], term, ExecutionMode.MULTIPROCESSING)


def _others(load: Load, cores: float) -> dict[Term, float]:
    """What binds however many threads there are: seconds an activation."""
    return {
        Term.GIL: load.gil_each + HAND_OVER,
        Term.CORES: load.cpu_each / cores,
        Term.CRITICAL_PATH: load.service / load.breadth,
    }
