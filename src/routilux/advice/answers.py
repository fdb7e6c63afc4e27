"""What a flow and a job answer with, as contracts; what finds the answers is loaded when somebody asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from routilux.advice.report import Report
from routilux.settings import SettingArguments


class Answer(ABC):
    """Can be printed, and had as plain values."""

    __slots__ = ()

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What matters most, in a sentence or two."""

    @property
    @abstractmethod
    def conclusive(self) -> bool:
        """Whether it can be relied on: neither was the machine busy with other things, nor is the model off."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values; durations are seconds."""

    @abstractmethod
    def report(self) -> Report:
        """All of it as sentences and tables, what matters most first."""

    def __str__(self) -> str:
        return str(self.report())


class Advice(Answer):
    """An answer that says what to run a flow with."""

    __slots__ = ()

    @property
    @abstractmethod
    def settings(self) -> SettingArguments:
        """What to give the flow; empty if it is best left as it is."""

    @abstractmethod
    def to_toml(self) -> str:
        """The settings as TOML, with what they gain in a comment."""

    @abstractmethod
    def to_python(self) -> str:
        """The settings as Python, with what they gain in a comment."""
