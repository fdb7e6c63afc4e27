"""What can be known to be wrong with a whole flow before one of its jobs starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from routilux.errors import (
    DefinitionError,
    EntryParamsError,
    UnfedSlotError,
    UnknownRoutineError,
    UnreachableRoutineWarning,
)
from routilux.firing import First, Gather, Keyed
from routilux.flow import FlowDefinition, Member
from routilux.graph import Arrows, arrows_of, dominators, reachable
from routilux.slots import Handler, Slot
from routilux.suggestions import nearest


def check_flow(flow: FlowDefinition, entry: str) -> dict[str, str]:
    """Raises what is wrong with executing `flow` at `entry`, and warns of routines that can never run.

    Gives for each routine that gathers the routine whose fan-outs it closes.
    """
    arrows = arrows_of(flow)
    inside = reachable(arrows, [entry])
    _check_fed(flow, entry, inside)
    _check_limits(flow, inside)
    _check_rules(flow, inside)
    for identity in flow.routines:
        if identity not in inside:
            warnings.warn(
                f"Flow {flow.flow_id!r}: routine {identity!r} cannot be reached from {entry!r} and will not run. "
                "Connect it, or keep it in a flow of its own.",
                UnreachableRoutineWarning,
                stacklevel=5,
            )
    return _fan_outs(flow, arrows, entry)


Receiver: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Turns `entry_params` into the first message of each slot of the entry."""


def entry_receiver(flow: FlowDefinition, entry: str, names: Collection[str]) -> Receiver:
    """How the entry takes params of these names; raises `EntryParamsError` for names it cannot take."""
    _check_entry(flow, entry)
    handlers = flow.routines[entry].routine.handlers
    slots = flow.routines[entry].routine.slots
    where = f"Flow {flow.flow_id!r}, entry {entry!r}"
    if len(slots) == 1 and handlers[0].is_method and not (names and set(names) <= set(slots)):
        return _sole_receiver(handlers[0], names, where)
    for name in names:
        if name not in slots:
            raise EntryParamsError(f"{where}: it takes no {name!r}.{nearest(name, slots)} Change entry_params.")
    for handler in addressed(handlers, names):
        for slot in handler.slots if not handler.rule.single_slot else ():
            if slot.required and slot.name not in names:
                raise EntryParamsError(f"{where}: entry_params lacks {slot.name!r}. It takes: {', '.join(slots)}.")
    if not addressed(handlers, names):
        raise EntryParamsError(f"{where}: entry_params must name at least one of its slots: {', '.join(slots)}.")
    return lambda params: params


def addressed(handlers: Sequence[Handler], names: Collection[str]) -> list[Handler]:
    """The handlers of the entry that params of these names are meant for; the only one, where there is one."""
    if len(handlers) == 1:
        return list(handlers)
    return [handler for handler in handlers if any(slot.name in names for slot in handler.slots)]


def _sole_receiver(handler: Handler, names: Collection[str], where: str) -> Receiver:
    """How a method's only slot takes params that go by the names of its parameters."""
    slot = handler.slots[0].name
    signature = handler.signature
    known = {parameter.name: parameter for parameter in signature.parameters}
    for name in names:
        if name not in known and not signature.takes_any_name:
            raise EntryParamsError(
                f"{where}: it takes no {name!r}.{nearest(name, [*known, slot])} Change entry_params."
            )
    for parameter in known.values():
        if parameter.required and parameter.name not in names:
            raise EntryParamsError(f"{where}: entry_params lacks {parameter.name!r}. It takes: {', '.join(known)}.")
    if handler.by_names:
        return lambda params: {slot: dict(params)}
    return lambda params: dict.fromkeys((slot,), *params.values()) if params else {}


def _check_entry(flow: FlowDefinition, entry: str) -> None:
    if not flow.routines:
        raise DefinitionError(f"Flow {flow.flow_id!r} has no routines. Add some with add_routine(...).")
    if entry not in flow.routines:
        known = nearest(entry, flow.routines)
        raise UnknownRoutineError(f"Flow {flow.flow_id!r} has no routine {entry!r} to start at.{known}")


def _check_fed(flow: FlowDefinition, entry: str, inside: set[str]) -> None:
    for identity in inside - {entry}:
        for slot in flow.routines[identity].routine.slots.values():
            feeders = [c.source for c in flow.connections if (c.target, c.slot) == (identity, slot.name)]
            where = f"Flow {flow.flow_id!r}, routine {identity!r}: slot {slot.name!r}"
            if not feeders and slot.required and _listens(flow, flow.routines[identity], slot):
                hint = (
                    " If it is meant to be the context, annotate it: ctx: Context."
                    if slot.name in ("ctx", "context")
                    else ""
                )
                raise UnfedSlotError(
                    f"{where} is fed by nothing, so its handler would never fire. Connect it, or give the parameter "
                    f"a default.{hint}"
                )
            if feeders and not inside.intersection(feeders):
                raise UnfedSlotError(
                    f"{where} is fed only by {', '.join(map(repr, feeders))}, which cannot be reached from the entry "
                    f"{entry!r}. Connect the entry to it, or start elsewhere."
                )


