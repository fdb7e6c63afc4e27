"""Scopes: what came of one fan-out, counted, so that it is known when all of it has settled.

An activation of a routine whose fan-outs are gathered opens a scope, nested in its own. What descends from
it is live in the scope: messages that wait, activations that run or wait, scopes inside. When nothing is
live any more the scope closes, and what was gathered is handed over. Flows that gather nothing have none.
"""

from __future__ import annotations

from typing import Any, TypeAlias


class Scope:
    """One fan-out: who opened it, what is live in it, and what was gathered of it so far."""

    __slots__ = ("buffers", "depth", "live", "number", "opener", "outer", "served")

    def __init__(self, opener: str | None, number: int, outer: Place | None) -> None:
        self.opener = opener
        self.number = number
        """The id of the activation that fans out."""
        self.outer = outer
        self.live = 1
        self.depth: int = 0 if outer is None else outer[0].depth + 1
        self.buffers: dict[int, list[tuple[Path, int, Any, int]]] = {}
        """By station: what it gathers, as path, arrival, value and cause; the first two give the order."""
        self.served: set[int] = set()
        """The stations that have had what they wanted of it."""


Path: TypeAlias = tuple[int, ...]
"""Where in the order of emissions something stands; compares as tuples do."""

Place: TypeAlias = tuple[Scope, Path]
"""The scope something is live in, and its path."""


def opened_by(scope: Scope, opener: str) -> Scope | None:
    """The scope itself or the nearest around it that `opener` opened; a join of several fan-outs leaves them all."""
    while scope.opener != opener:
        if scope.outer is None:
            return None
        scope = scope.outer[0]
    return scope


def common(places: list[Place]) -> Place:
    """The innermost scope around all places, with the first one's path."""
    scope, path = places[0]
    for other, _ in places[1:]:
        while scope is not other:
            if scope.depth >= other.depth:
                assert scope.outer is not None
                scope = scope.outer[0]
            else:
                assert other.outer is not None
                other = other.outer[0]
    return scope, path
