"""The face of a load test's result. It stands apart from the result, lest every program should load what makes one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import IO, Any

StepFigures = Mapping[str, Any]
"""One step as plain values, as in `steps` of `Outcome.as_dict`."""


class Outcome(ABC):
    """What a load test has found."""

    __slots__ = ()

    @property
    @abstractmethod
    def rate(self) -> float | None:
        """The jobs a second up to which the flow keeps up; `None` where that was not looked for, or not found."""

    @property
    @abstractmethod
    def why(self) -> str | None:
        """What stops it there, in a sentence; `None` where nothing did."""

    @property
    @abstractmethod
    def exit_code(self) -> int:
        """0: all is well. 1: an objective was missed, a rate not sustained, or something grows. 3: it is not known."""

    @abstractmethod
    def report(self, file: IO[str] | None = None) -> None:
        """Prints it as text; to standard output, or to `file`."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values; durations are seconds."""

    @abstractmethod
    def to_json(self) -> str:
        """The same as text for machines."""

    @abstractmethod
    def percentile_table(self) -> str:
        """The latencies while the last rate was held, as `.hgrm` text for plotters of HdrHistogram."""
