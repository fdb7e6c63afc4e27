"""Concurrent mode: handlers on threads, which start when they are first needed.

The driver knows nothing of jobs: it runs pieces of work. It is called from one thread at a time: whoever has
the engine's turn.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

Work: TypeAlias = "Callable[[Worker], None]"
"""Something to run on a worker, which it is given."""


class Worker(threading.Thread):
    """One thread. It is a daemon: a handler past its timeout cannot be stopped, and must not keep the program."""

    def __init__(self, number: int, inbox: queue.SimpleQueue[Work | None], name: str) -> None:
        super().__init__(name=f"{name}-{number}", daemon=True)
        self.number = number
        self.busy_with: object = None
        """The job whose handler runs here."""
        self._inbox = inbox

    def run(self) -> None:
        """Runs work until it is told that there is no more."""
        while (work := self._inbox.get()) is not None:
            work(self)
            del work  # or an idle thread would keep the last job alive


class ThreadDriver:
    """Up to `capacity` threads."""

    def __init__(self, max_workers: int | None, name: str) -> None:
        self.capacity = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._name = name
        self._inbox: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads: list[Worker] = []
        self._busy = 0
        self._lost: set[int] = set()

    @property
    def free(self) -> int:
        """How many more pieces of work could start now."""
        return self.capacity - self._busy

    def start(self, work: Work) -> None:
        """Runs `work` on a free worker, or on a new one."""
        self.claim()
        self._inbox.put(work)

    def claim(self) -> None:
        """A worker goes straight on with something; sees to it that there are threads enough for all."""
        self._busy += 1
        alive = len(self._threads) - len(self._lost)
        if self._busy > alive:
            worker = Worker(len(self._threads), self._inbox, self._name)
            try:
                worker.start()
            except RuntimeError:  # out of threads, or Python below 3.12.3 once the main thread has ended
                if alive == 0:
                    self._busy -= 1
                    raise
                self.capacity = alive
            else:
                self._threads.append(worker)

    def release(self) -> None:
        """A worker has nothing more to do."""
        self._busy -= 1

    def abandon(self, number: int) -> None:
        """A worker is lost to a handler past its timeout: another takes its place, so often as there are workers."""
        if len(self._lost) < self.capacity:
            self._lost.add(number)
            self._busy -= 1

    def regain(self, number: int) -> None:
        """A worker whose handler timed out has come back, and is free."""
        if number in self._lost:
            self._lost.discard(number)
        else:
            self._busy -= 1

    def close(self, *, wait: bool = True) -> None:
        """Lets every thread end, and waits for all but the lost ones; not for a worker itself to call."""
        for _ in self._threads:
            self._inbox.put(None)
        for worker in self._threads:
            if wait and worker.number not in self._lost:
                worker.join()
