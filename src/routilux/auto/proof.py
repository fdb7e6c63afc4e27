"""The proof that a job can go on in other processes: what would be sent is pickled, and read back, before it is.

Nothing is run for it: the handlers, and what waits in the job's slots at that moment or was put there in between.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from itertools import islice
from time import perf_counter
from typing import Any

from routilux.drivers.far import pack, pack_code, recipe_of
from routilux.execution_mode import ExecutionMode
from routilux.guard import guarded, text_of
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan, Station
from routilux.tuning.sending import Sending

LOOKS = 32
"""So many activations in a row are tried with what they are about to be given."""

MOST = 100
"""So much is tried of what waits in one place."""

NOTHING_TO_SEND = "all its routines are generators, or say where they run"


class Proof:
    """Of one job."""

    def __init__(self, machine: Machine, plan: Plan, states: Mapping[str, Mapping[str, Any]]) -> None:
        """`plan` is the one for processes, `states` what routines keep."""
        self._machine = machine
        self._plan = plan
        self._states = states
        self._away = {one.routine_id for one in plan.stations if one.mode is ExecutionMode.MULTIPROCESSING}
        self._refusal = None if self._away else NOTHING_TO_SEND
        self._looks, self._tried, self._seconds = 0, 0, 0.0
        self._try_handlers()

    @property
    def done(self) -> bool:
        """Whether enough was tried, or something cannot be sent."""
        return self._refusal is not None or self._looks >= LOOKS

    def look(self) -> None:
        """Tries what the next activation is given; at last also what waits elsewhere."""
        self._looks += 1
        for _, station, arguments, *_ in islice(self._machine.ready, 1):
            self._try_arguments(station, arguments)
        if self.done:
            self._try_slots()

    @property
    def sending(self) -> Sending:
        """What came of it."""
        return Sending(self._refusal, self._seconds / max(1, self._tried))

    def _try_handlers(self) -> None:
        for station in self._plan.stations:
            if station.routine_id in self._away:
                self._refuse(station.routine_id, guarded(pack_code, recipe_of(self._plan.flow_id, station))[1])

    def _try_slots(self) -> None:
        machine = self._machine
        for _, station, arguments, *_ in islice(machine.ready, MOST):
            self._try_arguments(station, arguments)
        for gate in machine.delivery.gates:
            for value in islice(gate.values(), MOST):
                self._try_arguments(gate.station, (value,))
        for routine_id, value in self._left():
            if routine_id in self._away:
                self._try(routine_id, value)
        for routine_id, state in self._states.items():
            if routine_id in self._away:
                self._try(routine_id, dict(state))

    def _left(self) -> Iterator[tuple[str, Any]]:
        """What has left the flow last."""
        return ((one[0], one[2]) for one in islice(reversed(self._machine.delivery.left), MOST))

    def _try_arguments(self, station: Station, arguments: tuple[Any, ...]) -> None:
        feeders = (self._plan.feeders.get((station.index, slot), ()) for slot in range(len(station.names)))
        if station.routine_id in self._away or any(not self._away.isdisjoint(some) for some in feeders):
            self._try(station.routine_id, arguments)

    def _try(self, routine_id: str, value: Any) -> None:
        before = perf_counter()
        broken = guarded(_there_and_back, value)[1]
        self._seconds += perf_counter() - before
        self._tried += 1
        self._refuse(routine_id, broken)

    def _refuse(self, routine_id: str, broken: Exception | None) -> None:
        if broken is not None and self._refusal is None:
            self._refusal = f"{routine_id!r} cannot be sent: {type(broken).__name__}: {text_of(broken)}"


def first_messages(plan: Plan, messages: Mapping[str, Any]) -> Sending:
    """Whether what a job begins with can be sent."""
    for station in plan.entries:
        broken = guarded(_there_and_back, dict(messages))[1]
        if broken is not None and station.mode is ExecutionMode.MULTIPROCESSING:
            return Sending(f"{station.routine_id!r} cannot be sent: {type(broken).__name__}: {text_of(broken)}")
    return Sending()


def _there_and_back(value: Any) -> None:
    pickle.loads(pack(value))
