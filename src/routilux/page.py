"""Emissions by the page: many values of one attempt, of which each page is read only when its first value is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, overload


class Page(ABC):
    """Values that one attempt emitted, one after another on one event."""

    __slots__ = ("count", "event")

    def __init__(self, event: str, count: int) -> None:
        self.event = event
        self.count = count

    @abstractmethod
    def open(self) -> Sequence[Any]:
        """The values, in order. Whoever made the page has seen that they can be read."""


class Pages(Sequence[tuple[str, Any]]):
    """The emissions of an attempt, as a list of them would be."""

    __slots__ = ("pages",)

    def __init__(self, pages: Sequence[Page]) -> None:
        self.pages = pages

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for page in self.pages:
            for value in page.open():
                yield page.event, value

    def __len__(self) -> int:
        return sum(page.count for page in self.pages)

    @overload
    def __getitem__(self, index: int) -> tuple[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> tuple[str, Any] | Sequence[tuple[str, Any]]:
        return list(self)[index]
