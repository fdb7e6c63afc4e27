"""What a runner needs of the driver whose event loop it is on, as a contract; all of it is used on the loop.

Runners that never wait share the loop in slices: the first begins one, and when it is over each of them lets the
others have the loop, once it has had its least. What is ready besides is not started meanwhile; where there are several
runners of a job, the first goes on with it, and the others end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from routilux.drivers.port import LocalDriver, LocalHost, Seat
from routilux.machine.delivery import Activation

SLICE_NS = 10_000_000
"""After so long runners that never wait let others have the loop, all of them together."""

LEAST_NS = 100_000
"""So long each of them may go on, also after that."""


class LoopDriver(LocalDriver):
    """A driver that has runners."""

    host: LocalHost
    now: Callable[[], int]
    """The clock's moment."""
    busy: int
    """How many runners are at something."""
    leave: Callable[[Coroutine[Any, Any, None]], object]
    """Called by a runner that awaits nothing more."""
    slice_ends: int
    """The moment after which runners that have had their least let others have the loop."""
    yields: set[Seat]
    """The jobs a runner of which has let others have it, while they have not all had it; no slice begins before."""

    @abstractmethod
    def spawn(self, seat: Seat, activation: Activation) -> None:
        """Gives an attempt a runner of its own."""

    @abstractmethod
    def relieve(self, seat: Seat) -> None:
        """Has what is ready started as soon as the runner that asks, of this job, waits for something."""

    @abstractmethod
    def yield_once(self, seat: Seat) -> None:
        """A runner lets others have the loop, and goes on after them; for all that is known, its job never waits."""

    @abstractmethod
    def wake(self) -> None:
        """Has the loop look at what was told; from any thread."""
