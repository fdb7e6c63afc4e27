"""Slots and events: the ports of a routine."""

from __future__ import annotations

from typing import NamedTuple

from routilux.firing import AllSlots, FiringRule
from routilux.hints import Annotation
from routilux.signature import Parameter, Signature

OUTPUT = "output"
"""The event on which return values go out."""

ERROR = "error"
"""The event, which every routine has, on which failures leave under Continue."""


class Slot(NamedTuple):
    """An input port: where messages wait until a handler takes them."""

    name: str
    annotation: Annotation
    required: bool
    """Whether its handler cannot fire without a message here, even when nothing is connected."""
    hold: bool = False
    """Whether the last message stays, is read by many firings, and causes none itself."""


class Event(NamedTuple):
    """An output port: a name under which a handler emits."""

    name: str
    annotation: Annotation = None


class Handler(NamedTuple):
    """The user's function behind a routine, with the slots it listens on and its firing rule."""

    signature: Signature
    slots: tuple[Slot, ...]
    rule: FiringRule = AllSlots()
    by_names: bool = False
    """Whether the message of its only slot is a mapping, handed over item by item."""
    is_method: bool = False
    """Whether it belongs to a `Routine` subclass and so reaches its context through `self`."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that messages are handed to."""
        return self.signature.parameters

    @property
    def emits_several(self) -> bool | None:
        """Whether one activation emits more than once: yes, no, or `None` where only its code could tell."""
        if self.signature.is_generator:
            return True
        return None if self.is_method or self.signature.context_name else False
