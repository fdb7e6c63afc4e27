"""Compiles a flow for one entry and one mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from routilux.checks import addressed, check_flow
from routilux.errors import UnknownRoutineError
from routilux.execution_mode import ExecutionMode
from routilux.fields import reader
from routilux.firing import Batch, Collect, First, Gather, Keyed
from routilux.flow import FlowDefinition, Member
from routilux.graph import arrows_of, on_cycles, ranks, reachable
from routilux.machine.calls import caller
from routilux.machine.plan import Plan, Station, Target
from routilux.slots import ERROR, OUTPUT, Handler
from routilux.suggestions import nearest

EVERYTHING_AT_HOME: Mapping[str, ExecutionMode] = {}


def compile_plan(
    flow: FlowDefinition,
    entry: str,
    given: Iterable[str],
    mode: ExecutionMode = ExecutionMode.SEQUENTIAL,
    placement: Mapping[str, ExecutionMode] = EVERYTHING_AT_HOME,
    *,
    recorded: bool = False,
) -> Plan:
    """Checks the flow and compiles it for jobs in `mode` that start at `entry` with params for the slots `given`.

    `placement` has routines that run in another mode than they say. What is `recorded` is measured.
    """
    _check_placement(flow, placement)
    fan_outs = check_flow(flow, entry)
    arrows = arrows_of(flow)
    shape = _Shape(flow, entry, frozenset(given), mode, placement, fan_outs, on_cycles(arrows), ranks(arrows))
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
    for station in stations:
        _mark(station, scoped=bool(fan_outs), recorded=recorded)
    for station in stations:
        station.successor = _successor(station)
    entries = _entries(flow, entry, shape.given, [one for one in stations if one.routine_id == entry])
    closers = {
        opener: tuple(station for station in stations if station.closes == opener) for opener in fan_outs.values()
    }
    flushing = tuple(station for station in stations if isinstance(station.rule, (Batch, Collect)))
    limits = {station.routine_id: (station.limit, station.needs) for station in stations if station.limited}
    rates = {rate_name(one.id): one.options.rate_limit for one in flow.routines.values() if one.options.rate_limit}
    in_use = frozenset(station.mode for station in stations)
    return Plan(
        flow.flow_id,
        mode,
        in_use | {mode},
        in_use,
        tuple(stations),
        entries,
        tuple(flow.routines),
        feeders,
        closers,
        flushing,
        limits,
        rates,
    )


def _check_placement(flow: FlowDefinition, placement: Iterable[str]) -> None:
    for routine_id in placement:
        if routine_id not in flow.routines:
            known = nearest(routine_id, flow.routines)
            raise UnknownRoutineError(f"Flow {flow.flow_id!r}, placement: there is no routine {routine_id!r}.{known}")


def rate_name(routine_id: str) -> str:
    """Under which name the `rate_limit` of a routine is among the limits of its flow."""
    return f"rate_limit of {routine_id}"


def _entries(
    flow: FlowDefinition, entry: str, given: frozenset[str], stations: Sequence[Station]
) -> tuple[Station, ...]:
    """Those of the entry's stations that params of these names go to."""
    handlers = flow.routines[entry].routine.handlers
    chosen = addressed(handlers, given)
    return tuple(station for station, handler in zip(stations, handlers, strict=True) if handler in chosen)


def _mark(station: Station, *, scoped: bool, recorded: bool) -> None:
    """Says of a station, once its outputs are known, how little care its activations need."""
    station.recorded = recorded
    needs_care = recorded or scoped or station.needs_context or station.limited or not station.at_home
    needs_care = needs_care or station.timeout_ns is not None
    awaited = station.is_async and station.mode is not ExecutionMode.ASYNCIO
    station.plain = not (needs_care or awaited or station.is_generator)
    station.pulled = station.is_generator and not (needs_care or station.is_async or station.on_cycle)
    station.stays = frozenset(
        event
        for event, targets in station.outputs.items()
        if targets and all(target.keeps and target.station.mode is station.mode for target in targets)
    )


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
            easy = read is None and listener.direct and listener.at_home
            hoards = read is None and isinstance(listener.rule, Collect) and not listener.holds
            joins = read is None and listener.joins
            position = listener.names.index(connection.slot)
            target = Target(listener, position, read, connection.slot, source, easy, hoards, joins)
            outputs[connection.event].append(target)
    return {event: tuple(targets) for event, targets in outputs.items()}


class _Shape(NamedTuple):
    """What compiling one station needs to know of the whole flow."""

    flow: FlowDefinition
    entry: str
    given: frozenset[str]
    mode: ExecutionMode
    placement: Mapping[str, ExecutionMode]
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
        options, keeps_state = member.options, _keeps_state(member)
        mode = _mode(self.mode, self.placement.get(member.id, options.execution_mode), options.inline, handler)
        rate = () if options.rate_limit is None else (rate_name(member.id),)
        return Station(
            index=index,
            routine_id=member.id,
            call=caller(handler, names, f"Flow {self.flow.flow_id!r}, routine {member.id!r}"),
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
            strategy=options.strategy,
            timeout_ns=options.timeout_ns,
            limit=1 if keeps_state else options.max_concurrency,
            needs=(*options.limits, *rate),
            keeps_state=keeps_state,
            crash_retries=options.reruns,
            mode=mode,
            at_home=mode is self.mode,
            on_cycle=member.id in self.cycles,
            rank=self.ranks[member.id],
            closes=self.fan_outs.get(member.id) if isinstance(handler.rule, (Gather, First)) else None,
            fans_out=member.id in self.fan_outs.values(),
        )


def _key(rule: Keyed, slot: str) -> Any:
    return rule.key[slot] if isinstance(rule.key, Mapping) else rule.key


def _keeps_state(member: Member) -> bool:
    return member.routine.keeps_state if member.options.keeps_state is None else member.options.keeps_state


def _mode(home: ExecutionMode, chosen: ExecutionMode | str | None, inline: bool, handler: Handler) -> ExecutionMode:
    """Where a handler runs: as its routine says, or in the job's own mode.

    What waits in the way of an event loop runs on one, and what does not, on a thread: unless a handler is sent
    elsewhere by name, or awaited in its turn, as in sequential mode.
    """
    is_async = handler.signature.is_async
    mode = home if chosen is None else ExecutionMode(chosen)
    if mode is ExecutionMode.ASYNCIO:
        return mode if is_async or inline else ExecutionMode.CONCURRENT
    if is_async and mode is not ExecutionMode.SEQUENTIAL and (chosen is None or mode is ExecutionMode.CONCURRENT):
        return ExecutionMode.ASYNCIO
    return mode


def _successor(station: Station) -> Station | None:
    """The station that fires next whatever the value is, where that can be said beforehand."""
    targets = station.outputs.get(OUTPUT, ())
    easy = (station.plain or station.pulled) and len(targets) == 1 and targets[0].easy
    return targets[0].station if easy else None
