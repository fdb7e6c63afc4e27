"""A flow compiled for one entry: all that does not change from activation to activation.

Shared by every job of the flow that starts at that entry with the same names; holds nothing of any job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from routilux.checks import addressed, check_flow
from routilux.errors import HandlerInputError
from routilux.fields import reader
from routilux.firing import AllSlots, Batch, Collect, FiringRule, Keyed
from routilux.flow import FlowDefinition, Member
from routilux.graph import arrows_of, on_cycles, ranks, reachable
from routilux.slots import ERROR, OUTPUT, Handler
from routilux.strategies import ErrorStrategy


@dataclass(slots=True, eq=False)
class Station:
    """One handler of one routine: where messages arrive and activations fire."""

    index: int
    routine_id: str
    call: Callable[..., Any]
    """Calls the handler with one positional argument for each of `names`, and the context where it takes one."""
    names: tuple[str, ...]
    """The slots whose messages make the arguments, in order."""
    holds: frozenset[str]
    """Those of them that keep their last message."""
    defaults: Mapping[str, Any]
    """What stands for a slot of the entry that has a default and is given nothing."""
    rule: FiringRule
    keys: tuple[Callable[[Any], Any], ...]
    """Of a keyed join: what reads the key of each slot's messages."""
    events: frozenset[str]
    declares_output: bool
    is_generator: bool
    is_async: bool
    needs_context: bool
    context_name: str | None
    strategy: ErrorStrategy | None
    timeout_ns: int | None
    limit: int | None
    """How many of its activations may run at once."""
    on_cycle: bool
    rank: int
    """Smaller than that of every station downstream."""
    closes: str | None
    """The routine whose fan-outs it gathers."""
    fans_out: bool
    """Whether some station gathers what comes of one of its activations."""
    outputs: dict[str, tuple[Target, ...]] = field(default_factory=dict)
    plain: bool = False
    """Whether a driver may just call it and look at the value: no context, generator, limit, timeout or scope."""
    pulled: bool = False
    """The same for generators that are not on a cycle: whether a driver may just ask one for its next value."""
    stays: frozenset[str] = frozenset()
    """The events all of whose connections lead, unread, to routines of the same mode."""
    keeps_state: bool = False
    """Whether the routine keeps something in its `state`."""
    successor: Station | None = None
    """Set where the one thing that follows a value is that this plain station fires with it."""

    @property
    def direct(self) -> bool:
        """Whether one message is all it takes to fire."""
        return isinstance(self.rule, AllSlots) and len(self.names) == 1 and not self.holds


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Where an emission goes: a slot of a station, and what is read of it on the way."""

    station: Station
    position: int
    read: Callable[[Any], Any] | None
    slot: str
    source: str
    easy: bool
    """Whether each message fires, as it is, and at once: nothing is read, joined, limited or gathered."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The stations of a flow, and those that the entry's params go to."""

    flow_id: str
    stations: tuple[Station, ...]
    entries: tuple[Station, ...]
    routine_ids: tuple[str, ...]
    feeders: Mapping[tuple[int, int], tuple[str, ...]]
    """Of each station and slot position: the ids of the routines that feed it."""
    closers: Mapping[str, tuple[Station, ...]]
    """Of each routine whose fan-outs are gathered: the stations that gather them."""
    flushing: tuple[Station, ...]
    """The stations that are handed what they have when nothing else can run."""
    limits: Mapping[str, int]
    """Of each routine that may run only so many activations at once: how many."""

    @property
    def scoped(self) -> bool:
        """Whether some station gathers, so that messages carry their place in a fan-out."""
        return bool(self.closers)


def compile_plan(flow: FlowDefinition, entry: str, given: Iterable[str]) -> Plan:
    """Checks the flow and compiles it for jobs that start at `entry` with params for the slots `given`."""
    fan_outs = check_flow(flow, entry)
    arrows = arrows_of(flow)
    shape = _Shape(flow, entry, frozenset(given), fan_outs, on_cycles(arrows), ranks(arrows))
    stations: list[Station] = []
    listeners: dict[tuple[str, str], Station] = {}
    inside = reachable(arrows, [entry])
    for member in (member for member in flow.routines.values() if member.id in inside):
        for handler in member.routine.handlers:
            station = shape.station(len(stations), member, handler)
            stations.append(station)
            listeners.update({(member.id, name): station for name in station.names})
    feeders: dict[tuple[int, int], tuple[str, ...]] = {}
    for station in stations:
        station.outputs = _outputs(flow, station, listeners)
        for target in (target for targets in station.outputs.values() for target in targets):
            end = target.station.index, target.position
            feeders[end] = tuple(dict.fromkeys((*feeders.get(end, ()), station.routine_id)))
    scoped = bool(fan_outs)
    for station in stations:
        needs_care = scoped or station.needs_context or station.limit or station.timeout_ns
        station.plain = not (needs_care or station.is_generator)
        station.pulled = station.is_generator and not (needs_care or station.on_cycle)
    for station in stations:
        station.successor = _successor(station)
    chosen = addressed(flow.routines[entry].routine.handlers, shape.given)
    entries = tuple(
        station
        for station, handler in zip(
            (station for station in stations if station.routine_id == entry),
            flow.routines[entry].routine.handlers,
            strict=True,
        )
        if handler in chosen
    )
    closers = {
        opener: tuple(station for station in stations if station.closes == opener) for opener in fan_outs.values()
    }
    flushing = tuple(station for station in stations if isinstance(station.rule, (Batch, Collect)))
    limits = {station.routine_id: station.limit for station in stations if station.limit is not None}
    return Plan(flow.flow_id, tuple(stations), entries, tuple(flow.routines), feeders, closers, flushing, limits)


