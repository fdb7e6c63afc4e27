"""A flow as text for people: a description, and a Mermaid diagram."""

from __future__ import annotations

from routilux.firing import AllSlots
from routilux.flow import FlowDefinition, Member
from routilux.slots import ERROR, Slot


def describe(flow: FlowDefinition) -> str:
    """What the flow is made of, one line a routine and a connection."""
    members, connections = flow.routines, flow.connections
    lines = [f"Flow {flow.flow_id!r}: {_count(len(members), 'routine')}, {_count(len(connections), 'connection')}"]
    lines += [
        f"  {member.id}({_slots(member)}) -> {', '.join(member.routine.events) or '(nothing)'}"
        for member in members.values()
    ]
    if connections:
        lines.append("Connections")
        lines += [f"  {connection}" for connection in connections]
    connected = {(connection.source, connection.event) for connection in connections}
    leaving = [
        f"{member.id}.{event}"
        for member in members.values()
        for event in member.routine.events
        if (member.id, event) not in connected
    ]
    if leaving:
        lines.append(f"Results: {', '.join(leaving)}")
    return "\n".join(lines)


def to_mermaid(flow: FlowDefinition) -> str:
    """The flow as a Mermaid flowchart, for anything that renders Markdown."""
    names = {identity: f"r{number}" for number, identity in enumerate(flow.routines)}
    lines = ["flowchart LR"]
    for identity, member in flow.routines.items():
        shape = '{{"%s"}}' if _rules(member) else '["%s"]'
        lines.append(f"    {names[identity]}{shape % _escaped(identity + _rules(member))}")
    for connection in flow.connections:
        field = "" if connection.field is None else f"[{connection.field!r}]"
        label = _escaped(f"{connection.event}{field} → {connection.slot}")
        arrow = "-.->" if connection.event == ERROR else "-->"
        lines.append(f'    {names[connection.source]} {arrow}|"{label}"| {names[connection.target]}')
    return "\n".join(lines)


def _slots(member: Member) -> str:
    return ", ".join(_slot(slot) for slot in member.routine.slots.values()) + _rules(member)


def _slot(slot: Slot) -> str:
    return slot.name + ("" if slot.required else "=…") + (" (held)" if slot.hold else "")


def _rules(member: Member) -> str:
    rules = [
        type(handler.rule).__name__.lower()
        for handler in member.routine.handlers
        if not isinstance(handler.rule, AllSlots)
    ]
    return f" · {', '.join(rules)}" if rules else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
