"""Whether something grows: a slope that outliers do not bend, and an interval that knows that neighbours are alike."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

LEFT_OUT = 0.2
"""The first share of all readings, in which caches fill and pools grow."""

MATERIAL = 0.02
"""Growth of less than this share over all the time is none."""

FEWEST = 8
"""Readings; fewer say nothing of a slope."""

RESAMPLES = 400
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Growth:
    """How a quantity moved while a system ran."""

    first: float
    last: float
    """Where the line through the readings begins and ends."""
    slope: float = 0.0
    """A second."""
    low: float = 0.0
    high: float = 0.0
    """The interval of the slope."""
    known: bool = True
    """Whether there were enough readings."""

    @property
    def growing(self) -> bool:
        """Whether it grew by more than a fiftieth, and not by chance."""
        return self.known and self.low > 0 and self.last - self.first > MATERIAL * max(self.first, 0.0)


def growth_of(moments: Sequence[float], readings: Sequence[float], source: random.Random) -> Growth:
    """The growth of readings that were taken at these moments, in seconds."""
    begin = int(len(moments) * LEFT_OUT)
    times, values = list(moments[begin:]), list(readings[begin:])
    if len(times) < FEWEST or times[-1] <= times[0]:
        return Growth(values[0], values[-1], known=False) if values else Growth(0.0, 0.0, known=False)
    slope = theil_sen(times, values)
    level = statistics.median(value - slope * moment for moment, value in zip(times, values, strict=True))
    low, high = _interval(times, values, slope, level, source)
    return Growth(level + slope * times[0], level + slope * times[-1], slope, low, high)


def theil_sen(moments: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between any two points."""
    points = zip(moments, values, strict=True)
    return statistics.median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 > x1)


def growths_of(
    moments: Sequence[float], readings: Sequence[Mapping[str, float]], source: random.Random
) -> dict[str, Growth]:
    """By name: the growth of each quantity that all readings have."""
    names = [name for name in readings[0] if all(name in reading for reading in readings)] if readings else []
    return {name: growth_of(moments, [reading[name] for reading in readings], source) for name in names}


def _interval(
    times: list[float], values: list[float], slope: float, level: float, source: random.Random
) -> tuple[float, float]:
    """By bootstrap: what is left beside the line is put together anew, in blocks, and the slope taken again."""
    count = len(times)
    line = [level + slope * moment for moment in times]
    rests = [value - on_line for value, on_line in zip(values, line, strict=True)]
    block = max(2, round(count ** (1 / 3)))
    slopes = []
    for _ in range(RESAMPLES):
        drawn: list[float] = []
        while len(drawn) < count:
            start = source.randrange(count - block + 1)
            drawn += rests[start : start + block]
        slopes.append(theil_sen(times, [on_line + rest for on_line, rest in zip(line, drawn, strict=False)]))
    slopes.sort()
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return slopes[tail], slopes[-tail - 1]
