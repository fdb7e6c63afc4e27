"""Which types of its own a flow's annotations name: what a `Codec` for its payloads must know."""

from __future__ import annotations

import dataclasses
import enum
import typing
from typing import Any

from routilux.flow import FlowDefinition
from routilux.guard import guarded
from routilux.hints import Annotation


def types_of(flow: FlowDefinition) -> frozenset[type]:
    """The dataclasses, enums, NamedTuples and models in what its handlers take and give, and in the fields of those."""
    found: set[type] = set()
    for member in flow.routines.values():
        for handler in member.routine.handlers:
            for parameter in handler.parameters:
                _collect(parameter.annotation, found)
            _collect(handler.signature.gives, found)
        for event in member.routine.events.values():
            _collect(event.annotation, found)
    return frozenset(found)


def _collect(annotation: Annotation, found: set[type]) -> None:
    for argument in typing.get_args(annotation):
        _collect(argument, found)
    origin: Any = typing.get_origin(annotation)
    kind = annotation if origin is None else origin
    if not isinstance(kind, type) or kind in found:
        return
    if issubclass(kind, enum.Enum):
        found.add(kind)
    elif _is_record(kind):
        found.add(kind)
        for field in (guarded(typing.get_type_hints, kind)[0] or {}).values():
            if typing.get_origin(field) is not typing.ClassVar:
                _collect(field, found)


def _is_record(kind: type) -> bool:
    """Whether its values are no more than fields: models of msgspec and pydantic are known by what marks them."""
    if issubclass(kind, tuple):
        return hasattr(kind, "_fields")
    if hasattr(kind, "__struct_fields__"):
        return True
    is_open = guarded(object.__new__, kind)[1] is None
    return is_open and (dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__"))
