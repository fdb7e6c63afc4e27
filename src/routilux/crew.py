"""Which driver serves which execution mode. Modes that need more than threads are loaded by name, when first needed."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Mapping
from importlib import import_module
from typing import Any

from routilux.drivers.port import Driver, LocalHost
from routilux.drivers.threads import ThreadDriver
from routilux.ports import Clock
from routilux.execution_mode import ExecutionMode
from routilux.settings import Settings

LOADED: Mapping[ExecutionMode, tuple[str, str]] = {
    ExecutionMode.ASYNCIO: ("routilux.drivers.coroutines", "new_driver"),
    ExecutionMode.MULTIPROCESSING: ("routilux.drivers.processes.driver", "new_driver"),
    ExecutionMode.DISTRIBUTED: ("routilux.drivers.cluster.driver", "new_driver"),
}


def loaded(module: str, name: str) -> Any:
    """What a module that is not needed by every program has under a name."""
    return getattr(import_module(module), name)


class Crew:
    """Makes drivers with the settings of a job or of a flow's `with` block."""

    def __init__(self, settings: Settings, clock: Clock, name: str, loop: Any = None) -> None:
        """`loop`: the running event loop on which coroutines are to run; without one they get one of their own."""
        self._settings = settings
        self._clock = clock
        self._name = name
        self._loop = loop

    def __call__(self, mode: ExecutionMode, host: LocalHost) -> Driver:
        """The driver of a mode, which reports to `host`; nothing starts before it is needed."""
        workers = self._settings.workers_of(mode)
        match mode:
            case ExecutionMode.SEQUENTIAL:
                return ThreadDriver(host, self._clock, 1, f"{self._name}-sequential", mode)
            case ExecutionMode.CONCURRENT:
                return ThreadDriver(host, self._clock, workers or min(32, (os.cpu_count() or 1) + 4), self._name)
        new_driver = loaded(*LOADED[mode])
        driver: Driver = new_driver(host, self._clock, self._settings, self._name, self._loop)
        return driver


class Awaiting:
    """Runs coroutines to their end while a thread waits, on an event loop that starts when it is first needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: Any = None

    def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = loaded("routilux.drivers.coroutines", "LoopThread")(self._name)
        return self._loop.run(coroutine)

    def close(self) -> None:
        """Ends the loop, and its thread."""
        if self._loop is not None:
            self._loop.close()
