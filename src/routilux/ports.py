"""What can be plugged in, as contracts."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from routilux.facts import Fact
from routilux.execution_mode import ExecutionMode


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


class Permits(ABC):
    """What the activations of one job may have of what several jobs share: named limits and rates.

    All that an activation needs is taken at once or not at all, so no order of taking deadlocks.
    """

    @abstractmethod
    def when_freed(self, tell: Callable[[], None]) -> None:
        """Has `tell` called, from any thread, each time something was given back that the job waits for."""

    @abstractmethod
    def take(self, needs: tuple[str, ...], activation_id: int, moment: int) -> int | None:
        """Takes everything that `needs` names; `None` if it was taken.

        Else gives the moment at which it is worth asking again, or 0 where the job is told that something was
        given back (the fact `Freed`).
        """

    @abstractmethod
    def give_back(self, needs: tuple[str, ...], activation_id: int) -> None:
        """The activation needs it no more."""

    @abstractmethod
    def give_all_back(self) -> None:
        """The job is over."""

    @abstractmethod
    def holders(self, need: str) -> list[str]:
        """In words, who holds a limit now."""


class Steering(ABC):
    """What a job needs of whatever runs it."""

    def workers(self, mode: ExecutionMode) -> int:
        """How many handlers run at once in an execution mode."""
        return 1

    @abstractmethod
    def post(self, fact: Fact) -> None:
        """Tells the job something, from any thread; does not wait until it is heeded."""

    @abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """Waits until the job is over, at most `timeout` seconds; says whether it is."""
