"""A snapshot: where a machine stands, as plain values that can be written down, so that its facts need not be kept.

It is what `Replay` needs of the past: which worker took what, and when, is not in it, as it is not among the facts.
Stations are called by the routine and the slots that they have, scopes by number, and users' values are as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from routilux.facts import Failure
from routilux.machine.delivery import Activation, Misfire
from routilux.machine.fanouts import Progress
from routilux.machine.gates import Gate, Message
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan, Station
from routilux.machine.scopes import Path, Place, Scope
from routilux.machine.timers import Alarm

Name: TypeAlias = tuple[str, ...]
"""Of a station: its routine, and the slots whose messages make its arguments."""

Spot: TypeAlias = tuple[int, Path] | None
"""A place: the number of its scope, and its path."""


class Standing(NamedTuple):
    """An activation that is not over."""

    number: int
    station: int
    """Where in `Snapshot.stations` the name of its station is, as for all that follows."""
    arguments: Sequence[Any]
    cause: int
    fired: int
    attempt: int
    spot: Spot = None


class Parked(NamedTuple):
    """A message that waits in a slot."""

    position: int
    value: Any
    cause: int
    spot: Spot = None


class Parking(NamedTuple):
    """A gate."""

    station: int
    generation: int
    held: Mapping[int, Any]
    messages: Sequence[Parked]
    hoarded: Sequence[Any]


class Item(NamedTuple):
    """Something that is gathered."""

    path: Path
    arrival: int
    value: Any
    cause: int


class Open(NamedTuple):
    """A scope."""

    opener: str | None
    number: int
    outer: Spot
    """In a scope before it in the list."""
    live: int
    buffers: Mapping[int, Sequence[Item]]
    served: Sequence[int]


class Given(NamedTuple):
    """How far an activation has got that emits in parts."""

    number: int
    yields: int
    emissions: int
    scope: int | None


class Snapshot(NamedTuple):
    """Where a machine stands."""

    stations: Sequence[Name]
    fired: int
    paused: bool
    standing: Sequence[Standing]
    """What runs, is ready, or is an open generator, in the order in which it would be its turn."""
    retries: Sequence[tuple[int, Standing]]
    """With the moments of their next attempts."""
    batches: Sequence[tuple[int, int]]
    """When batches are handed over though they are short: moments and stations."""
    due: int | None
    """When the job takes too long."""
    given: Sequence[Given]
    parking: Sequence[Parking]
    scopes: Sequence[Open]
    left: Sequence[tuple[str, str, Any]]
    crashes: Mapping[int, int]
    forgiven: Mapping[int, int]
    errors: Sequence[Failure]
    error_count: int
    late: int


def values_in(machine: Machine) -> int:
    """How many values would be in its snapshot, about."""
    delivery = machine.delivery
    values = machine.admission.pending + len(machine.running) + len(delivery.left)
    return values + sum(sum(gate.parked().values()) for gate in delivery.gates)


def is_simple(machine: Machine) -> bool:
    """Whether all that matters of it can be written down."""
    delivery = machine.delivery
    if not machine.started or machine.done or machine.end is not None or machine.streaming:
        return False
    if machine.ledger.recorded is not None or delivery.misfires or delivery.new_batches:
        return False
    if not all(gate.is_simple for gate in delivery.gates):
        return False
    return not any(one[1].folded for queue in machine.queues.values() for one in queue.ready)


def take(machine: Machine) -> Snapshot:
    """The snapshot of a machine that is simple."""
    return _Taking(machine).snapshot()


def restore(machine: Machine, snapshot: Snapshot, moment: int) -> None:
    """Has a fresh machine stand where the other stood at a moment; raises `KeyError` where it has no such station.

    What waited for a partner by a key that cannot be read any more fails.
    """
    _Restoring(machine, snapshot).restore()
    machine.after_delivery(moment)


def name_of(plan: Plan, index: int) -> Name:
    """What the station of an index is called."""
    station = plan.stations[index]
    return station.routine_id, *station.names


class _Taking:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._scopes: dict[Scope, int] = {}
        self._open: list[Open] = []

    def snapshot(self) -> Snapshot:
        machine = self._machine
        delivery, failures, ledger = machine.delivery, machine.failures, machine.ledger
        timers = sorted(machine.timers.heap, key=lambda one: one[:2])
        if delivery.root is not None:
            self._number(delivery.root[0])
        return Snapshot(
            [name_of(machine.plan, index) for index in range(len(machine.plan.stations))],
            delivery.fired,
            machine.paused,
            [self._standing(one) for one in self._unfinished()],
            [(due, self._standing(subject)) for due, _, alarm, subject in timers if alarm is Alarm.RETRY],
            [
                (due, subject[0].station.index)
                for due, _, alarm, subject in timers
                if alarm is Alarm.BATCH and machine.is_live(alarm, subject)
            ],
            next((due for due, _, alarm, _ in timers if alarm is Alarm.JOB), None),
            [
                Given(number, one.yields, one.emissions, None if one.scope is None else self._number(one.scope))
                for number, one in machine.fan_outs.open.items()
            ],
            [self._parking(gate) for gate in delivery.gates],
            self._open,
            list(delivery.left),
            dict(failures.crashes),
            dict(failures.forgiven),
            list(ledger.errors),
            ledger.error_count,
            ledger.late,
        )

    def _unfinished(self) -> Iterator[Activation]:
        machine = self._machine
        lanes = machine.admission.lanes.values()
        offered = [lane.offered for lane in lanes if lane.offered is not None]
        yield from machine.running.values()
        yield from offered
        for lane in lanes:
            yield from lane.waiting
        for queue in machine.queues.values():
            yield from (one for one in queue.ready if not any(one is other for other in offered))
        for queue in machine.queues.values():
            yield from (one for _, one in sorted(queue.suspended, key=lambda one: one[0]))

    def _standing(self, activation: Activation) -> Standing:
        number, station, arguments, cause, fired, attempt, place = activation
        return Standing(number, station.index, arguments, cause, fired, attempt, self._spot(place))

    def _parking(self, gate: Gate) -> Parking:
        messages = [Parked(position, one.value, one.cause, self._spot(one.place)) for position, one in gate.waiting()]
        return Parking(gate.station.index, gate.generation, dict(gate.held), messages, list(gate.hoarded))

    def _spot(self, place: Place | None) -> Spot:
        return None if place is None else (self._number(place[0]), place[1])

    def _number(self, scope: Scope) -> int:
        unnumbered: list[Scope] = []
        around: Scope | None = scope
        while around is not None and around not in self._scopes:
            unnumbered.append(around)
            around = None if around.outer is None else around.outer[0]
        for one in reversed(unnumbered):
            outer = None if one.outer is None else (self._scopes[one.outer[0]], one.outer[1])
            self._scopes[one] = len(self._scopes)
            buffers = {station: [Item(*item) for item in items] for station, items in one.buffers.items()}
            self._open.append(Open(one.opener, one.number, outer, one.live, buffers, sorted(one.served)))
        return self._scopes[scope]


class _Restoring:
    def __init__(self, machine: Machine, snapshot: Snapshot) -> None:
        self._machine = machine
        self._snapshot = snapshot
        self._known = {name_of(machine.plan, station.index): station for station in machine.plan.stations}
        self._scopes: list[Scope] = []

    def restore(self) -> None:
        machine, snapshot, delivery = self._machine, self._snapshot, self._machine.delivery
        machine.started, machine.paused = True, snapshot.paused
        delivery.fired = snapshot.fired
        for scope in snapshot.scopes:
            self._scopes.append(self._scope(scope))
        if delivery.root is not None:
            delivery.root = self._scopes[0], ()
        for parking in snapshot.parking:
            self._park(parking)
        for number, yields, emissions, within in snapshot.given:
            progress = machine.fan_outs.open[number] = Progress(None if within is None else self._scopes[within])
            progress.yields, progress.emissions = yields, emissions
        for standing in snapshot.standing:
            delivery.admit(self._activation(standing))
        if snapshot.due is not None:
            machine.timers.set(snapshot.due, Alarm.JOB, None)
        for due, standing in snapshot.retries:
            machine.timers.set(due, Alarm.RETRY, self._activation(standing))
        for due, index in snapshot.batches:
            gate = delivery.gate_of(self._station(index))
            machine.timers.set(due, Alarm.BATCH, (gate, gate.generation))
        delivery.left.extend(snapshot.left)
        machine.failures.crashes.update(snapshot.crashes)
        machine.failures.forgiven.update(snapshot.forgiven)
        ledger = machine.ledger
        ledger.errors.extend(snapshot.errors)
        ledger.error_count, ledger.late = snapshot.error_count, snapshot.late

    def _station(self, index: int) -> Station:
        return self._known[self._snapshot.stations[index]]

    def _activation(self, standing: Standing) -> Activation:
        number, index, arguments, cause, fired, attempt, spot = standing
        return number, self._station(index), tuple(arguments), cause, fired, attempt, self._place(spot)

    def _place(self, spot: Spot) -> Place | None:
        return None if spot is None else (self._scopes[spot[0]], spot[1])

    def _scope(self, opened: Open) -> Scope:
        scope = Scope(opened.opener, opened.number, self._place(opened.outer))
        scope.live = opened.live
        for index, items in opened.buffers.items():
            scope.buffers[self._station(index).index] = [tuple(item) for item in items]
        scope.served.update(self._station(index).index for index in opened.served)
        return scope

    def _park(self, parking: Parking) -> None:
        if not (parking.generation or parking.held or parking.messages or parking.hoarded):
            return
        delivery = self._machine.delivery
        gate = delivery.gate_of(self._station(parking.station))
        gate.resume(parking.generation, parking.held, parking.hoarded)
        for position, value, cause, spot in parking.messages:
            place = self._place(spot)
            broken = gate.put(position, Message(value, cause, place))
            if broken is not None:
                if place is not None:
                    place[0].live -= 1
                delivery.misfires.append(Misfire(gate.station, broken, cause, place))
