"""Delivery: where emissions go, and what fires when they arrive.

Holds what waits in one job: messages in gates, scopes, and activations that are ready. It decides nothing
about failures: what goes wrong on the way is left in `misfires` and `trouble` for the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from routilux.errors import ActivationLimitError, ParkedLimitError
from routilux.execution_mode import ExecutionMode
from routilux.firing import Collect, First
from routilux.guard import guarded
from routilux.machine.gates import AllGate, BatchGate, CollectGate, Firing, FlushingGate, Gate, Message, make_gate
from routilux.machine.plan import Plan, Station, Target
from routilux.machine.scopes import Place, Scope, common, opened_by
from routilux.slots import ERROR

Activation: TypeAlias = tuple[
    int,  # id: counted from 1
    Station,
    tuple[Any, ...],  # arguments
    int,  # cause: id of the activation whose emission completed the inputs; 0 for the entry
    int,  # fired: moment
    int,  # attempt, from 1
    Place | None,  # in flows that gather: the scope it is live in
]
"""One firing of one handler; a bare tuple, because making one is most of what a firing costs."""


NO_LIMIT = 1 << 60


class Misfire(NamedTuple):
    """A message that could not be handed on: the target's rule or field could not be read of it."""

    station: Station
    error: Exception
    cause: int
    place: Place | None


class Queue:
    """What may start in one mode."""

    __slots__ = ("folded", "ready", "suspended")

    def __init__(self) -> None:
        self.ready: deque[Activation] = deque()
        self.folded = 0
        """How many more are ready than that: of each page of activations, all but one."""
        self.suspended: list[tuple[int, Activation]] = []
        """The open generators that nobody is asking for a value now: a heap, the youngest first."""

    def __bool__(self) -> bool:
        return bool(self.ready or self.suspended)

    def clear(self) -> None:
        """Forgets all of it."""
        self.ready.clear()
        self.suspended.clear()
        self.folded = 0


