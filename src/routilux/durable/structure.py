"""The structure of a flow: what a stored job relies on finding again.

It is compared by what is declared, never by code, so a handler may be mended, and an error strategy changed, while
jobs rest. A job goes on with the routines and connections that it began with, in their order, because its activations
are numbered by it: what is missing of them, or fires by another rule, is named, and what was added is for new jobs.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from routilux.errors import StoredJobError
from routilux.flow import Connection, FlowDefinition, Member
from routilux.guard import guarded
from routilux.options import AT_LEAST_ONCE

FORMAT = 1

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class SlotShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A slot."""

    rule: str
    """By what its handler fires."""
    beside: list[str]
    """The slots of the same handler, this one among them."""
    hold: bool = False


class RoutineShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A routine."""

    slots: dict[str, SlotShape]
    events: list[str]
    crash_retries: int
    delivery: str = AT_LEAST_ONCE
    version: str | int | None = None


class Structure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A flow."""

    flow_id: str
    routines: dict[str, RoutineShape]
    connections: list[tuple[str, str, str, str, str | int | None]]
    format: int = FORMAT

    @property
    def data(self) -> bytes:
        """The structure as JSON, the same in every process."""
        return msgspec.json.encode(self)

    @property
    def digest(self) -> str:
        """Equal for equal structures."""
        return hashlib.sha256(self.data).hexdigest()


def structure_of(flow: FlowDefinition) -> Structure:
    """The structure of a flow as it is defined now."""
    return Structure(
        flow.flow_id,
        {member.id: _routine(member) for member in flow.routines.values()},
        [(one.source, one.event, one.target, one.slot, one.field) for one in flow.connections],
    )


def from_data(data: bytes) -> Structure:
    """The structure that `data` gave; raises `StoredJobError` for anything else."""
    try:
        structure = msgspec.json.decode(data, type=Structure)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise StoredJobError(f"The structure of a flow is damaged: {error}.") from error
    if structure.format > FORMAT:
        raise StoredJobError(f"The structure of flow {structure.flow_id!r} was written by a later release.")
    return structure


def missing(old: Structure, new: Structure) -> list[str]:
    """In sentences: what jobs of the old structure rely on, and the new one lacks."""
    found = [] if old.flow_id == new.flow_id else [f"Flow {old.flow_id!r} is called {new.flow_id!r} now."]
    for routine_id, was in old.routines.items():
        now = new.routines.get(routine_id)
        if now is None:
            found.append(f"Flow {old.flow_id!r} has no routine {routine_id!r} any more.")
        else:
            where = f"Flow {old.flow_id!r}, routine {routine_id!r}"
            found += [f"{where}{what}" for what in _missing_in_routine(was, now)]
    found += [f"Flow {old.flow_id!r}: {one} is not connected any more." for one in _lacking(new, old)]
    return found


def part_of(flow: FlowDefinition, structure: Structure) -> FlowDefinition:
    """What jobs of a structure know of a flow that has it all and may have more; their routines are those of now."""
    part = FlowDefinition(flow.flow_id, flow.limits)
    for routine_id in structure.routines:
        member = flow.routines[routine_id]
        part.add_routine(member.routine, routine_id, **member.options.arguments)
    for source, event, target, slot, field in structure.connections:
        part.connect(source, event, target, slot, field=field)
    return part


def _lacking(one: Structure, other: Structure) -> list[Connection]:
    """The connections of another structure that one has not."""
    known = set(one.connections)
    return [Connection(*connection) for connection in other.connections if connection not in known]


def _missing_in_routine(was: RoutineShape, now: RoutineShape) -> list[str]:
    found = []
    for name, slot in was.slots.items():
        other = now.slots.get(name)
        if other is None:
            found.append(f": it has no slot {name!r} any more.")
            continue
        if other.rule != slot.rule:
            found.append(f", slot {name!r}: it fires by {other.rule}, not by {slot.rule}.")
        if other.hold != slot.hold:
            found.append(f", slot {name!r}: it {'keeps' if other.hold else 'does not keep'} its last message now.")
        apart = [one for one in slot.beside if one in now.slots and one not in other.beside]
        if apart:
            found.append(f", slot {name!r}: its handler does not listen on {', '.join(map(repr, apart))} any more.")
    found += [f": it has no event {name!r} any more." for name in was.events if name not in now.events]
    for what, before, after in (
        ("crash_retries", was.crash_retries, now.crash_retries),
        ("delivery", was.delivery, now.delivery),
        ("version", was.version, now.version),
    ):
        if before != after:
            found.append(f": its {what} is {after}, not {before}.")
    return found


def _routine(member: Member) -> RoutineShape:
    slots = {
        slot.name: SlotShape(_said(handler.rule), [one.name for one in handler.slots], slot.hold)
        for handler in member.routine.handlers
        for slot in handler.slots
    }
    options = member.options
    return RoutineShape(slots, sorted(member.routine.events), options.crash_retries, options.delivery, options.version)


def _said(value: object) -> str:
    """A value as it prints, without the addresses of functions."""
    text, broken = guarded(repr, value)
    return type(value).__qualname__ if broken is not None else _ADDRESS.sub("", text)
