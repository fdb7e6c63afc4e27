"""A decision of auto mode, as one record: what was changed and why, what was expected of it, and what came of it."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from routilux.execution_mode import ExecutionMode
from routilux.insight.term import Term
from routilux.tuning.load import Load


class Fate(enum.StrEnum):
    """What became of a decision."""

    OPEN = enum.auto()
    """Nothing has been measured since."""
    KEPT = enum.auto()
    UNDONE = enum.auto()
    """It did not give what it was made for."""


class Decision(NamedTuple):
    """One decision; rates are activations a second."""

    epoch_ns: int
    """When, since 1970."""
    before: int
    """So many workers there were; one is the thread of whoever runs the job, or a single one in its place."""
    after: int
    reason: str
    term: Term
    """What binds with the workers that were chosen."""
    load: Load
    """The numbers behind it."""
    predicted: float
    measured: float | None = None
    fate: Fate = Fate.OPEN
    mode: ExecutionMode = ExecutionMode.CONCURRENT
    """What the workers are or were, where there is more than one: threads or processes."""

    @property
    def error(self) -> float | None:
        """By how much of the predicted rate the measured one was higher."""
        return None if self.measured is None or not self.predicted else self.measured / self.predicted - 1

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain values."""
        load = self.load
        return {
            "epoch_ns": self.epoch_ns,
            "subject": "workers",
            "from": self.before,
            "to": self.after,
            "mode": self.mode.value if max(self.before, self.after) > 1 else ExecutionMode.SEQUENTIAL.value,
            "reason": self.reason,
            "term": self.term.value,
            "service": load.service,
            "cpu": load.cpu_each,
            "gil_share": load.gil_share,
            "breadth": None if load.breadth == float("inf") else load.breadth,
            "predicted": self.predicted,
            "measured": self.measured,
            "fate": self.fate.value,
        }

    def repeats(self, other: Decision) -> bool:
        """Whether it says again that nothing is to be changed, for the same reason."""
        return self.before == self.after == other.after and self.reason == other.reason
