"""Dask as a cluster, through its client's futures.

Not through `Client.get_executor`, whose futures never resolve when a result cannot be pickled. Dask cannot stop a task
that runs; and it makes values that a dead worker kept again by itself, by running the calls that made them: also
replies that nobody had fetched yet. A call that must not run twice says at the scheduler that it begins.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from operator import itemgetter
from typing import Any, TypeAlias

import distributed
from distributed import Client, Event, get_client
from distributed.client import done_callback
from distributed.deploy.cluster import Cluster as Deployed
from distributed.scheduler import KilledWorker

from routilux.drivers.cluster.dask_local import LocalDask
from routilux.drivers.cluster.port import CONNECT_SECONDS, Call, Cluster
from routilux.drivers.cluster.reach import check_listens
from routilux.drivers.cluster.travel import Reply
from routilux.drivers.cluster.versions import PACKAGES
from routilux.errors import ClusterError, WorkerLostError
from routilux.guard import guarded, text_of

Future: TypeAlias = "distributed.Future[Any]"

SCATTERED_BYTES = 1_000_000
"""Arguments from this size on go to the workers without a detour over the scheduler."""

LET_GO_SECONDS = 5.0
"""So long after a call was fetched the scheduler has heard for sure that nobody wants it any more."""

COUNT_SECONDS = 2.0
"""So old the known number of workers may be."""


class _Submitted(Call):
    def __init__(self, places: int, whole: Future, reply: Future, arguments: list[object]) -> None:
        super().__init__(places)
        self.whole = whole
        self.reply = reply
        self.arguments = arguments
        """Kept, because Dask drops what no future refers to."""
        self.begun: Event | None = None
        """Of one that must not run twice: set at the scheduler when it begins."""


class DaskCluster(Cluster):
    """A Dask cluster: one of our own on this machine, or somebody's by address, client or cluster object."""

    engine = "Dask"
    keeps = True
    prefetches = True
    depth = 4

    def __init__(self, given: Client | Deployed | str | None, workers: int) -> None:
        self._given = given
        self._local: LocalDask | None = None
        self._client: Client | None = given if isinstance(given, Client) else None
        self._workers = workers
        self._counted = 0.0
        self._begun: deque[tuple[float, Event]] = deque()

    def connect(self) -> None:
        self.close()
        target = self._given
        if isinstance(target, Client):
            if target.status != "running":
                raise ClusterError(f"The Dask client that was given is {target.status}.")
            return
        if target is None:
            self._local = LocalDask(self._workers)
            target = self._local.address
        elif isinstance(target, str) and not target.startswith("inproc"):
            check_listens(self.engine, target)
        client, broken = guarded(_connected, target)
        if broken is not None:
            self.close()
            where = target if isinstance(target, str) else type(target).__name__
            raise ClusterError(
                f"The Dask cluster at {where} cannot be reached: {text_of(broken)}. "
                "Is it running, and is the address right?"
            ) from broken
        self._client = client

    @property
    def workers(self) -> int:
        moment = time.monotonic()
        if self._client is not None and moment > self._counted + COUNT_SECONDS:
            counts, broken = guarded(self._client.nthreads)
            self._counted = moment
            if broken is None:
                self._workers = sum(counts.values())
        return self._workers

    def versions(self) -> Mapping[str, str | None]:
        found, broken = guarded(self._running.get_versions, False, list(PACKAGES))
        if broken is not None:
            raise ClusterError(f"The Dask workers do not say which versions they have: {text_of(broken)}") from broken
        for worker in found["workers"].values():
            return {name: worker["packages"].get(name) for name in ("python", *PACKAGES)}
        return {}

    def submit(
        self,
        function: Callable[..., tuple[Any, ...]],
        arguments: Sequence[object],
        places: int,
        ended: Callable[[], None],
        *,
        once: bool = False,
    ) -> Call:
        call, broken = guarded(self._submitted, function, arguments, places, once, ended)
        if broken is not None:
            raise ClusterError(f"The Dask cluster takes no calls any more: {text_of(broken)}") from broken
        submitted: _Submitted = call
        return submitted

    def fetch(self, calls: Sequence[Call]) -> list[Reply | BaseException]:
        finished = [call for call in map(_own, calls) if call.reply.status == "finished"]
        replies, broken = guarded(self._running.gather, [call.reply for call in finished])
        found = {} if broken is not None else dict(zip(finished, replies, strict=True))
        fetched = [found[call][0] if call in found else self._fetched(_own(call)) for call in calls]
        moment = time.monotonic()
        self._begun += [(moment, call.begun) for call in map(_own, calls) if call.begun is not None]
        self._forget(before=moment - LET_GO_SECONDS)
        return fetched

    def cancel(self, call: Call) -> None:
        """A task that no worker has been given yet is taken back."""
        submitted = _own(call)
        processing, broken = guarded(self._running.processing)
        if broken is None and not any(submitted.whole.key in keys for keys in processing.values()):
            submitted.cancelled = True
            guarded(self._running.cancel, [submitted.reply, submitted.whole])

    def share(self, blob: bytes) -> object:
        shared, broken = guarded(lambda: self._running.scatter(blob, hash=False, broadcast=True))
        return blob if broken is not None else shared

    def place(self, call: Call, index: int) -> object:
        return self._running.submit(itemgetter(index + 1), _own(call).whole, pure=False, retries=0)

    def bring(self, placed: object) -> bytes:
        assert isinstance(placed, distributed.Future)
        blob, broken = guarded(placed.result)
        if broken is not None:
            raise WorkerLostError(f"a value that stayed on the Dask cluster is lost: {text_of(broken)}")
        return bytes(blob)

    def close(self) -> None:
        self._forget(before=math.inf)
        if self._client is not None and self._client is not self._given:
            guarded(self._client.close)
            self._client = None
        if self._local is not None:
            self._local.close()
            self._local = None

    def _forget(self, before: float) -> None:
        """Has the scheduler forget which calls have begun, of those that were fetched before a moment."""
        while self._begun and self._begun[0][0] < before:
            guarded(self._begun.popleft()[1].clear)

    @property
    def _running(self) -> Client:
        assert self._client is not None
        return self._client

    def _submitted(
        self,
        function: Callable[..., tuple[Any, ...]],
        arguments: Sequence[object],
        places: int,
        once: bool,
        ended: Callable[[], None],
    ) -> _Submitted:
        client = self._running
        assert client.loop is not None
        sent = [self._sent(argument) for argument in arguments]
        begun = Event(client=client) if once else None
        called = (function,) if begun is None else (_called_once, begun.name, function)
        whole = client.submit(*called, *sent, pure=False, retries=0)
        reply = client.submit(_reply_alone, whole, pure=False, retries=0) if places else whole
        submitted = _Submitted(places, whole, reply, sent)
        submitted.begun = begun
        # Not `add_done_callback`, which needs an executor: there is none any more once the main thread has ended.
        client.loop.add_callback(done_callback, reply, lambda _: ended())
        return submitted

    def _sent(self, argument: object) -> object:
        if isinstance(argument, bytes) and len(argument) >= SCATTERED_BYTES:
            return self._running.scatter(argument, hash=False)
        return argument

    def _fetched(self, call: _Submitted) -> Reply | BaseException:
        """The reply of one call, or what became of it."""
        value, broken = guarded(call.reply.result)
        if broken is None:
            reply: Reply = value[0]
            return reply
        if call.cancelled:
            return CancelledError("it was cancelled before it began")
        if isinstance(broken, KilledWorker):
            return WorkerLostError("the Dask worker that had it died")
        if self._running.status != "running" or (self._local is not None and not self._local.alive):
            return ClusterError("the connection to the Dask cluster was lost")
        if call.reply.status in {"cancelled", "lost"}:
            return WorkerLostError(f"Dask lost it, or what it needed: {text_of(broken)}")
        return broken


def _connected(target: Deployed | str) -> Client:
    return Client(target, timeout=CONNECT_SECONDS, set_as_default=False)


def _own(call: Call) -> _Submitted:
    assert isinstance(call, _Submitted)
    return call


def _called_once(name: str, function: Callable[..., tuple[Any, ...]], *arguments: object) -> tuple[Any, ...]:
    """On a worker: calls a function, unless another worker has begun to."""
    begun = Event(name, client=get_client())
    if begun.is_set():
        raise WorkerLostError("the Dask worker that had it died")
    begun.set()
    return function(*arguments)


def _reply_alone(whole: tuple[Any, ...]) -> tuple[Any, ...]:
    """On a worker: the reply without the values that stay."""
    return whole[:1]
