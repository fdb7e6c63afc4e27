"""What a flow's auto mode has found out, as a contract; flows that never run in it load nothing of it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from routilux.execution_mode import ExecutionMode
from routilux.tuning.sending import Sending

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
        """On how many threads or processes jobs are run; one is the thread of whoever runs them."""

    @property
    @abstractmethod
    def mode(self) -> ExecutionMode:
        """What those workers are; sequential where there is one."""

    @property
    @abstractmethod
    def knows(self) -> bool:
        """Whether anything has been decided."""

    @abstractmethod
    def prove(self, sending: Sending) -> int:
        """It was tried whether activations can be sent to other processes; gives on how many workers jobs are run."""

    @abstractmethod
    def limit(self, cap: int | None, processes: int = 0) -> None:
        """Jobs may have at most so many threads (`None`: `MOST_THREADS`), or just so many processes."""
