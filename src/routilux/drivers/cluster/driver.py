"""Distributed mode: attempts travel in batches to the workers of a cluster.

One thread, the dispatcher, connects, forms batches, submits them and settles what comes back, so the engine never
waits for the cluster. What waits here can still be given up; what has been submitted belongs to the cluster. When a
worker dies it is not known how far its batch had got: all of it is settled as lost. Generators are asked in
this process.

::

    start -> waiting -> batch -> cluster.submit ... ended -> cluster.fetch -> host.settle
"""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TypeAlias

from routilux.drivers.cluster.attempts import AIM_NS, Attempt, Batch, Identity, Waiting
from routilux.drivers.cluster.load import Packer
from routilux.drivers.cluster.port import Cluster, ClusterParcel
from routilux.drivers.cluster.pulls import Pullers
from routilux.drivers.cluster.travel import Enclosed, Reply, run_batch
from routilux.drivers.cluster.versions import check_versions
from routilux.drivers.far import Answer
from routilux.drivers.parcel import Parcel
from routilux.drivers.port import Abilities, Driver, Host, Seat, Stopping
from routilux.errors import ClusterError, RemoteError, WorkerLostError
from routilux.facts import Emissions, Settled
from routilux.guard import guarded, text_of
from routilux.machine.delivery import Activation
from routilux.ports import Clock
from routilux.settings import ExecutionMode

REST_NS = 5_000_000_000
"""So long after it could not be reached a cluster is not asked again: attempts fail at once."""

LONG_NS = 600_000_000
"""Of attempts that take longer, none waits on the cluster for a worker: here it can still be given up."""

Message: TypeAlias = "Batch | bool"
"""To the dispatcher: a batch has ended, or all of it has become unwanted; True: look what waits; False: close."""


