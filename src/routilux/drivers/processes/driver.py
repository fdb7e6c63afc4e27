"""Multiprocessing mode: handlers in processes of their own, which start when they are first needed.

::

    engine --start--> desk <--fetch-- worker's thread --order--> worker's process
                                            ^                          |
                          host <--settle----+------ board <--outcome---+

A process that dies takes with it only the attempt that it was running: what it had done stands on its board, which it
does not take along, and what it had not begun goes back to the desk.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from routilux.drivers.lesson import refuse_while_reading
from routilux.drivers.port import Abilities, Driver, Host, Seat, Stopping
from routilux.drivers.processes.desk import Desk
from routilux.drivers.processes.errand import Errand
from routilux.drivers.processes.pace import Pace
from routilux.drivers.processes.segments import make_folders, remove_folders
from routilux.drivers.processes.spawn import FAREWELL_SECONDS
from routilux.drivers.processes.worker import Worker
from routilux.errors import WorkerLostError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Settled
from routilux.machine.delivery import Activation
from routilux.machine.plan import Station
from routilux.ports import Clock


class ProcessDriver(Driver):
    """Up to `max_workers` processes, by default one for each processor."""

    mode = ExecutionMode.MULTIPROCESSING
    abilities = Abilities(stops=True, same_memory=False)
    elastic = True

    def __init__(self, host: Host, clock: Clock, max_workers: int | None, name: str) -> None:
        refuse_while_reading()
        self._host = host
        self._clock = clock
        self._name = name
        self.workers = max_workers or os.cpu_count() or 1
        self._desk = Desk(self.workers, clock.now)
        self._paces: dict[Station, Pace] = {}
        self._workers: list[Worker] = []
        self._folders, marks = make_folders()
        self._leave_nothing = weakref.finalize(self, _leave_nothing, self._desk, self._folders, marks, os.getpid())
        self._closing: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        return self._desk.load.free

    @property
    def window(self) -> int:
        return self._desk.load.window

    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        station = activation[1]
        pace = self._paces.get(station)
        if pace is None:
            pace = self._paces[station] = Pace(len(self._paces), station)
        errand = Errand(seat, activation, skip, pace)
        self._desk.add(errand)
        if self._desk.wants_worker:
            try:
                self._hire()
            except RuntimeError:
                if not self._workers:
                    self._desk.withdraw(errand)
                    raise
                self.workers = len(self._workers)

    def began(self, seat: Seat, activation: Activation) -> int | None:
        errand = self._desk.errands.get((seat, activation[0], activation[5]))
        if errand is None:
            return 0
        batch = errand.batch
        return None if batch is None else batch.sent

    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        return self._desk.stop((seat, activation[0], activation[5]))

    def warn(self, seat: Seat, activation: Activation) -> None:
        self._desk.cancel((seat, activation[0], activation[5]))

    def forget(self, seat: Seat) -> None:
        self._desk.forget(seat)

    def close(self, *, wait: bool = True) -> None:
        with self._lock:
            if self._closing is None:
                self._desk.close()
                self._closing = threading.Thread(target=self._end, name=f"{self._name}-closing", daemon=True)
                try:
                    self._closing.start()
                except RuntimeError:  # the program ends, and no thread can be started
                    self._end()
                    return
        if wait and self._closing.ident is not None:
            self._closing.join()

    def _hire(self) -> None:
        offset_ns = self._clock.now() - time.perf_counter_ns()
        worker = Worker(self._host, self._desk, self._folders, offset_ns, self._name)
        try:
            worker.start()
        except RuntimeError:
            self._desk.dismiss(worker.post)
            raise
        self._workers.append(worker)

    def _end(self) -> None:
        """Waits for the workers, some of them not for long."""
        patience = time.monotonic() + FAREWELL_SECONDS
        for worker in self._workers:
            worker.join(max(0.0, patience - time.monotonic()))
        for worker in self._workers:
            while worker.is_alive():
                worker.post.kill()
                worker.join(FAREWELL_SECONDS)
        for errand in self._desk.take_all():
            self._host.settle(errand.seat, [self._closed(errand)])
        self._leave_nothing()

    def _closed(self, errand: Errand) -> Settled:
        moment = self._clock.now()
        error = WorkerLostError(
            f"Flow {errand.seat.course.origin.flow_id!r}, routine {errand.pace.station.routine_id!r}: its workers were "
            "ended before it could run."
        )
        return Settled(errand.activation[0], errand.activation[5], moment, moment, 0, (), error)


def _leave_nothing(desk: Desk, folders: Sequence[Path], marks: Sequence[int], owner: int) -> None:
    """Removes a driver's folders, also of one that was never closed; in a fork of its process, nothing is."""
    if os.getpid() == owner:
        desk.close()
        remove_folders(folders)
        for mark in marks:
            os.close(mark)