class Delivery:
    """Takes emissions to the slots they are connected to, and fires what then can fire."""

    __slots__ = (
        "_gates",
        "_max_parked",
        "contributors",
        "left",
        "max_activations",
        "misfires",
        "new_batches",
        "plan",
        "queues",
        "ready",
        "fired",
        "root",
        "trouble",
    )

    def __init__(self, plan: Plan, max_activations: int | None, max_parked: int | None) -> None:
        self.plan = plan
        self._gates: dict[int, Gate] = {}
        for station in plan.flushing:
            self.gate_of(station)
        self._max_parked = NO_LIMIT if max_parked is None else max_parked
        self.max_activations = NO_LIMIT if max_activations is None else max_activations
        self.queues: dict[ExecutionMode, Queue] = {mode: Queue() for mode in plan.modes}
        self.ready = self.queues[plan.mode].ready
        """What may start in the job's own mode."""
        self.fired = 0
        """How many activations have fired; the last one's id."""
        self.left: deque[tuple[str, str, Any]] = deque()
        """What left the flow: routine id, event, value."""
        self.misfires: list[Misfire] = []
        self.trouble: ActivationLimitError | ParkedLimitError | None = None
        """What makes it impossible to go on."""
        self.contributors: dict[int, tuple[int, ...]] | None = None
        """Of a recorded job, by activation: all whose emissions it was handed, where these are several."""
        self.new_batches: list[BatchGate] = []
        """The gates whose first message of a batch just came, so that a timer may be set."""
        self.root: Place | None = (Scope(None, 0, None), ()) if plan.scoped else None

    @property
    def gates(self) -> list[Gate]:
        """The gates that something was put into, and all that flush."""
        return list(self._gates.values())

    def gate_of(self, station: Station) -> Gate:
        """The gate of a station."""
        gate = self._gates.get(station.index)
        if gate is None:
            gate = self._gates[station.index] = make_gate(station)
        return gate

    def emit(self, station: Station, event: str, value: Any, cause: int, place: Place | None, moment: int) -> None:
        """Takes one emission to all that it is connected to; what is connected to nothing leaves the flow.

        A failure whose `error` event is connected to nothing is no result: it is among the job's errors.
        """
        targets = station.outputs[event]
        if not targets and event != ERROR:
            self.left.append((station.routine_id, event, value))
        if place is not None and len(targets) > 1:
            for number, target in enumerate(targets):
                self._deliver(target, value, cause, (place[0], (*place[1], number)), moment)
            return
        for target in targets:
            if place is None and target.easy and self.fired < self.max_activations:
                self.fired += 1
                self.ready.append((self.fired, target.station, (value,), cause, moment, 1, None))
            elif target.hoards:
                gate = self._gates.get(target.station.index) or self.gate_of(target.station)
                assert isinstance(gate, CollectGate)
                gate.hoard(value)
            elif target.joins:
                self._join(target.station, target.position, value, cause, place, moment)
            else:
                self._deliver(target, value, cause, place, moment)

    def begin(self, station: Station, messages: Mapping[str, Any], moment: int) -> None:
        """Fires the entry with its first messages; one whose rule wants a list waits with them for more."""
        names, holds = station.names, station.holds
        if not station.rule.single_slot:
            arguments = tuple(map(messages.get, names, map(station.defaults.get, names)))
            self.fire(station, arguments, 0, self.root, moment)
            if not holds or len(holds) == len(names):
                return
            names = tuple(name for name in names if name in holds)
        for name in names:
            if name in messages:
                self._put(station, station.names.index(name), messages[name], 0, self.root, moment)

    def fire(self, station: Station, arguments: tuple[Any, ...], cause: int, place: Place | None, moment: int) -> None:
        """Makes an activation, which is ready at once."""
        number = self.fired + 1
        if number > self.max_activations:
            self.trouble = ActivationLimitError(
                f"Flow {self.plan.flow_id!r}, routine {station.routine_id!r}: activation number {number} is more than "
                f"max_activations={self.max_activations}. Does a cycle never end? Raise the limit if it is meant."
            )
            return
        self.fired = number
        if place is not None:
            place[0].live += 1
        self.admit((number, station, arguments, cause, moment, 1, place))

    def admit(self, activation: Activation) -> None:
        """Makes an activation ready in the mode of its routine."""
        self.queues[activation[1].mode].ready.append(activation)

    def flush_one(self, moment: int) -> bool:
        """Hands over what one station has although more could have come, the most upstream first.

        For the moment when nothing else can run. Gives whether there was such a station.
        """
        if not self._gates:
            return False
        flushing = [gate for gate in self._gates.values() if isinstance(gate, FlushingGate) and gate.wants_flush]
        scopes = _stuck_scopes(self._gates.values(), self.plan) if self.root is not None else []
        first = min(flushing, key=lambda gate: (gate.station.rank, gate.station.index), default=None)
        if scopes:
            deepest = max(scopes, key=lambda scope: scope.depth)
            closing = min(station.rank for station in self.plan.closers[deepest.opener or ""])
            if first is None or closing <= first.station.rank:
                self._hand_over(deepest, moment)
                return True
        if first is None:
            return False
        self.flush(first, moment)
        return True

    def flush(self, gate: FlushingGate, moment: int) -> None:
        """Hands over what a gate has, though its rule is not met."""
        firing = gate.flush()
        self._let_through(gate.station, firing, firing.last_cause, moment)

    def leave(self, place: Place, moment: int) -> None:
        """One thing less is live in a scope; a scope in which nothing is hands over what was gathered of it."""
        scope = place[0]
        scope.live -= 1
        if not scope.live and scope.outer is not None:
            self._hand_over(scope, moment)
            self.leave(scope.outer, moment)

    def drop(self) -> None:
        """Forgets all that waits: the job is over."""
        for queue in self.queues.values():
            queue.clear()
        self._gates.clear()
        self.misfires.clear()

    def _deliver(self, target: Target, value: Any, cause: int, place: Place | None, moment: int) -> None:
        station = target.station
        if target.read is not None:
            value, broken = guarded(target.read, value)
            if broken is not None:
                broken.add_note(f"On the connection {target.source} -> {station.routine_id}.{target.slot}.")
                self.misfires.append(Misfire(station, broken, cause, place))
                return
        if station.closes is not None and place is not None:
            self._gather(station, value, cause, place, moment)
        elif station.direct:
            self.fire(station, (value,), cause, place, moment)
        else:
            self._put(station, target.position, value, cause, place, moment)

    def _put(self, station: Station, position: int, value: Any, cause: int, place: Place | None, moment: int) -> None:
        gate = self._gates.get(station.index) or self.gate_of(station)
        if isinstance(gate, AllGate) and not station.holds:
            self._join(station, position, value, cause, place, moment)
            return
        if isinstance(gate, CollectGate) and not station.holds:
            gate.hoard(value)
            return
        fresh = isinstance(gate, BatchGate) and not gate.wants_flush
        broken = gate.put(position, Message(value, cause, place))
        if broken is not None:
            self.misfires.append(Misfire(station, broken, cause, place))
            return
        if place is not None and station.names[position] not in station.holds and not isinstance(station.rule, Collect):
            place[0].live += 1
        while (firing := gate.take()) is not None:
            self._let_through(station, firing, cause, moment)
        if isinstance(gate, BatchGate):
            if fresh and gate.wants_flush:
                self.new_batches.append(gate)
        elif gate.parked_in(position) > self._max_parked:
            self.trouble = _too_many(self.plan.flow_id, gate, position, self._max_parked)

    def _join(self, station: Station, position: int, value: Any, cause: int, place: Place | None, moment: int) -> None:
        """As `_put`, where every slot must hold a message and none keeps its own."""
        gate = self._gates.get(station.index) or self.gate_of(station)
        assert isinstance(gate, AllGate)
        if place is not None:
            place[0].live += 1
        firing = gate.join(position, Message(value, cause, place))
        if firing is not None:
            self._let_through(station, firing, cause, moment)
        elif gate.parked_in(position) > self._max_parked:
            self.trouble = _too_many(self.plan.flow_id, gate, position, self._max_parked)

    def _let_through(self, station: Station, firing: Firing, cause: int, moment: int) -> None:
        if self.contributors is not None:
            _note(self.contributors, self.fired + 1, {message.cause for message in firing.consumed})
        if self.root is None:
            self.fire(station, firing.arguments, cause, None, moment)
            return
        places = [message.place for message in firing.consumed if message.place is not None]
        if not places or isinstance(station.rule, Collect):
            self.fire(station, firing.arguments, cause, self.root, moment)
            return
        self.fire(station, firing.arguments, cause, common(places), moment)
        for place in places:
            self.leave(place, moment)

    def _gather(self, station: Station, value: Any, cause: int, place: Place, moment: int) -> None:
        assert station.closes is not None
        scope = opened_by(place[0], station.closes)
        if scope is None:
            self.misfires.append(Misfire(station, _mixed(station), cause, place))
            return
        if station.index in scope.served:
            return
        buffer = scope.buffers.setdefault(station.index, [])
        buffer.append((place[1], len(buffer), value, cause))
        if isinstance(station.rule, First) and len(buffer) == station.rule.count:
            self._serve(station, scope, moment)

    def _hand_over(self, scope: Scope, moment: int) -> None:
        for station in self.plan.closers[scope.opener or ""]:
            if station.index not in scope.served:
                self._serve(station, scope, moment)

    def _serve(self, station: Station, scope: Scope, moment: int) -> None:
        scope.served.add(station.index)
        items = scope.buffers.pop(station.index, [])
        if not isinstance(station.rule, First):
            items.sort(key=lambda item: item[:2])
        cause = max((item[3] for item in items), default=scope.number)
        if self.contributors is not None:
            _note(self.contributors, self.fired + 1, {item[3] for item in items})
        self.fire(station, ([item[2] for item in items],), cause, scope.outer, moment)


