"""What a flow's auto mode has found out, as a contract; flows that never run in it load nothing of it."""

from __future__ import annotations

from abc import ABC, abstractmethod

MOST_THREADS = 64
"""More are never had, unless somebody says so."""


class Tuning(ABC):
    """Of one flow, for all of its jobs; from any thread."""

    @abstractmethod
    def freeze(self) -> None:
        """Changes nothing any more: jobs are run as the last ones were."""

    @abstractmethod
    def unfreeze(self) -> None:
        """Goes on where it was."""

    @property
    @abstractmethod
    def frozen(self) -> bool:
        """Whether nothing is changed any more."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """On how many threads jobs are run; one is that of whoever runs them."""

    @property
    @abstractmethod
    def knows(self) -> bool:
        """Whether anything has been decided."""

    @abstractmethod
    def limit(self, cap: int | None) -> None:
        """Jobs may have at most so many threads; `None`: `MOST_THREADS`."""
