"""What the machine of one job must ask for before an activation begins, as a contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


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
    def promise(self) -> None:
        """From now on, each time that it is told, the job takes what it can or declines.

        So others need be told only of what it leaves.
        """

    @abstractmethod
    def decline(self) -> None:
        """What the job was told of and has not taken is for the next that waits."""

    @abstractmethod
    def give_back(self, needs: tuple[str, ...], activation_id: int) -> None:
        """The activation needs it no more."""

    @abstractmethod
    def give_all_back(self) -> None:
        """The job is over."""

    @abstractmethod
    def holders(self, need: str) -> list[str]:
        """In words, who holds a limit now."""
