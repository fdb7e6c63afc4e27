"""What can be plugged in, as contracts."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from typing import Any


class Clock(ABC):
    """Where moments come from, and the only place where anything waits for one.

    Moments are nanoseconds from an arbitrary start; they never go back.
    """

    @abstractmethod
    def now(self) -> int:
        """The present moment."""

    @abstractmethod
    def epoch(self) -> int:
        """The present moment as nanoseconds since 1970; read once a job."""

    @abstractmethod
    def wait(self, inbox: queue.SimpleQueue[Any], deadline: int | None) -> Any:
        """The next message of `inbox`, or `None` once `deadline` has come; without one it waits for ever."""
