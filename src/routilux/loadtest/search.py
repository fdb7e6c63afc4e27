"""The search for the knee: the rate up to which a system keeps up.

It climbs by half at a time until a rate is not sustained, and then halves the gap twice. It is told how each rate
went, and knows nothing of what runs: any system can be searched, also one on paper.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

FACTOR = 1.5
"""From one step of the climb to the next."""

BISECTIONS = 2
"""How often the gap between what is sustained and what is not is halved: to a tenth."""

MOST_STEPS = 24
"""After so many a system has no knee that this generator could find."""

HOLD = 0.8
"""The share of the knee that is held afterwards, where a system can be left to run."""


class Phase(enum.StrEnum):
    """What a step of a load test is for."""

    WARM_UP = "warm-up"
    CLIMB = "climb"
    BISECT = "bisect"
    HOLD = "hold"
    FIXED = "fixed rate"
    USERS = "users"
    SOAK = "soak"


HELD = frozenset({Phase.HOLD, Phase.FIXED, Phase.USERS})
"""The phases in which something goes on for as long as it takes to judge it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A rate that is to be tried."""

    phase: Phase
    rate: float


class KneeSearch:
    """Says which rate to try next, and is told how it went."""

    def __init__(self, start: float, most: float = math.inf) -> None:
        """`start` is the first rate; none above `most` is tried."""
        self._next = min(start, most)
        self._most = most
        self._steps = 0
        self._halvings = 0
        self._repeated = False
        self.sustained: float | None = None
        """The highest rate that was."""
        self.broken: float | None = None
        """The lowest rate that was not."""

    @property
    def ask(self) -> Ask | None:
        """What to try; `None` once there is nothing more to learn."""
        if self._steps >= MOST_STEPS or self._halvings > BISECTIONS:
            return None
        if self.broken is None and self.sustained == self._most:
            return None
        between = self.sustained is not None and self.broken is not None
        return Ask(Phase.BISECT if between else Phase.CLIMB, self._next)

    def tell(self, sustained: bool, *, nearly: bool = False) -> None:
        """How the rate went that was asked for. What failed but nearly, and so perhaps by chance, is tried again."""
        self._steps += 1
        if not sustained and nearly and not self._repeated:
            self._repeated = True
            return
        self._repeated = False
        if sustained:
            self.sustained = self._next
        else:
            self.broken = self._next
        if self.sustained is not None and self.broken is not None:
            self._halvings += 1
            self._next = math.sqrt(self.sustained * self.broken)
        elif sustained:
            self._next = min(self._next * FACTOR, self._most)
        else:
            self._next /= FACTOR
