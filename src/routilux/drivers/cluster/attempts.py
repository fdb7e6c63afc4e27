"""Attempts on their way to a cluster: those that wait, and which of them travel together."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeAlias

from routilux.drivers.cluster.port import Call
from routilux.drivers.port import Seat
from routilux.machine.delivery import Activation
from routilux.machine.plan import Station

AIM_NS = 30_000_000
"""So much work travels in one message: enough to outweigh the message, little enough to be seen soon."""

LONG_NS = 600_000_000
"""Of attempts that take longer, none waits on the cluster for a worker: here it can still be given up."""

EACH_NS = 30_000
"""What an attempt costs beside its run time: to be pickled and read, there and back."""

BYTE_NS = 5.0
"""What a byte costs to be carried."""

FRESH = 0.3
"""The weight of a new run time in the mean."""

Identity: TypeAlias = tuple[str, int, int]
"""Job id, activation id, attempt."""


class Attempt:
    """One attempt, from `start` until it is settled."""

    __slots__ = ("activation", "batch", "seat", "unwanted")

    def __init__(self, seat: Seat, activation: Activation) -> None:
        self.seat = seat
        self.activation = activation
        self.batch: Batch | None = None
        """What it travels in; until then it has certainly not begun."""
        self.unwanted = False
        """Whether nobody waits for its outcome any more."""

    @property
    def identity(self) -> Identity:
        """What tells it from all others."""
        return self.seat.course.origin.job_id, self.activation[0], self.activation[5]

    @property
    def where(self) -> str:
        """Flow and routine, for messages."""
        return f"Flow {self.seat.course.origin.flow_id!r}, routine {self.activation[1].routine_id!r}"


class Batch:
    """Attempts that travel together."""

    def __init__(self, attempts: list[Attempt]) -> None:
        self.attempts = attempts
        self.call: Call | None = None
        """Set while it is under way."""
        self.sent = 0
        """When that was."""
        self.ended = False
        """Set when the cluster says so."""
        self.deaths = 0
        """How many workers have died with what it holds."""
        self.generation = 0
        """The highest generation of the parcels that it encloses."""

    def enter(self) -> None:
        """All its attempts have left for good."""
        for attempt in self.attempts:
            attempt.batch = self

    @property
    def once(self) -> bool:
        """Whether it holds what is not run again when its worker dies."""
        return any(not attempt.activation[1].crash_retries for attempt in self.attempts)

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for any of it."""
        return all(attempt.unwanted for attempt in self.attempts)


class Waiting:
    """The attempts that have not left, first come, first served; any thread may put and give up."""

    def __init__(self) -> None:
        self._attempts: deque[Attempt] = deque()
        self._costs: dict[Station, float] = {}
        self._deaths: dict[tuple[str, int], int] = {}
        """By job and activation: how many workers died with it."""
        self._choosing = threading.Lock()
        """Held while an attempt gets into a batch, or is given up: it is either."""
        self.typical = float(AIM_NS)
        """What attempts have cost lately."""

    def __len__(self) -> int:
        return len(self._attempts)

    @property
    def batch_size(self) -> int:
        """How many usual attempts make a batch."""
        return max(1, int(AIM_NS / self.typical))

    def batches_ahead(self, depth: int) -> int:
        """How many batches keep a worker busy: `depth` of short ones, and one of long ones."""
        if self.typical > LONG_NS:
            return 1
        return depth if self.typical < AIM_NS else 2

    @property
    def next_needs_worker(self) -> bool:
        """Whether what is the next to leave must not wait behind others: a worker died with it, or its time runs."""
        with self._choosing:
            if not self._attempts:
                return False
            first = self._attempts[0]
            return first.activation[1].timeout_ns is not None or bool(self._deaths_of(first))

    def put(self, attempt: Attempt) -> None:
        """One more."""
        self._attempts.append(attempt)

    def put_back(self, attempts: list[Attempt]) -> list[Attempt]:
        """These have certainly not begun: they are the next to leave, but for the unwanted ones, which it gives."""
        with self._choosing:
            for attempt in reversed(attempts):
                if not attempt.unwanted:
                    attempt.batch = None
                    self._attempts.appendleft(attempt)
            return [attempt for attempt in attempts if attempt.unwanted]

    def give_up(self, attempt: Attempt) -> Batch | None:
        """Nobody wants an attempt any more: gives what it has left in; if nothing, it will not leave."""
        with self._choosing:
            attempt.unwanted = True
            return attempt.batch

    def take(self, free: int) -> Batch | None:
        """The next batch, one of `free` that could leave now, so that they get equal shares."""
        with self._choosing:
            self._drop_unwanted()
            if not self._attempts:
                return None
            first = self._attempts.popleft()
            batch = Batch([first])
            batch.deaths = self._deaths_of(first)
            room = AIM_NS - self._cost(first)
            most = -(-(len(self._attempts) + 1) // free)
            while self._attempts and len(batch.attempts) < most:
                room -= self._cost(self._attempts[0])
                if room < 0:
                    break
                attempt = self._attempts.popleft()
                if not attempt.unwanted:
                    batch.attempts.append(attempt)
            batch.enter()
            return batch

    def take_all(self) -> Batch:
        """All that wait."""
        with self._choosing:
            batch = Batch([attempt for attempt in self._attempts if not attempt.unwanted])
            self._attempts.clear()
            batch.enter()
            return batch

    def saw(self, attempt: Attempt, run_time: int, size: int) -> None:
        """An attempt has come back: it ran so long, and so many bytes went to and fro."""
        station = attempt.activation[1]
        cost = EACH_NS + run_time + size * BYTE_NS
        self._costs[station] = cost + (1 - FRESH) * (self._costs.get(station, cost) - cost)
        self.typical += FRESH * (cost - self.typical)
        if self._deaths:
            self._deaths.pop(attempt.identity[:2], None)

    def suspect(self, attempt: Attempt) -> None:
        """A worker died with it: its next attempt travels alone, so that it takes no other along again."""
        with self._choosing:
            self._deaths[attempt.identity[:2]] = self._deaths_of(attempt) + 1

    def forget(self, job_id: str) -> None:
        """A job is over."""
        with self._choosing:
            self._deaths = {suspect: count for suspect, count in self._deaths.items() if suspect[0] != job_id}

    def _deaths_of(self, attempt: Attempt) -> int:
        return self._deaths.get(attempt.identity[:2], 0) if self._deaths else 0

    def _drop_unwanted(self) -> None:
        while self._attempts and self._attempts[0].unwanted:
            self._attempts.popleft()

    def _cost(self, attempt: Attempt) -> float:
        """What an attempt will cost; all there is if nobody knows, or if it must travel alone."""
        station = attempt.activation[1]
        if station.timeout_ns is not None or self._deaths_of(attempt):
            return AIM_NS
        return self._costs.get(station, AIM_NS)
