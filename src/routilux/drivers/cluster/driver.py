"""Distributed mode: attempts travel in batches to the workers of a cluster.

One thread, the dispatcher, connects, forms batches, submits them and settles what comes back, so the engine never
waits for the cluster. What waits here can still be given up; what has been submitted belongs to the cluster. When a
worker dies it is not known how far its batch had got: all of it is settled as lost. Generators are asked in
this process.

::

    start -> waiting -> batch -> cluster.submit ... ended -> cluster.fetch -> host.settle
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TypeAlias

from routilux.drivers.cluster.attempts import Attempt, Batch, Identity, Waiting
from routilux.drivers.cluster.choice import cluster_of
from routilux.drivers.cluster.connection import Connection
from routilux.drivers.cluster.landing import Ended, Landing
from routilux.drivers.cluster.load import Packer
from routilux.drivers.cluster.port import Cluster
from routilux.drivers.cluster.pulls import Pullers
from routilux.drivers.cluster.travel import Reply, run_batch
from routilux.drivers.invoke import Outcome
from routilux.drivers.lesson import refuse_while_reading
from routilux.drivers.port import Abilities, Driver, Host, Seat, Stopping
from routilux.errors import ClusterError, ClusterUnavailableError, WorkerLostError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Settled
from routilux.guard import guarded
from routilux.machine.delivery import Activation
from routilux.parcel import Parcel
from routilux.ports import Clock
from routilux.settings import Settings

Message: TypeAlias = "Batch | bool"
"""To the dispatcher: a batch has ended, or all of it has become unwanted; True: look what waits; False: close."""


def new_driver(host: Host, clock: Clock, settings: Settings, workers: int | None, name: str) -> ClusterDriver:
    """The driver as the settings want it."""
    refuse_while_reading()
    meant = settings.cluster if settings.executor is None else settings.executor
    cluster = cluster_of(None, meant, workers, insecure_cluster=settings.insecure_cluster)
    return ClusterDriver(host, clock, cluster, name)


class ClusterDriver(Driver):
    """Runs attempts on a cluster, which it reaches when the first of them comes."""

    mode = ExecutionMode.DISTRIBUTED
    elastic = True

    def __init__(self, host: Host, clock: Clock, cluster: Cluster, name: str) -> None:
        self.abilities = Abilities(stops=cluster.stops, same_memory=False, recalls=True)
        self._host = host
        self._clock = clock
        self._cluster = cluster
        self._name = name
        self.workers = max(1, cluster.workers)
        self._waiting = Waiting()
        self._connection = Connection(cluster, clock)
        self._packer = Packer(cluster)
        self._landing = Landing(cluster, self._waiting)
        self._pullers: Pullers | None = None
        self._dispatcher: threading.Thread | None = None
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._under_way: dict[Identity, Attempt] = {}
        """All attempts that have not been settled."""
        self._flying: set[Batch] = set()
        """What has been submitted; only for the dispatcher."""

    @property
    def free(self) -> int:
        waiting = self._waiting
        most = self.workers * waiting.batches_ahead(self._cluster.depth) * waiting.batch_size
        return most - len(self._under_way)

    @property
    def window(self) -> int:
        return 2 * self.workers * self._waiting.batch_size

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        attempt = Attempt(seat, activation)
        if activation[1].is_generator:
            if self._pullers is None:
                self._pullers = Pullers(self.workers, f"{self._name}-generators")
            self._under_way[attempt.identity] = attempt
            self._pullers.put(partial(seat.context.copy().run, self._pull, attempt, skip))
            return
        if self._dispatcher is None:
            dispatcher = threading.Thread(target=self._dispatch, name=f"{self._name}-dispatcher", daemon=True)
            dispatcher.start()
            self._dispatcher = dispatcher
        self._under_way[attempt.identity] = attempt
        self._waiting.put(attempt)
        self._inbox.put(True)

    def began(self, seat: Seat, activation: Activation) -> int | None:
        attempt = self._under_way.get((seat.course.origin.job_id, activation[0], activation[5]))
        if attempt is None or activation[1].is_generator:
            return 0
        return None if attempt.batch is None else attempt.batch.sent or None

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        attempt = self._under_way.get((seat.course.origin.job_id, activation[0], activation[5]))
        if attempt is None or activation[1].is_generator:
            return Stopping.RUNS_ON
        batch = self._waiting.give_up(attempt)
        if batch is None:
            del self._under_way[attempt.identity]
            return Stopping.NEVER_STARTED
        if batch.unwanted:
            self._inbox.put(batch)
        return Stopping.ASKED if self.abilities.stops else Stopping.RUNS_ON

    def forget(self, seat: Seat) -> None:
        self._waiting.forget(seat.course.origin.job_id)

    def close(self, *, wait: bool = True) -> None:
        self._inbox.put(False)
        if self._pullers is not None:
            self._pullers.close(wait=wait)
        dispatcher = self._dispatcher
        if wait and dispatcher is not None and dispatcher is not threading.current_thread():
            dispatcher.join()

    @property
    def _room(self) -> int:
        """How many more batches may be sent now.

        With what a worker has died of there is one batch a worker; behind what two have died of, none is sent at all,
        or a worker that holds the next batch ready would lose that as well.
        """
        deaths = max((batch.deaths for batch in self._flying), default=0)
        if deaths > 1 and self._cluster.prefetches:
            return 0
        at_once = deaths or self._waiting.next_needs_worker
        ahead = 1 if at_once else self._waiting.batches_ahead(self._cluster.depth)
        return self.workers * ahead - len(self._flying)

    def _dispatch(self) -> None:
        """The dispatcher's thread."""
        while self._heed(self._inbox.get()):
            pass
        for batch in self._flying:
            if batch.call is not None:
                self._cluster.cancel(batch.call)
        self._cluster.close()

    def _heed(self, first: Message) -> bool:
        """Does what the messages that there are ask for; gives whether to go on.

        In a method of its own, so that a waiting dispatcher keeps no batch alive.
        """
        messages = [first]
        while not self._inbox.empty():
            messages.append(self._inbox.get())
        batches = dict.fromkeys(message for message in messages if isinstance(message, Batch))
        for batch in batches:
            if batch.call is not None and not batch.ended and not batch.call.cancelled:
                self._cluster.cancel(batch.call)
        self._land([batch for batch in batches if batch.ended and batch in self._flying])
        if False in messages:
            return False
        self._send()
        return True

    def _send(self) -> None:
        """Submits what waits, as far as there is room for it."""
        while len(self._waiting) and (room := self._room) > 0:
            refusal = self._connection.open()
            if refusal is not None:
                refused = self._waiting.take_all().attempts
                self._settle([(attempt, ClusterUnavailableError(f"{attempt.where}: {refusal}")) for attempt in refused])
                return
            self._count_workers()
            batch = self._waiting.take(room)
            if batch is None:
                return
            self._submit(batch)

    def _submit(self, batch: Batch) -> None:
        load = self._packer.load(batch)
        self._settle(load.refused)
        batch.attempts = load.attempts
        batch.generation = load.generation
        if not batch.attempts:
            return
        try:
            ended = partial(self._ended, batch)
            batch.call = self._cluster.submit(run_batch, load.arguments, load.places, ended, once=batch.once)
        except ClusterError as error:
            self._connection.refused(error)
            unwanted = self._waiting.put_back(batch.attempts)
            self._settle([(attempt, error) for attempt in unwanted])
            return
        batch.sent = self._clock.now()
        self._flying.add(batch)
        if batch.unwanted:
            self._cluster.cancel(batch.call)

    def _ended(self, batch: Batch) -> None:
        batch.ended = True
        self._inbox.put(batch)

    def _land(self, batches: Sequence[Batch]) -> None:
        """Settles what came of batches."""
        if not batches:
            return
        replies = self._cluster.fetch([batch.call for batch in batches if batch.call is not None])
        ended: list[Ended] = []
        for batch, reply in zip(batches, replies, strict=True):
            self._flying.discard(batch)
            if isinstance(reply, Reply):
                ended += self._landing.answered(batch, reply, self._clock.now())
                continue
            ended += self._landing.failed(batch, reply)
            if isinstance(reply, ClusterError):
                self._connection.lost()
            if isinstance(reply, (ClusterError, WorkerLostError)):
                self._packer.forget_shared()
        self._settle(ended)
        for batch in batches:
            batch.call = (
                None  # which knows the batch: the cluster would keep the reply, and make it again if it is lost
            )

    def _settle(self, ended: Sequence[Ended]) -> None:
        """Tells the host, job by job."""
        now = self._clock.now()
        by_seat: dict[Seat, list[Settled]] = {}
        for attempt, outcome in ended:
            self._under_way.pop(attempt.identity, None)
            if isinstance(outcome, CancelledError):
                outcome = Settled(attempt.activation[0], attempt.activation[5], now, now, stopped=True)
            elif isinstance(outcome, BaseException):
                outcome = Settled(attempt.activation[0], attempt.activation[5], now, now, error=outcome)
            by_seat.setdefault(attempt.seat, []).append(outcome)
        for seat, settled in by_seat.items():
            self._host.settle(seat, settled)

    def _count_workers(self) -> None:
        workers = max(1, self._cluster.workers)
        if workers != self.workers:
            self.workers = workers
            self._host.look_again()

    def _pull(self, attempt: Attempt, skip: int) -> None:
        """Asks a generator, on a thread of this process."""
        seat, (number, station, arguments, cause, fired, count, place) = attempt.seat, attempt.activation
        began = self._clock.now()
        given, error = guarded(lambda: tuple(one.open() if isinstance(one, Parcel) else one for one in arguments))
        if error is None:
            outcome = seat.invoker((number, station, given, cause, fired, count, place), skip)
        else:
            outcome = Outcome((), error)
        self._under_way.pop(attempt.identity, None)
        who, (emissions, failure, more, _, statements) = (number, count, began, self._clock.now(), 0), outcome
        self._host.settle(seat, [Settled(*who, emissions, failure, more, statements=statements)])
