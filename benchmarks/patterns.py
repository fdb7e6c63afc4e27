"""The patterns of Task Bench: what is to be computed, and which task needs what of which others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.spin import spin

Level: TypeAlias = tuple[tuple[int, ...], ...]
"""Tasks that need nothing of each other: for each, the tasks of the level before whose results it takes."""

PRIME = 1_000_003


@dataclass(frozen=True, slots=True)
class Pattern:
    """Levels of tasks, one after another; those of the first take the numbers of `seeds`."""

    name: str
    seeds: int
    levels: tuple[Level, ...]

    @property
    def tasks(self) -> int:
        """How many there are in all."""
        return sum(map(len, self.levels))

    @property
    def first(self) -> list[Any]:
        """What the tasks of the first level take."""
        return list(range(self.seeds))


def task(rounds: int, *inputs: int) -> int:
    """One task: it takes its time, and its result shows whether its inputs were right."""
    spin(rounds)
    return (1 + sum(inputs)) % PRIME


def inputs_of(level: Level, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What each task of a level takes of what the level before gave."""
    return [tuple([values[needed] for needed in needs]) for needs in level]


def plain(pattern: Pattern, rounds: int) -> list[int]:
    """Computes a pattern in a plain loop; the results of its last level, sorted."""
    values = pattern.first
    for level in pattern.levels:
        values = [task(rounds, *inputs) for inputs in inputs_of(level, values)]
    return sorted(values)


def trivial(tasks: int) -> Pattern:
    """No task needs another."""
    return Pattern("trivial", tasks, (tuple((number,) for number in range(tasks)),))


def stencil(width: int, steps: int) -> Pattern:
    """Each of `width` points in a ring needs itself and its neighbours of the step before."""
    level = tuple(((point - 1) % width, point, (point + 1) % width) for point in range(width))
    return Pattern("stencil", width, (level,) * steps)


def tree(depth: int) -> Pattern:
    """Each task is needed by two, from one root to `2 ** depth` leaves."""
    levels = [tuple((number // 2,) for number in range(2**level)) for level in range(depth + 1)]
    return Pattern("tree", 1, tuple(levels))


def fan_in(arity: int) -> Pattern:
    """`arity ** 2` tasks, of which each `arity` are needed by one, and all of those by the last."""
    leaves = tuple((number,) for number in range(arity**2))
    sums = tuple(tuple(range(first, first + arity)) for first in range(0, arity**2, arity))
    return Pattern("fan-in", arity**2, (leaves, sums, (tuple(range(arity)),)))
