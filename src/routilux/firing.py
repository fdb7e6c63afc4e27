"""When the contents of slots make an activation: the rules a routine declares with `fires=`.

These are the declarations. What holds the messages of one job while a rule waits is the machine's
(`machine.gates`). In every rule, arrows into one slot mix, and different slots wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from routilux.errors import SettingError
from routilux.strategies import Seconds, seconds_of


class FiringRule:
    """What all firing rules have in common. Those of one class are equal where there is nothing to set."""

    __slots__ = ()
    single_slot = True
    """Whether the rule is about exactly one slot."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class AllSlots(FiringRule):
    """Fires when every connected slot holds a message; takes one of each, in arrival order."""

    __slots__ = ()
    single_slot = False


@dataclass(frozen=True, slots=True)
class Batch(FiringRule):
    """Hands over lists of `size` messages, shorter when the time is up or nothing else can run."""

    size: int
    timeout: Seconds | None = None

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise SettingError(f"batch: the size must be a whole number from 1, not {self.size!r}.")
        if self.timeout is not None:
            seconds_of("batch: timeout", self.timeout)


Key: TypeAlias = str | int | Callable[[Any], Any]
"""Reads the key of a message: a field's name, an item's position, or a function of the message."""


@dataclass(frozen=True, slots=True)
class Keyed(FiringRule):
    """Fires when every connected slot holds a message with the same key; takes those."""

    key: Key | Mapping[str, Key]

    single_slot = False

    def __post_init__(self) -> None:
        keys = self.key.values() if isinstance(self.key, Mapping) else [self.key]
        if not keys or not all(isinstance(key, (str, int)) or callable(key) for key in keys):
            raise SettingError(
                "keyed: the key must be a field's name, a position, a function of the message, "
                f"or a mapping from slot to one of these, not {self.key!r}."
            )


class Collect(FiringRule):
    """Hands over a list of everything in the slot once the job is otherwise quiescent; also of nothing."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Gather(FiringRule):
    """Hands over what came of one fan-out, in emission order, once all of it has settled; also nothing.

    `of` names the routine that fans out, where the flow's shape leaves a choice.
    """

    of: str | None = None


@dataclass(frozen=True, slots=True)
class First(FiringRule):
    """Hands over the first `count` messages of one fan-out, or fewer at its end; later ones are dropped."""

    count: int
    of: str | None = None

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count < 1:
            raise SettingError(f"first: the count must be a whole number from 1, not {self.count!r}.")


def all_slots() -> AllSlots:
    """The default rule: one message from every connected slot, paired in arrival order."""
    return AllSlots()


def batch(size: int, timeout: Seconds | None = None) -> Batch:
    """Lists of `size` messages; fewer `timeout` seconds after the first, and at the end of the job."""
    return Batch(size, timeout)


def keyed(key: Key | Mapping[str, Key]) -> Keyed:
    """One message from every connected slot, all with the same key (hashable)."""
    return Keyed(key)


def collect() -> Collect:
    """One list of everything, when nothing else of the job can run."""
    return Collect()


def gather(of: str | None = None) -> Gather:
    """One list for each fan-out, in the order in which its items were emitted."""
    return Gather(of)


def first(count: int = 1, of: str | None = None) -> First:
    """The first `count` messages of each fan-out, in arrival order."""
    return First(count, of)
