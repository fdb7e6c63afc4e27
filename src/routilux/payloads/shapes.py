"""What a type of the user's is made of, and how its values are taken apart and put together.

Its fields are stored, not what its own `dump` would give: that may leave out, rename or change something. And they are
put back as they were, without asking its `__init__` or its validators: they have accepted the value already, need not
accept their own answer, and must not be called with what somebody wrote into a file. Only a msgspec Struct cannot be
made without its `__post_init__`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from routilux.guard import guarded
from routilux.loading import loaded

HIDDEN = ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
"""What a pydantic model keeps beside its fields."""


class Shape(NamedTuple):
    """Of one type."""

    fields: tuple[str, ...]
    defaults: Mapping[str, Callable[[], Any]]
    """What gives the value of a field that was not there yet when a value was stored."""
    make: Callable[[type, dict[str, Any]], Any]
    """A value of the type, from those of its fields."""

    def take(self, value: Any) -> dict[str, Any]:
        """The fields of a value; raises `AttributeError` where one is not set."""
        return {name: getattr(value, name) for name in self.fields}


def shape_of(kind: type) -> Shape | None:
    """The shape of a dataclass, NamedTuple, msgspec Struct or pydantic model; `None` for what is none."""
    if issubclass(kind, enum.Enum):
        return None
    if issubclass(kind, tuple):
        return _tuple(kind) if hasattr(kind, "_fields") else None
    if hasattr(kind, "__struct_fields__"):
        return _struct(kind)
    if guarded(object.__new__, kind)[1] is not None:
        return None
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if hasattr(kind, "__pydantic_fields__"):
        return _model(kind)
    return None


def _tuple(kind: Any) -> Shape:
    defaults = {name: _always(value) for name, value in kind._field_defaults.items()}
    return Shape(kind._fields, defaults, _make_tuple)


def _make_tuple(kind: Any, values: dict[str, Any]) -> Any:
    return tuple.__new__(kind, [values[name] for name in kind._fields])


def _dataclass(kind: Any) -> Shape:
    fields = dataclasses.fields(kind)
    return Shape(tuple(one.name for one in fields), _defaults(fields, dataclasses.MISSING), _make_plainly)


def _make_plainly(kind: type, values: dict[str, Any]) -> Any:
    made: Any = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _struct(kind: Any) -> Shape:
    fields = loaded("msgspec.structs", "fields")(kind)
    return Shape(kind.__struct_fields__, _defaults(fields, loaded("msgspec", "NODEFAULT")), _make_struct)


def _make_struct(kind: type, values: dict[str, Any]) -> Any:
    made = kind(**values)
    put: Callable[[Any, str, Any], None] = loaded("msgspec.structs", "force_setattr")
    for name, value in values.items():
        put(made, name, value)
    return made


def _model(kind: Any) -> Shape:
    fields = kind.__pydantic_fields__
    defaults = {name: one.get_default for name, one in fields.items() if not one.is_required()}
    return Shape((*fields, *HIDDEN), defaults, _make_model)


def _make_model(kind: type, values: dict[str, Any]) -> Any:
    hidden = {name: values.pop(name) for name in HIDDEN}
    made: Any = object.__new__(kind)
    for name, value in {"__dict__": values, **hidden}.items():
        object.__setattr__(made, name, value)
    return made


def _defaults(fields: Any, missing: object) -> dict[str, Callable[[], Any]]:
    given = {one.name: _always(one.default) for one in fields if one.default is not missing}
    return given | {one.name: one.default_factory for one in fields if one.default_factory is not missing}


def _always(value: Any) -> Callable[[], Any]:
    return lambda: value
