"""Handlers on threads, which start when they are first needed: concurrent mode, and with one of them sequential."""

from __future__ import annotations

import os
import queue
import threading
from typing import TypeAlias

from routilux.drivers.port import Abilities, Following, LocalDriver, LocalHost, Seat, Stopping
from routilux.execution_mode import ExecutionMode
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.ports import Clock

Work: TypeAlias = tuple[Seat, Activation]
Run: TypeAlias = tuple[str, int, int]
"""Job, activation, attempt."""


class Worker(threading.Thread):
    """One thread. It is a daemon: a handler past its timeout cannot be stopped, and must not keep the program."""

    def __init__(self, number: int, driver: ThreadDriver, inbox: queue.SimpleQueue[Work | None], name: str) -> None:
        super().__init__(name=f"{name}-{number}", daemon=True)
        self.number = number
        self.busy_with: object = None
        """The job whose handler runs here."""
        self.driver = driver
        self._inbox = inbox

    def run(self) -> None:
        """Runs work until it is told that there is no more."""
        while (following := self._inbox.get()) is not None:
            while following is not None:
                self.busy_with = following[0].course
                following = following[0].context.copy().run(self.driver.perform, *following, self)
            self.busy_with = None


class ThreadDriver(LocalDriver):
    """Up to so many threads."""

    abilities = Abilities(stops=False, same_memory=True)

    def __init__(
        self,
        host: LocalHost,
        clock: Clock,
        max_workers: int | None,
        name: str,
        mode: ExecutionMode = ExecutionMode.CONCURRENT,
    ) -> None:
        self.mode = mode
        self._host = host
        self._clock = clock
        self.workers = self.hired = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._name = name
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads: list[Worker] = []
        self._busy = 0
        self._performed_by: dict[Run, Worker] = {}
        """Of the attempts that have a timeout and whose handlers run."""
        self._lost: set[Worker] = set()
        """The threads whose handlers run on past their timeout; others have taken their place."""

    @property
    def free(self) -> int:
        return self.workers - self._busy

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        self.claim()
        self._inbox.put((seat, activation))

    def claim(self) -> None:
        self._busy += 1
        alive = len(self._threads) - len(self._lost)
        if self._busy > alive:
            worker = Worker(len(self._threads), self, self._inbox, self._name)
            try:
                worker.start()
            except RuntimeError:  # out of threads, or Python below 3.12.3 once the main thread has ended
                if alive == 0:
                    self._busy -= 1
                    raise
                self.workers = alive
            else:
                self._threads.append(worker)

    def release(self, seat: Seat, outcome: Settled | None) -> None:
        worker = None if outcome is None else self._performed_by.pop(_run(seat, outcome[0], outcome[1]), None)
        if worker in self._lost:
            self._lost.discard(worker)
        else:
            self._busy -= 1

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        worker = self._performed_by.get(_run(seat, activation[0], activation[5]))
        if worker is not None and len(self._lost) < self.workers:
            self._lost.add(worker)
            self._busy -= 1
        return Stopping.RUNS_ON

    def change_capacity(self, change: int) -> None:
        self.workers += change

    def close(self, *, wait: bool = True) -> None:
        for _ in self._threads:
            self._inbox.put(None)
        for worker in self._threads:
            if wait and worker not in self._lost:
                worker.join()

    def perform(self, seat: Seat, activation: Activation, worker: Worker) -> Following:
        """Runs an activation on a worker, and then what it can go straight on with of the same job.

        Gives what the worker does next of another job.
        """
        now, host, first = self._clock.now, self._host, seat
        following: Following = (seat, activation)
        while following is not None and following[0] is first:
            activation = following[1]
            station = activation[1]
            generator = seat.invoker.pulls.get(activation[0]) if station.pulled else None
            if station.plain or generator is not None:
                began = now()
                try:
                    value = station.call(*activation[2]) if generator is None else next(generator)
                except BaseException as error:
                    outcome = _raised(seat, activation, error, began, now(), worker)
                else:
                    following = host.returned(self, seat, activation, value, began, now(), worker.number)
                    continue
            else:
                outcome = self._invoke(seat, activation, worker)
            following = host.settled(self, seat, outcome)
        return following

    def _invoke(self, seat: Seat, activation: Activation, worker: Worker) -> Settled:
        """Runs an activation that needs more than a call: a context, a generator, a limit."""
        now, number, attempt = self._clock.now, activation[0], activation[5]
        machine = seat.course.machine
        if activation[1].timeout_ns is not None:
            self._performed_by[_run(seat, number, attempt)] = worker
            if machine.running.get(number) is not activation:
                # It timed out before it began: `stop` may have come too early to find it, so it must not begin.
                return Settled(number, attempt, now(), now(), worker.number, stopped=True)
        skip = machine.fan_outs.yields_of(number) if activation[1].is_generator else 0
        began = now()
        emissions, error, more, measured, statements = seat.invoker(activation, skip)
        ended = now()
        settled = Settled(number, attempt, began, ended, worker.number, emissions, error, more, measured=measured)
        return settled._replace(statements=statements) if statements else settled


def _run(seat: Seat, number: int, attempt: int) -> Run:
    return seat.course.origin.job_id, number, attempt


def _raised(
    seat: Seat, activation: Activation, error: BaseException, began: int, ended: int, worker: Worker
) -> Settled:
    """The fact that a handler raised; from a generator that is pulled, StopIteration is its end and no failure."""
    failure: BaseException | None = error
    if activation[1].pulled:
        seat.invoker.forget(activation)
        failure = None if isinstance(error, StopIteration) else error
    return Settled(activation[0], activation[5], began, ended, worker.number, (), failure)