def _stuck_scopes(gates: Iterable[Gate], plan: Plan) -> list[Scope]:
    """The open scopes in which nothing is live but messages whose partners did not come."""
    found: dict[Scope, None] = {}
    for gate in gates:
        for message in gate.messages():
            scope = message.place[0] if message.place is not None else None
            while scope is not None and scope.outer is not None:
                if any(station.index not in scope.served for station in plan.closers[scope.opener or ""]):
                    found[scope] = None
                scope = scope.outer[0]
    return list(found)


def _note(contributors: dict[int, tuple[int, ...]], number: int, causes: set[int]) -> None:
    """Writes down what an activation comes from, where that is more than its last cause."""
    if len(causes) > 1:
        contributors[number] = tuple(sorted(causes - {0}))


def _mixed(station: Station) -> Exception:
    error = LookupError(f"a message came that belongs to no single fan-out of {station.closes!r}.")
    error.add_note(
        "A collect, a batch or a join on its way took messages of several. Join by key, or gather what is around all."
    )
    return error


def _too_many(flow_id: str, gate: Gate, position: int, limit: int) -> ParkedLimitError:
    """What is wrong where more messages wait in a slot than may."""
    names = gate.station.names
    lacking = ", ".join(repr(names[one]) for one in gate.lacking) or "the same key"
    return ParkedLimitError(
        f"Flow {flow_id!r}, routine {gate.station.routine_id!r}: more than max_parked={limit} messages wait in slot "
        f"{names[position]!r} for {lacking}. Feed the other slot as often, give it hold, or raise max_parked."
    )
