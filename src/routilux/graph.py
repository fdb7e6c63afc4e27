"""Questions about the shape of a flow: what reaches what, what lies on every path, where the loops are.

Nodes are routine ids. Every answer lists ids in the order in which the routines were added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from routilux.flow import FlowDefinition

Arrows = Mapping[str, tuple[str, ...]]
"""Of each routine: the routines its connections lead to, without repetition."""


def arrows_of(flow: FlowDefinition) -> Arrows:
    """The connections of a flow as arrows between routines."""
    targets: dict[str, dict[str, None]] = {identity: {} for identity in flow.routines}
    for connection in flow.connections:
        targets[connection.source][connection.target] = None
    return {identity: tuple(found) for identity, found in targets.items()}


def reachable(arrows: Arrows, starts: Iterable[str]) -> set[str]:
    """The starts, and all that can be reached from them."""
    found = set(starts)
    open_ends = list(found)
    while open_ends:
        for target in arrows[open_ends.pop()]:
            if target not in found:
                found.add(target)
                open_ends.append(target)
    return found


def on_cycles(arrows: Arrows) -> set[str]:
    """The routines whose emissions can come back to them."""
    return {identity for identity in arrows if identity in reachable(arrows, arrows[identity])}


def dominators(arrows: Arrows, entry: str) -> dict[str, list[str]]:
    """Of each routine that the entry reaches: what lies on every path to it, nearest first, without itself."""
    inside = reachable(arrows, [entry])
    always: dict[str, list[str]] = {}
    for identity in inside:
        always[identity] = [
            other
            for other in inside
            if other != identity and (other == entry or identity not in _reachable_without(arrows, entry, other))
        ]
    return {
        identity: sorted(above, key=lambda other: len(always[other]), reverse=True)
        for identity, above in always.items()
    }


def ranks(arrows: Arrows) -> dict[str, int]:
    """A number for each routine, smaller than that of all it leads to (but for loops, where it is equal or less)."""
    order: dict[str, int] = {}
    downstream = {identity: reachable(arrows, arrows[identity]) for identity in arrows}
    for identity in arrows:
        order[identity] = sum(
            identity in downstream[other] and other not in downstream[identity] for other in arrows if other != identity
        )
    return order


def _reachable_without(arrows: Arrows, entry: str, removed: str) -> set[str]:
    cut = {identity: tuple(t for t in targets if t != removed) for identity, targets in arrows.items()}
    return reachable(cut, [entry])
