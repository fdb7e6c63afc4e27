"""What can be plugged in, as contracts."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from typing import Any

from routilux.facts import Fact


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
    def wait(self, inbox: queue.SimpleQueue[Any], deadline: int | None, *, idle: bool) -> Any:
        """The next message of `inbox`, or `None` once `deadline` has come; without one it waits for ever.

        `idle` says that nothing runs meanwhile, so that a clock that is not real may go there at once.
        """


class Steering(ABC):
    """What a job needs of whatever runs it."""

    workers = 1
    """How many handlers run at once."""

    @abstractmethod
    def post(self, fact: Fact) -> None:
        """Tells the job something, from any thread; does not wait until it is heeded."""

    @abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """Waits until the job is over, at most `timeout` seconds; says whether it is."""
