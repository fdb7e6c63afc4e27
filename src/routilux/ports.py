"""What can be plugged in, as contracts."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from routilux.execution_mode import ExecutionMode
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


Sleeper = TypeVar("Sleeper")


class Alarms(ABC, Generic[Sleeper]):
    """What waits for moments on behalf of jobs, and rings for them; it may ring too late, never too early."""

    @abstractmethod
    def wake_at(self, due: int, sleeper: Sleeper) -> None:
        """Rings once when the moment has come."""

    @abstractmethod
    def finished(self, sleeper: Sleeper) -> None:
        """The sleeper is over: its alarms are forgotten, so that nothing keeps it."""

    @abstractmethod
    def close(self) -> None:
        """Rings no more; returns when nothing waits."""


class Steering(ABC):
    """What a job needs of whatever runs it."""

    def workers(self, mode: ExecutionMode) -> int:
        """How many handlers run at once in an execution mode."""
        return 1

    @abstractmethod
    def post(self, fact: Fact) -> None:
        """Tells the job something, from any thread; does not wait until it is heeded."""

    def leave(self, error: BaseException) -> None:
        """Its flow's block was left by an error, or who waits interrupted: it is cancelled, or let go if stored."""

    @abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """Waits until the job is over, at most `timeout` seconds; says whether it is."""
