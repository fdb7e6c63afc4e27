"""When jobs are to start. An open loop starts them at these moments, whatever the system does meanwhile."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routilux.errors import SettingError
from routilux.suggestions import nearest


class Arrivals(ABC):
    """A pattern in which jobs arrive."""

    @abstractmethod
    def moments(self, rate: float, seconds: float, source: random.Random) -> list[float]:
        """The moments from 0 on and before `seconds`, in order, at `rate` a second on average."""


@dataclass(frozen=True, slots=True)
class Poisson(Arrivals):
    """Independent callers: any moment is as likely as any other. Given how many come, so that the rate comes out."""

    def moments(self, rate: float, seconds: float, source: random.Random) -> list[float]:
        return sorted(source.random() * seconds for _ in range(round(rate * seconds)))

    def __str__(self) -> str:
        return "poisson"


@dataclass(frozen=True, slots=True)
class Constant(Arrivals):
    """One after another, always as far apart."""

    def moments(self, rate: float, seconds: float, source: random.Random) -> list[float]:
        return _before(seconds, lambda number: number / rate)

    def __str__(self) -> str:
        return "constant"


@dataclass(frozen=True, slots=True)
class Burst(Arrivals):
    """So many at once, and then a rest."""

    size: int

    def moments(self, rate: float, seconds: float, source: random.Random) -> list[float]:
        return _before(seconds, lambda number: number // self.size * self.size / rate)

    def __str__(self) -> str:
        return f"burst:{self.size}"


@dataclass(frozen=True, slots=True)
class Replayed(Arrivals):
    """As somebody recorded it, over and over, faster or slower so that the rate comes out."""

    recorded: tuple[float, ...]
    """Moments in seconds, in order, at least two that differ."""

    def moments(self, rate: float, seconds: float, source: random.Random) -> list[float]:
        count, first = len(self.recorded), self.recorded[0]
        round_trip = count / rate
        # The gap from the last back to the first is the mean one, so that no two rounds meet in one moment.
        scale = round_trip * (count - 1) / count / (self.recorded[-1] - first)
        return _before(
            seconds,
            lambda number: number // count * round_trip + (self.recorded[number % count] - first) * scale,
        )

    def __str__(self) -> str:
        return f"{len(self.recorded)} recorded"


def _before(seconds: float, moment: Callable[[int], float]) -> list[float]:
    found: list[float] = []
    while (due := moment(len(found))) < seconds:
        found.append(due)
    return found


def arrivals_named(written: str) -> Arrivals:
    """`poisson`, `constant` or `burst:N`; raises `SettingError` for anything else."""
    name, _, rest = written.partition(":")
    if name == "burst" and rest.isdecimal() and int(rest):
        return Burst(int(rest))
    for pattern in (Poisson(), Constant()):
        if written == str(pattern):
            return pattern
    raise SettingError(
        f"arrivals must be poisson, constant, burst:N or recorded moments, not {written!r}."
        + nearest(name, ("poisson", "constant", "burst:10"))
    )


def replayed(moments: Sequence[float]) -> Replayed:
    """Recorded moments in seconds, in any order and from any start."""
    ordered = sorted(map(float, moments))
    if len(ordered) < 2 or ordered[0] == ordered[-1] or not all(map(math.isfinite, ordered)):
        raise SettingError("Recorded arrivals must be two moments at least, in seconds, that are not all the same.")
    return Replayed(tuple(ordered))
