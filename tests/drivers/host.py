"""A host for tests of drivers: a very small engine that keeps every outcome."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextvars import copy_context
from typing import Any

from routilux.course import Course
from routilux.drivers.invoke import Invoker, Surroundings
from routilux.drivers.port import Driver, Host, Seat, Stopping
from routilux.facts import Origin, Settled
from routilux.flow import FlowDefinition
from routilux.limits import Limits
from routilux.machine.compile import compile_plan
from routilux.machine.delivery import Activation
from routilux.machine.machine import Machine
from routilux.machine.plan import Station
from routilux.settings import Settings

PATIENCE = 55
"""Seconds after which a test that waits has failed."""


def station_of(handler: Any, *names: str, flow_id: str = "test", **options: Any) -> Station:
    """The station of a flow that is one routine, which is given the slots `names`."""
    flow = FlowDefinition(flow_id)
    entry = flow.add_routine(handler, "it", **options)
    (station,) = compile_plan(flow, entry, names).stations
    return station


class Collector(Host):
    """Starts attempts as the driver has room, and keeps what comes of them."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.outcomes: dict[tuple[int, int], list[Settled]] = {}
        self.driver: Driver
        self._seats: dict[str, Seat] = {}
        self._waiting: deque[tuple[Seat, Activation, int]] = deque()
        self._started = 0
        self._ended = 0

    def seat(self, station: Station, job_id: str = "job", flow_id: str = "test") -> Seat:
        """The seat of a job; the same for the same id."""
        if job_id not in self._seats:
            flow = FlowDefinition(flow_id)
            entry = flow.add_routine(lambda: None, "it")
            origin, permits, plan = Origin(job_id, flow_id, 0), Limits().of_job(job_id), compile_plan(flow, entry, ())
            course = Course(Machine(plan, Settings(), origin, 1, permits), permits, origin, (), 0)
            invoker = Invoker(Surroundings(flow_id, job_id, course.states, course.is_over, lambda _: None))
            self._seats[job_id] = Seat(course, invoker, copy_context())
        return self._seats[job_id]

    def settle(self, seat: Seat, outcomes: Sequence[Settled]) -> None:
        with self.changed:
            for outcome in outcomes:
                self.outcomes.setdefault((outcome.activation_id, outcome.attempt), []).append(outcome)
                self._ended += 1
            self._fill()
            self.changed.notify_all()

    def look_again(self) -> None:
        with self.changed:
            self._fill()

    def start(
        self, station: Station, *arguments: Any, number: int = 0, skip: int = 0, job_id: str = "job"
    ) -> Activation:
        """Has one attempt run when there is room."""
        with self.changed:
            self._started += 1
            activation: Activation = (number or self._started, station, arguments, 0, 0, 1, None)
            self._waiting.append((self.seat(station, job_id), activation, skip))
            self._fill()
        return activation

    def start_all(self, station: Station, inputs: Sequence[Any]) -> list[Activation]:
        """Has one attempt run for each input, all of them known at once."""
        with self.changed:
            return [self.start(station, value) for value in inputs]

    def stop(self, station: Station, activation: Activation, job_id: str = "job") -> Stopping:
        """Takes an attempt back."""
        with self.changed:
            stopping = self.driver.stop(self.seat(station, job_id), activation)
            if stopping in (Stopping.NEVER_STARTED, Stopping.STOPPED):
                self._ended += 1
                self._fill()
            return stopping

    def wait(self) -> None:
        """Waits until everything started has ended."""
        with self.changed:
            assert self.changed.wait_for(lambda: self._ended >= self._started, PATIENCE)

    def values(self, station: Station, inputs: Sequence[Any]) -> list[Any]:
        """What came of one attempt for each input: the value that it emitted, or its error."""
        activations = self.start_all(station, inputs)
        self.wait()
        return [self.value(activation) for activation in activations]

    def value(self, activation: Activation) -> Any:
        """What came of an attempt: the value that it emitted, or its error."""
        (outcome,) = self.outcomes[activation[0], activation[5]]
        if outcome.error is not None:
            return outcome.error
        ((_, value),) = outcome.emissions
        return value

    def _fill(self) -> None:
        while self._waiting and self.driver.free > 0:
            self.driver.start(*self._waiting.popleft())