class ClusterDriver(Driver):
    """Runs attempts on a cluster, which it reaches when the first of them comes."""

    mode = ExecutionMode.DISTRIBUTED

    def __init__(self, host: Host, clock: Clock, cluster: Cluster, name: str) -> None:
        self.abilities = Abilities(stops=cluster.stops, same_memory=False)
        self._host = host
        self._clock = clock
        self._cluster = cluster
        self._workers = max(1, cluster.workers)
        self._packer = Packer(cluster)
        self._name = name
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._dispatcher: threading.Thread | None = None
        self._pullers: Pullers | None = None
        self._under_way: dict[Identity, Attempt] = {}
        self._waiting = Waiting()
        self._choosing = threading.Lock()
        """Held while an attempt gets into a batch, or is given up: it is either."""
        self._flying: set[Batch] = set()
        self._seen = {"": 0}
        """By what workers call themselves: their numbers; 0 is this process."""
        self._refusal: tuple[int, ClusterError] | None = None
        """Until when the cluster is not asked again, and what it said."""
        self._connected = False

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def free(self) -> int:
        return max(self._flights * self._batch_size, self._workers) - len(self._under_way)

    @property
    def window(self) -> int:
        return 2 * self._workers * self._batch_size

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        attempt = Attempt(seat, activation)
        if activation[1].is_generator:
            if self._pullers is None:
                self._pullers = Pullers(self._workers, f"{self._name}-generators")
            self._under_way[attempt.identity] = attempt
            self._pullers.put(partial(self._pull, attempt, skip))
            return
        if self._dispatcher is None:
            dispatcher = threading.Thread(target=self._dispatch, name=f"{self._name}-dispatcher", daemon=True)
            dispatcher.start()
            self._dispatcher = dispatcher
        self._under_way[attempt.identity] = attempt
        with self._choosing:
            self._waiting.put(attempt)
        self._inbox.put(True)

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        identity = seat.course.origin.job_id, activation[0], activation[5]
        with self._choosing:
            attempt = self._under_way.get(identity)
            if attempt is None or activation[1].is_generator:
                return Stopping.RUNS_ON
            attempt.unwanted = True
            batch = attempt.batch
            if batch is None:
                del self._under_way[identity]
                return Stopping.NEVER_STARTED
        if batch.unwanted:
            self._inbox.put(batch)
        return Stopping.ASKED if self.abilities.stops else Stopping.RUNS_ON

    def forget(self, seat: Seat) -> None:
        with self._choosing:
            self._waiting.forget(seat.course.origin.job_id)

    def close(self, *, wait: bool = True) -> None:
        self._inbox.put(False)
        if self._pullers is not None:
            self._pullers.close(wait=wait)
        dispatcher = self._dispatcher
        if wait and dispatcher is not None and dispatcher is not threading.current_thread():
            dispatcher.join()

    @property
    def _flights(self) -> int:
        """How many batches under way keep all workers busy: of long ones it takes fewer."""
        if self._waiting.typical > LONG_NS:
            return self._workers
        return self._workers * (self._cluster.depth if self._waiting.typical < AIM_NS else 2)

    @property
    def _room(self) -> int:
        """How many more batches may be sent now.

        With what a worker has died of there is one batch a worker; behind what two have died of, none is sent at all,
        or a worker that holds the next batch ready would lose that as well.
        """
        deaths = max((batch.deaths for batch in self._flying), default=0)
        if deaths > 1 and self._cluster.prefetches:
            return 0
        suspicious = deaths or self._waiting.next_is_suspect
        return (self._workers if suspicious else self._flights) - len(self._flying)

    @property
    def _batch_size(self) -> int:
        return max(1, int(AIM_NS / self._waiting.typical))

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
        ended = [batch for batch in batches if batch.ended and batch in self._flying]
        if ended:
            self._land(ended)
        if False in messages:
            return False
        self._send()
        return True

    def _send(self) -> None:
        """Submits what waits, as far as there is room for it."""
        while len(self._waiting) and (room := self._room) > 0:
            refusal = self._reach()
            if refusal is not None:
                with self._choosing:
                    attempts = self._waiting.take_all()
                    refused = Batch(attempts)
                    for attempt in attempts:
                        attempt.batch = refused
                self._settle([(one, ClusterError(f"{one.where}: {refusal}")) for one in attempts])
                return
            with self._choosing:
                batch = self._waiting.take(room)
            if batch is None:
                return
            self._submit(batch)

    def _reach(self) -> ClusterError | None:
        """Connects if need be; says why that cannot be done."""
        if self._connected:
            return None
        if self._refusal is not None and self._clock.now() < self._refusal[0]:
            return self._refusal[1]
        try:
            self._cluster.connect()
            check_versions(self._cluster)
        except ClusterError as error:
            self._refusal = self._clock.now() + REST_NS, error
            return error
        self._connected = True
        self._count_workers()
        return None

    def _count_workers(self) -> None:
        workers = max(1, self._cluster.workers)
        if workers != self._workers:
            self._workers = workers
            self._host.look_again()

    def _submit(self, batch: Batch) -> None:
        load = self._packer.load(batch)
        self._settle(load.refused)
        batch.attempts = load.attempts
        batch.generation = load.generation
        if not batch.attempts:
            return
        try:
            batch.call = self._cluster.submit(run_batch, load.arguments, load.places, partial(self._ended, batch))
        except ClusterError as error:
            self._connected = False
            self._refusal = self._clock.now() + REST_NS, error
            with self._choosing:
                self._waiting.put_back(batch.attempts)
            return
        self._flying.add(batch)
        if batch.unwanted:
            self._cluster.cancel(batch.call)

    def _ended(self, batch: Batch) -> None:
        batch.ended = True
        self._inbox.put(batch)

    def _land(self, batches: Sequence[Batch]) -> None:
        """Settles what came of batches."""
        outcomes: list[tuple[Attempt, Settled | BaseException]] = []
        replies = self._cluster.fetch([batch.call for batch in batches if batch.call is not None])
        for batch, reply in zip(batches, replies, strict=True):
            self._flying.discard(batch)
            if isinstance(reply, Reply):
                outcomes += self._answered(batch, reply)
            else:
                outcomes += self._failed(batch, reply)
        self._count_workers()
        self._settle(outcomes)

    def _answered(self, batch: Batch, reply: Reply) -> list[tuple[Attempt, Settled | BaseException]]:
        """The outcomes of a batch; what the worker did not begin is the next to leave again.

        Clocks differ between machines, so moments are laid out such that the last of a batch ended now.
        """
        worker = self._seen.setdefault(reply.worker, len(self._seen))
        answers = [(packed, *guarded(_answer, packed)) for packed in reply.answers]
        last = max((answer.ended for _, answer, broken in answers if broken is None), default=0)
        shift = self._clock.now() - last
        outcomes: list[tuple[Attempt, Settled | BaseException]] = []
        for attempt, (packed, answer, broken) in zip(batch.attempts, answers, strict=False):
            if broken is not None:
                text = f"{type(broken).__name__}: {text_of(broken)}"
                outcomes.append((attempt, RemoteError(f"{attempt.where}: its outcome cannot be read here: {text}")))
                continue
            with self._choosing:
                self._waiting.saw(attempt, answer.ended - answer.began, len(packed))
            emissions, lost = guarded(self._emissions, batch, answer)
            if lost is not None:
                outcomes.append(
                    (attempt, WorkerLostError(f"{attempt.where}: what it emitted is lost: {text_of(lost)}"))
                )
                continue
            outcomes.append((attempt, _outcome(attempt, answer, emissions, shift, worker)))
        rest = batch.attempts[len(answers) :]
        with self._choosing:
            self._waiting.put_back([attempt for attempt in rest if not attempt.unwanted])
        gone = CancelledError("nobody wanted it any more, and it had not begun")
        outcomes += [(attempt, gone) for attempt in rest if attempt.unwanted]
        return outcomes

    def _emissions(self, batch: Batch, answer: Answer) -> Emissions:
        """What an attempt emitted, with parcels for the values that stayed on the cluster."""
        if batch.call is None or not batch.call.places:
            return answer.emissions
        emissions = list(answer.emissions)
        for index, (event, value) in enumerate(emissions):
            if isinstance(value, Enclosed):
                placed = self._cluster.place(batch.call, value.index)
                emissions[index] = event, ClusterParcel(self._cluster, placed, batch.generation + 1)
        return emissions

    def _failed(self, batch: Batch, reason: BaseException) -> list[tuple[Attempt, Settled | BaseException]]:
        """The outcomes of a batch that gave none itself."""
        outcomes: list[tuple[Attempt, Settled | BaseException]] = []
        lost = isinstance(reason, WorkerLostError)
        if isinstance(reason, ClusterError):
            self._connected = False
        if lost:
            self._packer.forget_shared()
        for attempt in batch.attempts:
            if lost:
                with self._choosing:
                    self._waiting.suspect(attempt)
            kind = WorkerLostError if lost or isinstance(reason, ClusterError) else ClusterError
            error = reason if isinstance(reason, CancelledError) else kind(f"{attempt.where}: {text_of(reason)}")
            outcomes.append((attempt, error))
        return outcomes

    def _settle(self, outcomes: Sequence[tuple[Attempt, Settled | BaseException]]) -> None:
        """Tells the host, job by job."""
        now = self._clock.now()
        by_seat: dict[Seat, list[Settled]] = {}
        for attempt, outcome in outcomes:
            self._under_way.pop(attempt.identity, None)
            if isinstance(outcome, BaseException):
                outcome = Settled(attempt.activation[0], attempt.activation[5], now, now, error=outcome)
            by_seat.setdefault(attempt.seat, []).append(outcome)
        for seat, settled in by_seat.items():
            self._host.settle(seat, settled)

    def _pull(self, attempt: Attempt, skip: int) -> None:
        """Asks a generator, on a thread of this process."""
        seat, (number, station, arguments, cause, fired, count, place) = attempt.seat, attempt.activation
        began = self._clock.now()
        given, error = guarded(lambda: tuple(one.open() if isinstance(one, Parcel) else one for one in arguments))
        if error is None:
            opened = (number, station, given, cause, fired, count, place)
            emissions, failure, more = seat.invoker(opened, skip)
        else:
            emissions, failure, more = (), error, False
        self._under_way.pop(attempt.identity, None)
        settled = Settled(number, count, began, self._clock.now(), 0, emissions, failure, more)
        self._host.settle(seat, [settled])


def _answer(packed: bytes) -> Answer:
    answer: Answer = pickle.loads(packed)
    return answer


def _outcome(attempt: Attempt, answer: Answer, emissions: Emissions, shift: int, worker: int) -> Settled:
    """What came of an attempt, with what its routine keeps put back; `shift` turns the worker's moments into ours."""
    if answer.state is not None:
        kept = attempt.seat.course.states.setdefault(attempt.activation[1].routine_id, {})
        kept.clear()
        kept.update(answer.state)
    began, ended = answer.began + shift, answer.ended + shift
    return Settled(answer.number, answer.attempt, began, ended, worker, emissions, answer.error, frames=answer.frames)
