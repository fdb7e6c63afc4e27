"""An event loop for coroutines of programs that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

GRACE = 5.0
"""Seconds that handlers which were cancelled may take to end when their loop closes."""


class LoopThread:
    """An event loop on a thread of its own, which starts when it is first needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; it runs."""
        return self._loop or self._start()

    @property
    def ident(self) -> int | None:
        """The identity of its thread; it runs."""
        self._start()
        return None if self._thread is None else self._thread.ident

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine to its end while the calling thread waits."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self, *, wait: bool = True) -> None:
        """Ends the loop, and its thread; may be called again."""
        if self._loop is None or self._thread is None:
            return
        if not self._stopped:
            self._stopped = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        if wait and self._thread is not threading.current_thread():
            self._thread.join()

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=GRACE))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def told(loop: asyncio.AbstractEventLoop, action: Callable[..., object], *given: object) -> bool:
    """Has a loop do something, from any thread; says whether it will: the caller's may be closed by now."""
    try:
        loop.call_soon_threadsafe(action, *given)
    except RuntimeError:
        return False
    return True
