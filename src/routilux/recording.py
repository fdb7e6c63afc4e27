"""What a job is recorded by, as a contract; jobs that are not recorded load nothing of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from routilux.course import Course
from routilux.drivers.invoke import Invoker, Surroundings
from routilux.execution_mode import ExecutionMode
from routilux.facts import Record
from routilux.insight.trace import Trace


class Recording(ABC):
    """Of one job, from just before its start to its end."""

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """The finished job as a trace; raises `UnfinishedJobError` before."""

    @property
    @abstractmethod
    def unsendable(self) -> Mapping[str, str]:
        """By routine: why it cannot run in another process; of the others there is no reason known."""

    @abstractmethod
    def invoker(self, surroundings: Surroundings) -> Invoker:
        """What calls the handlers of the job, and measures them."""

    @abstractmethod
    def follow(self, course: Course, workers: Callable[[ExecutionMode], int]) -> None:
        """Says whose job it is, and how many workers it has in each mode."""

    @abstractmethod
    def absorb(self, records: Sequence[Record], unusual: Sequence[Record]) -> None:
        """Takes records in."""
