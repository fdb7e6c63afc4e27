"""Which attempts ran when a process died: a fold over the facts of a stored job.

That an attempt begins is kept only where it matters: where its routine must not run it twice, and after a crash, for
what may have caused it. So the first crash of an activation is never counted, and each that follows is.
"""

from __future__ import annotations

from collections import Counter

from routilux.errors import WorkerLostError
from routilux.facts import Begun, Opened, Settled, StoredFact


class Crashes:
    """What is known of the crashes of one job."""

    def __init__(self) -> None:
        self.running: dict[int, int] = {}
        """By activation: the attempts that are known to have begun and did not end."""
        self.lost: Counter[str] = Counter()
        """By routine: how many of its attempts died with a process or worker."""

    def see(self, fact: StoredFact, routine_id: str = "") -> None:
        """Takes the next fact of the job, and the routine that it is about."""
        match fact:
            case Begun():
                self.running[fact.activation_id] = fact.attempt
            case Settled():
                self.running.pop(fact.activation_id, None)
                if isinstance(fact.error, WorkerLostError):
                    self.lost[routine_id] += 1
            case Opened():
                self.running.clear()
