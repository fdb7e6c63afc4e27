"""What a command has done, in one sentence, or as what a program wants to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from routilux.advice.report import Report, report


@dataclass(frozen=True, slots=True)
class Done:
    """Said to people, and its `facts` to programs."""

    said: str
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return self.facts

    def report(self) -> Report:
        """For people."""
        return report(self.said)
