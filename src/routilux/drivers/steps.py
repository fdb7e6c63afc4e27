"""Times each step of a runner's task, to name the handler that keeps an event loop from everybody else."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Generator
from typing import Any, Protocol

from routilux.drivers.port import Seat
from routilux.machine.delivery import Activation
from routilux.ports import Clock

logger = logging.getLogger("routilux")

LIMIT_NS = 100_000_000
"""A step that takes longer is reported: nothing else on the loop could run."""


class Position(Protocol):
    """What a runner is at."""

    seat: Seat
    activation: Activation


class Steps(Coroutine[Any, Any, None]):
    """A coroutine whose steps, from one wait to the next, are timed.

    A task cannot be asked how long its steps take, and a coroutine can be stepped by anybody; so the task steps
    this, and this the coroutine. It costs two looks at the clock for each time something waits.
    """

    __slots__ = ("_clock", "_coroutine", "_position", "_reported")

    def __init__(self, coroutine: Coroutine[Any, Any, None], position: Position, clock: Clock) -> None:
        self._coroutine = coroutine
        self._position = position
        self._clock = clock
        self._reported: set[str] = set()

    def send(self, value: Any) -> Any:
        began = self._clock.now()
        try:
            return self._coroutine.send(value)
        finally:
            self._look(self._clock.now() - began)

    def throw(self, *error: Any) -> Any:
        began = self._clock.now()
        try:
            return self._coroutine.throw(*error)
        finally:
            self._look(self._clock.now() - began)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, None]:
        return self._coroutine.__await__()

    def _look(self, took: int) -> None:
        if took > LIMIT_NS:
            station = self._position.activation[1]
            if station.routine_id not in self._reported:
                self._reported.add(station.routine_id)
                logger.warning(
                    "Flow %r, routine %r: its handler kept the event loop for %.0f ms, and nothing else on it could "
                    "run. Await what takes long, or make it a plain function, which runs on a thread.",
                    self._position.seat.course.origin.flow_id,
                    station.routine_id,
                    took / 1e6,
                )
