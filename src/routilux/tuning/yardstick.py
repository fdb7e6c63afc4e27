"""The yardstick: how much work has been done, in seconds that it would have taken one after another.

Activations are not alike, and those after a move may be of other routines than those before. So what has ended is
not counted but weighed: an activation is worth what one of its routine took when it ran alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

REMEMBERED = 1000
"""Of about so many attempts of a routine the mean is kept, so that it follows what changes."""


class Runs(NamedTuple):
    """What has ended of one routine."""

    attempts: int
    seconds: float
    """Their run time."""


class Yardstick:
    """Of one flow. One thread at a time uses it."""

    def __init__(self) -> None:
        self._alone: dict[str, Runs] = {}

    def learn(self, runs: Mapping[str, Runs], wall: float) -> None:
        """By routine, what ran one after another, in so many seconds; what the engine took is shared by all alike."""
        count = sum(one.attempts for one in runs.values())
        between = max(0.0, wall - sum(one.seconds for one in runs.values())) / max(1, count)
        for routine_id, (more, seconds) in runs.items():
            known = self._alone.get(routine_id, Runs(0, 0.0))
            total = Runs(known.attempts + more, known.seconds + seconds + between * more)
            if total.attempts > REMEMBERED:
                total = Runs(REMEMBERED, total.seconds * REMEMBERED / total.attempts)
            self._alone[routine_id] = total

    def work(self, runs: Mapping[str, Runs], workers: int) -> float:
        """What they are worth, having run on so many workers; what never ran alone is worth the least that it can be.

        On workers that contend for one thing a handler takes as many times as long as there are workers.
        """
        return sum(self._worth(routine_id, one, workers) for routine_id, one in runs.items())

    def _worth(self, routine_id: str, runs: Runs, workers: int) -> float:
        alone = self._alone.get(routine_id)
        return runs.seconds / workers if alone is None else runs.attempts * alone.seconds / alone.attempts