def _outputs(
    flow: FlowDefinition, station: Station, listeners: Mapping[tuple[str, str], Station]
) -> dict[str, tuple[Target, ...]]:
    """Of each event of a station: where what is emitted on it goes."""
    outputs: dict[str, list[Target]] = {event: [] for event in station.events}
    for connection in flow.connections:
        if connection.source == station.routine_id:
            listener = listeners[connection.target, connection.slot]
            read = None if connection.field is None else reader(connection.field)
            source = f"{connection.source}.{connection.event}"
            easy = read is None and listener.direct and listener.limit is None
            position = listener.names.index(connection.slot)
            target = Target(listener, position, read, connection.slot, source, easy)
            outputs[connection.event].append(target)
    return {event: tuple(targets) for event, targets in outputs.items()}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What compiling one station needs to know of the whole flow."""

    flow: FlowDefinition
    entry: str
    given: frozenset[str]
    fan_outs: Mapping[str, str]
    cycles: set[str]
    ranks: Mapping[str, int]

    def station(self, index: int, member: Member, handler: Handler) -> Station:
        connected = {c.slot for c in self.flow.connections if c.target == member.id}
        given = self.given if member.id == self.entry else frozenset[str]()
        alone = handler.rule.single_slot
        slots = [
            slot
            for slot in handler.slots
            if slot.name in connected or slot.name in given or (alone and slot.required and not slot.hold)
        ]
        names = tuple(slot.name for slot in slots)
        constants = frozenset(slot.name for slot in slots if slot.name in given - connected and not alone)
        holds = frozenset(slot.name for slot in slots if slot.hold or slot.name in constants)
        rule = handler.rule
        keys = tuple(reader(_key(rule, name)) for name in names if name not in holds) if isinstance(rule, Keyed) else ()
        events = frozenset(member.routine.events)
        return Station(
            index=index,
            routine_id=member.id,
            call=_caller(handler, names, f"Flow {self.flow.flow_id!r}, routine {member.id!r}"),
            names=names,
            holds=holds,
            defaults={one.name: one.default for one in handler.parameters if not one.required},
            rule=rule,
            keys=keys,
            events=events | {ERROR},
            declares_output=OUTPUT in events,
            is_generator=handler.signature.is_generator,
            is_async=handler.signature.is_async,
            needs_context=handler.is_method or handler.signature.context_name is not None,
            context_name=handler.signature.context_name,
            strategy=member.options.strategy,
            timeout_ns=member.options.timeout_ns,
            limit=1 if _keeps_state(member) else member.options.max_concurrency,
            on_cycle=member.id in self.cycles,
            rank=self.ranks[member.id],
            closes=self.fan_outs.get(member.id),
            fans_out=member.id in self.fan_outs.values(),
        )


def _key(rule: Keyed, slot: str) -> Any:
    return rule.key[slot] if isinstance(rule.key, Mapping) else rule.key


def _keeps_state(member: Member) -> bool:
    return member.routine.keeps_state if member.options.keeps_state is None else member.options.keeps_state


def _successor(station: Station) -> Station | None:
    """The station that fires next whatever the value is, where that can be said beforehand."""
    targets = station.outputs.get(OUTPUT, ())
    easy = (station.plain or station.pulled) and len(targets) == 1 and targets[0].easy
    return targets[0].station if easy else None


def _caller(handler: Handler, names: tuple[str, ...], where: str) -> Callable[..., Any]:
    """The handler as a function of one positional argument for each of `names`."""
    function = handler.signature.handler
    if not names:
        return function
    if handler.by_names:
        return _by_names(handler, names, where)
    if handler.is_method and len(handler.slots) == 1:
        sole = handler.parameters[0]
        return (lambda value: function(**{sole.name: value})) if sole.keyword_only else function
    leading = [parameter.name for parameter in handler.parameters if not parameter.keyword_only]
    if tuple(leading[: len(names)]) == names and not _context_inside(handler, len(names)):
        return function
    return lambda *values, **context: function(**dict(zip(names, values, strict=True)), **context)


def _context_inside(handler: Handler, count: int) -> bool:
    """Whether the context stands among the first parameters, so that positions would go to the wrong ones."""
    if handler.signature.context_name is None:
        return False
    return handler.signature.order.index(handler.signature.context_name) < count


def _by_names(handler: Handler, names: tuple[str, ...], where: str) -> Callable[..., Any]:
    """The handler as a function of one mapping, whose items go to the parameters of their names."""
    function, signature = handler.signature.handler, handler.signature
    known = {parameter.name for parameter in signature.parameters}
    required = {parameter.name for parameter in signature.parameters if parameter.required}
    wanted = ", ".join(parameter.name for parameter in signature.parameters) or "names"

    def call(message: Any) -> Any:
        if not isinstance(message, Mapping):
            raise HandlerInputError(
                f"{where}, slot {names[0]!r}: its handler takes {wanted} from a mapping, and a "
                f"{type(message).__name__} arrived. Emit a mapping, emit(event, name=value), or give it one parameter."
            )
        missing = required - message.keys()
        surplus = set() if signature.takes_any_name else message.keys() - known
        if missing or surplus:
            problem = f"lacks {sorted(missing)}" if missing else f"has {sorted(map(str, surplus))} too many"
            raise HandlerInputError(
                f"{where}, slot {names[0]!r}: its handler takes {wanted}, and the mapping that arrived "
                f"{problem}. Emit those names, or change the handler's parameters."
            )
        return function(**message)

    return call
