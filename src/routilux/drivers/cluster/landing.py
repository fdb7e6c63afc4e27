"""Reads what came back from a cluster: of each attempt of a batch, how it ended."""

from __future__ import annotations

import pickle
from concurrent.futures import CancelledError
from typing import TypeAlias

from routilux.drivers.cluster.attempts import Attempt, Batch, Waiting
from routilux.drivers.cluster.port import Cluster, ClusterParcel
from routilux.drivers.cluster.travel import Enclosed, Reply
from routilux.drivers.far import Answer
from routilux.errors import ClusterError, RemoteError, WorkerLostError
from routilux.facts import Emissions, Measured, Settled
from routilux.guard import guarded, text_of

Ended: TypeAlias = "tuple[Attempt, Settled | BaseException]"
"""An attempt and how it ended; an exception if it has no measured times."""


class Landing:
    """Turns replies into outcomes, and puts back what had certainly not begun."""

    def __init__(self, cluster: Cluster, waiting: Waiting) -> None:
        self._cluster = cluster
        self._waiting = waiting
        self._workers: dict[str, int] = {}
        """By what workers call themselves: their numbers; 0 is this process."""

    def answered(self, batch: Batch, reply: Reply, now: int) -> list[Ended]:
        """The outcomes of a batch; what the worker did not begin is the next to leave again.

        Clocks differ between machines, so moments are laid out such that the last of a batch ended `now`.
        """
        worker = self._workers.setdefault(reply.worker, 1 + len(self._workers))
        answers = [(packed, *guarded(_answer, packed)) for packed in reply.answers]
        shift = now - max((answer.ended for _, answer, broken in answers if broken is None), default=0)
        ended: list[Ended] = []
        for attempt, (packed, answer, broken) in zip(batch.attempts, answers, strict=False):
            if broken is not None:
                text = f"{type(broken).__name__}: {text_of(broken)}"
                ended.append((attempt, RemoteError(f"{attempt.where}: its outcome cannot be read here: {text}")))
                continue
            self._waiting.saw(attempt, answer.ended - answer.began, len(packed))
            emissions, lost = guarded(self._emissions, batch, answer)
            if lost is not None:
                ended.append((attempt, WorkerLostError(f"{attempt.where}: what it emitted is lost: {text_of(lost)}")))
                continue
            ended.append((attempt, _outcome(attempt, answer, emissions, shift, worker)))
        gone = CancelledError("nobody wanted it any more, and it had not begun")
        unwanted = self._waiting.put_back(batch.attempts[len(answers) :])
        return ended + [(attempt, gone) for attempt in unwanted]

    def failed(self, batch: Batch, reason: BaseException) -> list[Ended]:
        """The outcomes of a batch that gave none itself."""
        if isinstance(reason, CancelledError):
            return [(attempt, reason) for attempt in batch.attempts]
        if isinstance(reason, WorkerLostError):
            for attempt in batch.attempts:
                self._waiting.suspect(attempt)
        lost = isinstance(reason, (WorkerLostError, ClusterError))
        kind = WorkerLostError if lost else ClusterError
        return [(attempt, kind(f"{attempt.where}: {text_of(reason)}")) for attempt in batch.attempts]

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
    measured = None if answer.cpu_ns is None else Measured(answer.cpu_ns)
    who = answer.number, answer.attempt, began, ended, worker
    settled = Settled(*who, emissions, answer.error, frames=answer.frames, measured=measured)
    return settled._replace(statements=answer.statements) if answer.statements else settled
