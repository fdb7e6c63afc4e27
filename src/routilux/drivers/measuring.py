"""Measures handlers of a recorded job where they are called: their CPU time, and who runs them.

A coroutine shares its thread with others, so what counts is the CPU time of its steps, from one wait to the next.
"""

from __future__ import annotations

import threading
import types
from collections import Counter
from collections.abc import Coroutine, Generator
from typing import Any

from routilux.drivers.invoke import Invoker, Outcome, Surroundings
from routilux.facts import Measured
from routilux.machine.delivery import Activation
from routilux.signals.cpu import cpu_stamp
from routilux.signals.probe import Probe, Watched

MOST_SAMPLED = 1024
"""Of a routine's first so many activations, those whose number is a power of two are kept to be weighed."""


class Meter:
    """What was measured of one job in this process, beside CPU time."""

    def __init__(self, probe: Probe) -> None:
        self.samples: dict[str, list[tuple[Any, ...]]] = {}
        """By routine: what some of its handlers were given."""
        self._probe = probe
        self._local = threading.local()
        self._counts: Counter[str] = Counter()

    def here(self) -> Watched:
        """The calling thread, as the probe sees it."""
        watched: Watched | None = getattr(self._local, "watched", None)
        if watched is None:
            watched = self._local.watched = self._probe.watch()
        return watched

    def sample(self, activation: Activation) -> None:
        """Keeps what a handler is given, now and then."""
        routine_id = activation[1].routine_id
        self._counts[routine_id] = count = self._counts[routine_id] + 1
        if count <= MOST_SAMPLED and not count & (count - 1):
            self.samples.setdefault(routine_id, []).append(activation[2])


class MeasuringInvoker(Invoker):
    """As any, and measures."""

    def __init__(self, surroundings: Surroundings, meter: Meter) -> None:
        super().__init__(surroundings)
        self._meter = meter

    def __call__(self, activation: Activation, skip: int = 0) -> Outcome:
        if activation[1].is_async:
            return super().__call__(activation, skip)
        self._meter.sample(activation)
        watched = self._meter.here()
        watched.enter(activation[1].routine_id)
        before = cpu_stamp()
        outcome = super().__call__(activation, skip)
        used = cpu_stamp() - before
        watched.leave()
        return outcome._replace(measured=Measured(used))

    async def awaited(self, activation: Activation, skip: int = 0) -> Outcome:
        self._meter.sample(activation)
        steps = _Steps(self._meter.here(), activation[1].routine_id)
        outcome = await steps.of(super().awaited(activation, skip))
        return outcome._replace(measured=Measured(steps.used))


class _Steps:
    """Steps a coroutine, and adds up the CPU time that its steps take."""

    def __init__(self, watched: Watched, routine_id: str) -> None:
        self.used = 0
        self._watched = watched
        self._routine_id = routine_id

    @types.coroutine
    def of(self, whole: Coroutine[Any, Any, Outcome]) -> Generator[Any, Any, Outcome]:
        value, thrown = None, None
        while True:
            self._watched.enter(self._routine_id)
            before = cpu_stamp()
            try:
                awaited = whole.send(value) if thrown is None else whole.throw(thrown)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            finally:
                self.used += cpu_stamp() - before
                self._watched.leave()
            try:
                value, thrown = (yield awaited), None
            except BaseException as error:
                value, thrown = None, error
