"""The crew: which driver serves which execution mode. Those of modes that few programs need are loaded by name."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from routilux.course import Course
from routilux.drivers.port import Driver, LocalHost
from routilux.drivers.threads import ThreadDriver
from routilux.execution_mode import ExecutionMode
from routilux.loading import loaded
from routilux.ports import Clock
from routilux.settings import Settings

NONE_SAID: Mapping[ExecutionMode, int] = MappingProxyType({})


class Crew:
    """The drivers of one engine, made with the settings of a job or of a flow's block when they are first needed."""

    def __init__(self, settings: Settings, clock: Clock, name: str, loop: Any = None) -> None:
        """`loop`: the running event loop on which coroutines are to run; without one they get one of their own."""
        self._settings = settings
        self._clock = clock
        self._name = name
        self._loop = loop
        self._drivers: dict[ExecutionMode, Driver] = {}
        self._all: tuple[Driver, ...] = ()

    def equip(
        self,
        modes: Iterable[ExecutionMode],
        home: ExecutionMode,
        host: LocalHost,
        workers: Mapping[ExecutionMode, int] = NONE_SAID,
    ) -> None:
        """Sees to it that there is a driver for each of the modes of a job whose own is `home`; starts no worker.

        The drivers report to `host`. Those of modes in `workers` have so many, the others what the settings say.
        """
        for mode in modes:
            if mode not in self._drivers:
                count = workers.get(mode) or self._settings.workers_of(mode, home)
                self._drivers[mode] = self._new_driver(mode, count, host)
                self._all = tuple(self._drivers.values())

    def workers(self, mode: ExecutionMode) -> int:
        """How many handlers run at once in a mode."""
        return self._drivers[mode].workers

    def window(self, modes: Iterable[ExecutionMode]) -> int:
        """How many activations that are ready are enough for a job whose routines run in these modes."""
        return sum(self._drivers[mode].window for mode in modes)

    @property
    def loops(self) -> set[int]:
        """The threads whose event loops handlers run on."""
        return {driver.ident for driver in self if driver.ident is not None}

    @property
    def tasks(self) -> list[Any]:
        """What is still under way on event loops."""
        return [task for driver in self for task in driver.tasks]

    @property
    def only_coroutines(self) -> bool:
        """Whether nothing but an event loop is needed."""
        return self._drivers.keys() <= {ExecutionMode.ASYNCIO}

    def close(self, *, wait: bool = True) -> None:
        """Ends all workers."""
        for driver in self:
            driver.close(wait=wait)

    def __getitem__(self, mode: ExecutionMode) -> Driver:
        return self._drivers[mode]

    def __iter__(self) -> Iterator[Driver]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def _new_driver(self, mode: ExecutionMode, workers: int | None, host: LocalHost) -> Driver:
        driver: Driver
        match mode:
            case ExecutionMode.SEQUENTIAL:
                driver = ThreadDriver(host, self._clock, 1, f"{self._name}-sequential", mode)
            case ExecutionMode.CONCURRENT:
                driver = ThreadDriver(host, self._clock, workers, self._name)
            case ExecutionMode.ASYNCIO:
                new_driver = loaded("routilux.drivers.coroutines", "AsyncioDriver")
                driver = new_driver(host, self._clock, workers, self._name, self._loop)
            case ExecutionMode.MULTIPROCESSING:
                new_driver = loaded("routilux.drivers.processes.driver", "ProcessDriver")
                driver = new_driver(host, self._clock, workers, self._name)
            case ExecutionMode.DISTRIBUTED:
                new_driver = loaded("routilux.drivers.cluster.driver", "new_driver")
                driver = new_driver(host, self._clock, self._settings, workers, self._name)
        return driver


class Awaiting:
    """Runs coroutines of a job while a thread waits, on an event loop that starts when it is first needed."""

    def __init__(self, course: Course) -> None:
        """The loop ends with the job whose course this is."""
        self._course = course
        self._loop: Any = None

    def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            name = f"routilux-{self._course.origin.flow_id}-loop"
            self._loop = loaded("routilux.drivers.loop_thread", "LoopThread")(name)
            self._course.when_finished.append(lambda _: self._loop.close())
            self._course.loop_thread = self._loop.ident
        return self._loop.run(coroutine)