def _check_rules(flow: FlowDefinition, inside: set[str]) -> None:
    for identity in inside:
        for handler in flow.routines[identity].routine.handlers:
            connected = {c.slot for c in flow.connections if c.target == identity}
            triggers = [slot.name for slot in handler.slots if slot.name in connected and not slot.hold]
            where = f"Flow {flow.flow_id!r}, routine {identity!r}"
            if handler.rule.single_slot and len(triggers) > 1:
                rule, names = type(handler.rule).__name__.lower(), " and ".join(triggers)
                raise DefinitionError(
                    f"{where}: {rule} is a rule for one slot, and {names} are connected. Hold all but one of them."
                )
            if isinstance(handler.rule, Keyed) and isinstance(handler.rule.key, Mapping):
                for name in triggers:
                    if name not in handler.rule.key:
                        raise DefinitionError(f"{where}: keyed names no key for slot {name!r}. Add it to the mapping.")


def _check_limits(flow: FlowDefinition, inside: set[str]) -> None:
    for identity in inside:
        for name in flow.routines[identity].options.limits:
            if name not in flow.limits:
                raise DefinitionError(
                    f"Flow {flow.flow_id!r}, routine {identity!r}: the flow has no limit {name!r}."
                    f"{nearest(name, flow.limits)} Give it to the flow: Flow({flow.flow_id!r}, limits={{{name!r}: 2}})."
                )


def _listens(flow: FlowDefinition, member: Member, slot: Slot) -> bool:
    """Whether the handler of a slot can be set off at all; one none of whose slots is connected is just unused."""
    handler = next(one for one in member.routine.handlers if slot in one.slots)
    connected = {connection.slot for connection in flow.connections if connection.target == member.id}
    return len(member.routine.handlers) == 1 or any(other.name in connected for other in handler.slots)


def _fan_outs(flow: FlowDefinition, arrows: Arrows, entry: str) -> dict[str, str]:
    """Of each routine that gathers: the routine whose fan-out it closes."""
    inside = reachable(arrows, [entry])
    closing = [identity for identity in flow.routines if identity in inside and _scoped_rule(flow.routines[identity])]
    if not closing:
        return {}
    above = dominators(arrows, entry)
    found: dict[str, str] = {}
    for identity in sorted(closing, key=lambda one: len(above[one])):
        found[identity] = _fan_out_of(flow, arrows, identity, above[identity], found)
    return found


def _fan_out_of(flow: FlowDefinition, arrows: Arrows, identity: str, above: list[str], found: Mapping[str, str]) -> str:
    where = f"Flow {flow.flow_id!r}, routine {identity!r}"
    rule = _scoped_rule(flow.routines[identity])
    assert rule is not None
    name = type(rule).__name__.lower()
    if rule.of is not None:
        if rule.of not in above:
            known = nearest(rule.of, above)
            raise DefinitionError(
                f"{where}: {name}(of={rule.of!r}) names no routine that every path to it passes.{known}"
            )
        return rule.of
    candidates: list[tuple[str, bool]] = []
    inner_until: str | None = None
    for other in above:
        if inner_until is not None:
            inner_until = None if other == inner_until else inner_until
            continue
        if other in found:
            inner_until = found[other]
            continue
        several = _emits_several(flow, arrows, other, identity)
        if several is not False:
            candidates.append((other, several is True))
            if several:
                break
    if not candidates:
        raise DefinitionError(
            f"{where}: {name} has no fan-out to close. No routine that emits several values lies on every path to it; "
            "make one a generator, or use collect() for everything of the job."
        )
    if len(candidates) > 1:
        names = " or ".join(repr(candidate) for candidate, _ in candidates)
        raise DefinitionError(
            f"{where}: {name} could close the fan-out of {names}. Say which: {name}(of={candidates[-1][0]!r})."
        )
    return candidates[0][0]


def _scoped_rule(member: Member) -> Gather | First | None:
    for handler in member.routine.handlers:
        if isinstance(handler.rule, (Gather, First)):
            return handler.rule
    return None


def _emits_several(flow: FlowDefinition, arrows: Arrows, identity: str, towards: str) -> bool | None:
    """Whether one activation sends several messages towards a routine: yes, no, or `None` if only its code tells."""
    answers = {handler.emits_several for handler in flow.routines[identity].routine.handlers}
    branches = [
        connection
        for connection in flow.connections
        if connection.source == identity and towards in reachable(arrows, [connection.target])
    ]
    if True in answers or len(branches) > 1:
        return True
    return None if None in answers else False
