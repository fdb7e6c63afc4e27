"""Times each step of a runner's task, to name the handler that keeps an event loop from everybody else."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Generator
from typing import Any, Protocol

from routilux.machine.delivery import Activation
from routilux.ports import Clock

logger = logging.getLogger("routilux")

LIMIT_NS = 100_000_000
"""A step that takes longer is reported: nothing else on the loop could run."""


class Position(Protocol):
    """What a runner is at."""

    activation: Activation


class Steps(Coroutine[Any, Any, None]):
    """A coroutine whose steps, from one wait to the next, are timed.

    A task cannot be asked how long its steps take, and a coroutine can be stepped by anybody; so the task steps
    this, and this the coroutine. It costs two looks at the clock for each time something waits.
    """

    __slots__ = ("_now", "_position", "_send", "_throw", "_whole")

    def __init__(self, whole: Coroutine[Any, Any, None], position: Position, clock: Clock) -> None:
        self._whole = whole
        self._send = whole.send
        self._throw = whole.throw
        self._position = position
        self._now = clock.now

    def send(self, value: Any) -> Any:
        began = self._now()
        try:
            return self._send(value)
        finally:
            if self._now() - began > LIMIT_NS:
                self._report(self._now() - began)

    def throw(self, *error: Any) -> Any:
        began = self._now()
        try:
            return self._throw(*error)
        finally:
            if self._now() - began > LIMIT_NS:
                self._report(self._now() - began)

    def close(self) -> None:
        self._whole.close()

    def __await__(self) -> Generator[Any, None, None]:
        return self._whole.__await__()

    def _report(self, took: int) -> None:
        logger.warning(
            "Routine %r: its handler kept the event loop for %.0f ms, and nothing else on it could run. Await what "
            "takes long, or make it a plain function, which runs on a thread.",
            self._position.activation[1].routine_id,
            took / 1e6,
        )
