"""What a job could be run on: a mode and a number of workers, and routines that have a mode of their own."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Placement(enum.StrEnum):
    """Where handlers run; each member equals the execution mode that puts them there."""

    CALLER = "sequential"
    """One after another in one thread."""
    THREAD = "concurrent"
    """On threads that share one interpreter."""
    LOOP = "asyncio"
    """As coroutines on one thread."""
    PROCESS = "multiprocessing"
    """In processes with an interpreter each."""


MANY = 1000
"""How many coroutines run at once where nobody says."""

WORDS = {
    Placement.THREAD: ("thread", "threads"),
    Placement.LOOP: ("coroutine", "coroutines"),
    Placement.PROCESS: ("process", "processes"),
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way to run a flow."""

    placement: Placement
    """Where all handlers run whose routine is not in `places`."""
    workers: Mapping[Placement, int] = field(default_factory=dict)
    """How many handlers run at once in each place that is used; one where it is not said."""
    places: Mapping[str, Placement] = field(default_factory=dict)
    """Of routines that run elsewhere."""

    def place_of(self, routine_id: str) -> Placement:
        """Where a routine's handlers run."""
        return self.places.get(routine_id, self.placement)

    def workers_at(self, placement: Placement) -> int:
        """How many handlers run there at once."""
        return 1 if placement is Placement.CALLER else self.workers.get(placement, 1)

    @property
    def used(self) -> tuple[Placement, ...]:
        """The places in use, the chief one first."""
        return tuple(dict.fromkeys([self.placement, *self.places.values()]))

    @property
    def total_workers(self) -> int:
        """How many threads and processes it takes; a loop is one, however many coroutines it runs."""
        return sum(1 if place is Placement.LOOP else self.workers_at(place) for place in self.used)

    def with_place(self, routine_id: str, placement: Placement, workers: int) -> Configuration:
        """The same with one routine elsewhere."""
        return Configuration(
            self.placement, {**self.workers, placement: workers}, {**self.places, routine_id: placement}
        )

    def __str__(self) -> str:
        chief = _name(self.placement, self.workers_at(self.placement))
        others: dict[Placement, list[str]] = {}
        for routine_id, place in self.places.items():
            others.setdefault(place, []).append(repr(routine_id))
        parts = [f"{', '.join(names)} on {_name(place, self.workers_at(place))}" for place, names in others.items()]
        return "; ".join([chief, *parts])


def sequential() -> Configuration:
    """One handler after another."""
    return Configuration(Placement.CALLER)


def threads(count: int) -> Configuration:
    """All handlers on so many threads."""
    return Configuration(Placement.THREAD, {Placement.THREAD: count})


def coroutines(count: int = MANY) -> Configuration:
    """All handlers on one event loop, as if each were a coroutine that awaits what it waits for."""
    return Configuration(Placement.LOOP, {Placement.LOOP: count})


def processes(count: int) -> Configuration:
    """All handlers in so many processes."""
    return Configuration(Placement.PROCESS, {Placement.PROCESS: count})


def usual(cores: int) -> list[Configuration]:
    """What is worth a question on a machine with so many cores."""
    counts = sorted({2, 4, 8, 16, 32, 64, cores})
    return [
        sequential(),
        *(threads(count) for count in counts if count > 1),
        coroutines(),
        *(processes(count) for count in sorted({1, 2, cores, 2 * cores})),
    ]


def _name(placement: Placement, count: int) -> str:
    words = WORDS.get(placement)
    return placement.value if words is None or count == MANY else f"{placement.value}, {count} {words[count != 1]}"
