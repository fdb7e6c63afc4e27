"""A value that lies elsewhere: what a driver emits for a large result that only handlers of its own mode read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Parcel(ABC):
    """Stands for a value; a driver that is given one of its own as an argument hands it on without opening it.

    What it holds is freed when nobody refers to it any more. Pickled, it is the value.
    """

    @abstractmethod
    def open(self) -> Any:
        """The value itself, brought into this process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.open(),)


def opened(value: Any) -> Any:
    """The value that a parcel stands for, or what is none as it is."""
    return value.open() if isinstance(value, Parcel) else value


def _itself(value: Any) -> Any:
    return value
