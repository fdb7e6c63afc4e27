"""A cluster, as far as the driver needs one: it calls functions elsewhere, and says when they have ended.

::

    connect() -> submit(...) ... ended() -> fetch([call, ...]) -> close()

All but `ended` is called by one thread, the driver's dispatcher, which may be held up for some milliseconds.
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routilux.drivers.cluster.travel import Reply
from routilux.parcel import Parcel

CONNECT_SECONDS = 5.0
"""So long a cluster may take to answer before it counts as unreachable."""


class Call:
    """A function call that a cluster was asked for; adapters add what they need to follow it."""

    def __init__(self, places: int) -> None:
        self.places = places
        """How many values beside the reply may stay on the cluster."""
        self.cancelled = False
        """Whether somebody asked that it ends."""


class Cluster(ABC):
    """Runs calls on workers that share nothing with this process.

    A call is run at most once as far as the cluster can promise that: its own retries are off.
    """

    engine: str
    """What it is called in messages."""
    stops: bool = False
    """Whether `cancel` ends a call that runs."""
    keeps: bool = False
    """Whether values can stay there and be passed on by reference."""
    prefetches: bool = False
    """Whether workers are sent calls before they can run them, so that those are lost with the one that runs."""
    depth: int = 2
    """How many calls for each worker keep it busy while replies and the next calls are on their way."""

    @abstractmethod
    def connect(self) -> None:
        """Starts or reaches the cluster, which may take seconds; also again after it was lost.

        Raises `ClusterError`.
        """

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many calls run at once, by what is known now; may be 0 for a cluster that grows on demand."""

    @abstractmethod
    def versions(self) -> Mapping[str, str | None]:
        """Of `python` and some packages: what the workers have; empty where nobody can say yet."""

    @abstractmethod
    def submit(
        self,
        function: Callable[..., tuple[Any, ...]],
        arguments: Sequence[object],
        places: int,
        ended: Callable[[], None],
        *,
        once: bool = False,
    ) -> Call:
        """Has a function called on a worker; it gives a `Reply`, and as many values as there are `places`.

        Among the arguments may be what `share` and `place` gave; the function is given what they stand for.
        With `once` it is not called a second time, not even by a cluster that makes lost values again by itself.
        `ended` is called once, from any thread. Raises `ClusterError` where the cluster takes no calls any more.
        """

    @abstractmethod
    def fetch(self, calls: Sequence[Call]) -> list[Reply | BaseException]:
        """The replies of calls that have ended.

        Instead of one: a `WorkerLostError` if the call was perhaps begun, a `CancelledError` if it was cancelled and
        does not run any more, a `ClusterError` if the whole cluster is lost, or what else went wrong.
        """

    @abstractmethod
    def cancel(self, call: Call) -> None:
        """Nobody wants the outcome of a call: ends it if that can be done for good, and else leaves it alone."""

    def share(self, blob: bytes) -> object:
        """Something that stands for these bytes in many calls."""
        return blob

    def place(self, call: Call, index: int) -> object:
        """What stands for a value that stayed on the cluster, by its place; it is freed when that is."""
        raise NotImplementedError

    def bring(self, placed: object) -> bytes:
        """A value that stayed on the cluster; raises `WorkerLostError` where it is lost."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Ends what `connect` started and leaves alone what was given; any number of times."""


class ClusterParcel(Parcel):
    """A value that stayed on a cluster."""

    def __init__(self, cluster: Cluster, placed: object, generation: int) -> None:
        self.cluster = cluster
        self.placed = placed
        self.generation = generation
        """How many values one after another were made of each other without leaving the cluster."""

    def open(self) -> Any:
        return pickle.loads(self.cluster.bring(self.placed))
