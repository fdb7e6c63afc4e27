"""Threads of this process that ask generators for their values, because a cluster gives no hold on an open one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Pullers:
    """Up to `most` daemon threads, which start as they are needed."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._pending = 0
        self._counting = threading.Lock()

    def put(self, pull: Callable[[], None]) -> None:
        """Has a generator asked."""
        with self._counting:
            if self._pending >= len(self._threads) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
                thread.start()
                self._threads.append(thread)
            self._pending += 1
        self._inbox.put(pull)

    def close(self, *, wait: bool) -> None:
        """Lets every thread end after what it is doing."""
        for _ in self._threads:
            self._inbox.put(None)
        for thread in self._threads:
            if wait and thread is not threading.current_thread():
                thread.join()

    def _run(self) -> None:
        while (pull := self._inbox.get()) is not None:
            pull()
            del pull  # or an idle thread would keep the last job alive
            with self._counting:
                self._pending -= 1
