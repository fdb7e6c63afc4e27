"""What can be decided about a failed attempt."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from routilux.errors import SettingError


class Verdict(enum.Enum):
    """What becomes of an activation that failed for good."""

    STOP = enum.auto()
    CONTINUE = enum.auto()
    SKIP = enum.auto()


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The decision to make another attempt after `delay_ns` nanoseconds."""

    delay_ns: int

    def __post_init__(self) -> None:
        if type(self.delay_ns) is not int:
            raise SettingError(f"delay_ns must be a whole number of nanoseconds, not {self.delay_ns!r}.")


Decision: TypeAlias = Verdict | TryAgain
