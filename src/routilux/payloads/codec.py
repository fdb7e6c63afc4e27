"""Values as bytes: JSON, with `{"$": tag, "v": …}` for what JSON has no form of.

Types are exact: a value comes back equal and of the same type, or is refused with the path to what cannot be stored.
Reading looks types up among those it was given; it imports nothing and calls no code of theirs but `Enum`'s look-up.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterable
from typing import Any

from routilux.errors import PayloadError, PayloadTooLargeError, UnknownTypeError
from routilux.guard import guarded
from routilux.loading import needing
from routilux.payloads.forms import BY_TAG, BY_TYPE
from routilux.payloads.refusal import RefusedError

with needing("store", "Storing payloads"):
    import msgspec

MAX_DEPTH = 100
MAX_ITEMS = 1_000_000
_ATOMS = frozenset({str, int, float, bool, type(None)})
_UNSAFE_PARENTS = (dict, list, set, frozenset, str, bytes, int, float, BaseException)


class Codec:
    """Writes and reads values of JSON's types, of the closed table in `forms`, and of the `types` given to it.

    `types` are dataclasses, enums and NamedTuples. `max_payload` is in bytes.
    """

    def __init__(self, types: Iterable[type] = (), *, max_payload: int = 64 * 2**20) -> None:
        self._types = {f"{one.__module__}:{one.__qualname__}": one for one in types}
        self._names = {one: name for name, one in self._types.items()}
        self._max_payload = max_payload
        for one, name in self._names.items():
            if self._types[name] is not one:
                raise PayloadError(f"Two types are called {name}; rename one, or its payloads could not be told apart.")
            if not issubclass(one, enum.Enum) and _fields_of(one) is None:
                raise PayloadError(f"{one.__qualname__} cannot be stored: give a dataclass, an enum or a NamedTuple.")

    def encode(self, value: Any) -> bytes:
        """The bytes of a value; raises `PayloadError`."""
        try:
            data = msgspec.json.encode(_Walk(self._write).item(value))
        except RefusedError as refusal:
            raise refusal.error() from None
        self._check_size(len(data))
        return data

    def decode(self, data: bytes) -> Any:
        """The value of some bytes; raises nothing but `PayloadError`, whatever they are."""
        self._check_size(len(data))
        stored, broken = guarded(msgspec.json.decode, data)
        if broken is not None:
            raise PayloadError(f"value: it is not JSON ({broken}).")
        try:
            return _Walk(self._read).item(stored)
        except RefusedError as refusal:
            raise refusal.error() from None

    def _check_size(self, size: int) -> None:
        if size > self._max_payload:
            raise PayloadTooLargeError(f"value: {size:,} bytes are more than max_payload={self._max_payload:,}.")

    def _write(self, value: Any, walk: _Walk) -> Any:
        kind = type(value)
        if kind is str:
            if guarded(value.encode)[1] is not None:
                raise RefusedError("a lone surrogate cannot be stored; store the text as bytes.")
            return value
        if kind is bool or value is None:
            return value
        if (kind is int and -(2**63) <= value < 2**63) or (kind is float and math.isfinite(value)):
            return value
        if kind is list:
            return walk.items(value)
        if kind is dict:
            if "$" not in value and all(type(key) is str for key in value):
                return walk.entries(value)
            return {"$": "dict", "v": walk.items([list(pair) for pair in value.items()])}
        form = BY_TYPE.get(kind)
        if form is not None:
            plain, broken = guarded(form.write, value)
            if broken is not None:
                raise RefusedError(f"{broken}.")
            return {"$": form.tag, "v": walk.items(plain) if form.nested else walk.item(plain)}
        return self._write_own(value, kind, walk)

    def _write_own(self, value: Any, kind: type, walk: _Walk) -> Any:
        name = self._names.get(kind)
        if name is None:
            full = f"{kind.__module__}.{kind.__qualname__}"
            raise RefusedError(
                f"a {full} cannot be stored; store what it is made of, or give Codec(types=[…]) its type.",
                UnknownTypeError,
            )
        if isinstance(value, enum.Enum):
            known = value.name in kind.__members__  # type: ignore[attr-defined]
            return {"$": "enum", "t": name, "v": value.name if known else walk.item(value.value)}
        fields = {field: getattr(value, field) for field in _fields_of(kind) or () if hasattr(value, field)}
        return {"$": "object", "t": name, "v": walk.attributes(fields)}

    def _read(self, stored: Any, walk: _Walk) -> Any:
        if type(stored) is list:
            return walk.items(stored)
        if type(stored) is not dict:
            return stored
        if "$" not in stored:
            return walk.entries(stored)
        tag, content = stored["$"], stored.get("v")
        if tag in ("object", "enum"):
            return self._read_own(tag, stored.get("t"), content, walk)
        form = BY_TAG.get(tag) if isinstance(tag, str) else None
        if tag == "dict" and isinstance(content, list):
            value, broken = guarded(dict, walk.items(content))
        elif form is None:
            raise RefusedError(f"there is no tag {str(tag)[:80]!r}.")
        else:
            if isinstance(content, list) is not form.nested:
                raise RefusedError(f"what is tagged {tag!r} is malformed.")
            value, broken = guarded(form.read, walk.items(content) if form.nested else content)
        if broken is not None:
            raise RefusedError(f"what is tagged {tag!r} is malformed ({str(broken)[:200]}).")
        return value

    def _read_own(self, tag: str, name: Any, content: Any, walk: _Walk) -> Any:
        kind = self._types.get(name) if isinstance(name, str) else None
        if kind is None:
            raise RefusedError(
                f"the type {str(name)[:200]!r} is not known; give it as Codec(types=[…]).", UnknownTypeError
            )
        if issubclass(kind, enum.Enum) is not (tag == "enum"):
            raise RefusedError(f"a {name} is not stored as {tag!r}.")
        if issubclass(kind, enum.Enum):
            if isinstance(content, str) and content in kind.__members__:
                return kind.__members__[content]
            value, broken = guarded(kind, walk.item(content))
            if broken is not None or type(value) is not kind:
                raise RefusedError(f"{name} has no member {str(content)[:80]!r}.")
            return value
        fields = _fields_of(kind) or ()
        if not isinstance(content, dict) or set(content) != set(fields):
            raise RefusedError(f"the fields of {name} are {', '.join(fields)}, which are not those that were stored.")
        values = walk.attributes(content)
        if issubclass(kind, tuple):
            return tuple.__new__(kind, [values[field] for field in fields])
        made = object.__new__(kind)
        for field, value in values.items():
            object.__setattr__(made, field, value)
        return made


def _fields_of(kind: type) -> tuple[str, ...] | None:
    """The names of what a type is made of, or `None` if it cannot be told."""
    if issubclass(kind, tuple):
        return getattr(kind, "_fields", None)
    if dataclasses.is_dataclass(kind) and not issubclass(kind, _UNSAFE_PARENTS):
        return tuple(field.name for field in dataclasses.fields(kind))
    return None


class _Walk:
    """One way through a value, which counts its items and knows how deep it is."""

    def __init__(self, step: Callable[[Any, _Walk], Any]) -> None:
        self._step, self._depth, self._count = step, 0, 0

    def item(self, value: Any) -> Any:
        """What becomes of one value."""
        self._count += 1
        if self._count > MAX_ITEMS:
            raise RefusedError(f"it has more than {MAX_ITEMS:,} items.")
        if self._depth >= MAX_DEPTH:
            raise RefusedError(f"it is more than {MAX_DEPTH} levels deep, or contains itself.")
        self._depth += 1
        try:
            return self._step(value, self)
        finally:
            self._depth -= 1

    def items(self, values: list[Any]) -> list[Any]:
        """What becomes of the items of a list."""
        return list(self._children(enumerate(values), "[{!r}]").values())

    def entries(self, values: dict[str, Any]) -> dict[str, Any]:
        """What becomes of the values of a mapping."""
        return self._children(((self.item(key), one) for key, one in values.items()), "[{!r}]")

    def attributes(self, values: dict[str, Any]) -> dict[str, Any]:
        """What becomes of the fields of an object."""
        return self._children(values.items(), ".{}")

    def _children(self, pairs: Iterable[tuple[Any, Any]], path: str) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, one in pairs:
            try:
                made[key] = self.item(one)
            except RefusedError as refusal:
                refusal.steps.append(path.format(key))
                raise
        return made
