"""One value on its way back from JSON. What it reads may have been written by an enemy."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from routilux.errors import UnknownTypeError
from routilux.guard import guarded, text_of
from routilux.payloads.foreign import FOREIGN_BY_TAG
from routilux.payloads.forms import BY_TAG, MAX_ITEMS
from routilux.payloads.pickled import TAG, Pickles
from routilux.payloads.refusal import RefusedError, too_deep, too_many
from routilux.payloads.shapes import Shape


class Reader:
    """Goes once through what was stored; looks types up among those it was given, and makes no others."""

    __slots__ = ("_count", "_known", "_pickles")

    def __init__(self, known: Mapping[str, tuple[type, Shape | None]], pickles: Pickles | None) -> None:
        """`known` are the user's types by name, each with its shape where it is no enum.

        `pickles` read what was pickled; without them that is refused.
        """
        self._known = known
        self._pickles = pickles
        self._count = 0

    def item(self, stored: Any, levels: int) -> Any:
        """The value that JSON held so; raises `RefusedError`."""
        if type(stored) is list:
            return self._items(stored, levels)
        if type(stored) is not dict:
            return stored
        if "$" not in stored:
            return self._entries(stored, levels, "[{!r}]")
        tag, content = stored["$"], stored.get("v")
        if tag == "object":
            return self._object(stored.get("t"), content, levels)
        if tag == TAG:
            if self._pickles is None:
                raise RefusedError("it is pickled, and read only with allow_pickle=True and its journal_key.")
            return self._pickles.read(stored)
        if tag == "enum":
            return self._enum(stored.get("t"), content, levels)
        if tag == "dict" and isinstance(content, list):
            value, broken = guarded(dict, self._pairs(content, levels))
        else:
            value, broken = self._formed(tag, content, levels)
        if broken is not None:
            raise RefusedError(f"what is tagged {tag!r} cannot be read ({text_of(broken)[:200]}).")
        return value

    def _formed(self, tag: object, content: Any, levels: int) -> tuple[Any, Exception | None]:
        form = (BY_TAG.get(tag) or FOREIGN_BY_TAG.get(tag)) if isinstance(tag, str) else None
        if form is None:
            raise RefusedError(f"there is no tag {str(tag)[:80]!r}.")
        if isinstance(content, list) is not form.nested:
            raise RefusedError(f"what is tagged {tag!r} is malformed.")
        return guarded(form.read, self._items(content, levels) if form.nested else content)

    def _enum(self, name: object, content: Any, levels: int) -> Any:
        kind, _ = self._type(name)
        if not issubclass(kind, enum.Enum):
            raise RefusedError(f"{name} is no enum.")
        if isinstance(content, str) and content in kind.__members__:
            return kind.__members__[content]
        value, broken = guarded(kind, self.item(content, levels))
        if broken is not None or type(value) is not kind:
            raise RefusedError(f"{name} has no member {str(content)[:80]!r}.")
        return value

    def _object(self, name: object, content: Any, levels: int) -> Any:
        kind, shape = self._type(name)
        if shape is None or not isinstance(content, dict):
            raise RefusedError(f"what is stored as a {name} is malformed.")
        values = self._entries(content, levels, ".{}")
        if values.keys() != set(shape.fields):
            values = _completed(str(name), shape, values)
        made, broken = guarded(shape.make, kind, values)
        if broken is not None:
            raise RefusedError(f"a {name} cannot be made ({text_of(broken)[:200]}).")
        return made

    def _type(self, name: object) -> tuple[type, Shape | None]:
        known = self._known.get(name) if isinstance(name, str) else None
        if known is None:
            raise RefusedError(
                f"the type {str(name)[:200]!r} is not known; name it in an annotation of a routine, or as "
                "Codec(types=[…]).",
                UnknownTypeError,
            )
        return known

    def _pairs(self, stored: list[Any], levels: int) -> list[Any]:
        self._enter(2 * len(stored), levels)
        return [(self.item(key, levels - 1), self.item(one, levels - 1)) for key, one in map(_pair, stored)]

    def _items(self, stored: list[Any], levels: int) -> list[Any]:
        self._enter(len(stored), levels)
        made: list[Any] = []
        try:
            made.extend(self.item(one, levels - 1) for one in stored)
        except RefusedError as refusal:
            refusal.steps.append(f"[{len(made)}]")
            raise
        return made

    def _entries(self, stored: dict[str, Any], levels: int, path: str) -> dict[str, Any]:
        self._enter(len(stored), levels)
        made: dict[str, Any] = {}
        for name, one in stored.items():
            try:
                made[name] = self.item(one, levels - 1)
            except RefusedError as refusal:
                refusal.steps.append(path.format(name))
                raise
        return made

    def _enter(self, count: int, levels: int) -> None:
        self._count += count
        if self._count > MAX_ITEMS:
            raise too_many()
        if levels <= 0:
            raise too_deep()


def _pair(stored: Any) -> list[Any]:
    if type(stored) is not list or len(stored) != 2:
        raise RefusedError("what is tagged 'dict' is malformed.")
    return stored


def _completed(name: str, shape: Shape, values: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of fields that were added since; the order is that of the type."""
    unknown = values.keys() - set(shape.fields)
    missing = [field for field in shape.fields if field not in values]
    if unknown or not all(field in shape.defaults for field in missing):
        were, are = ", ".join(values), ", ".join(shape.fields)
        raise RefusedError(f"the fields of {name} were {were} when it was stored, and are now {are}.")
    made = {field: guarded(shape.defaults[field]) for field in missing}
    for field, (_, broken) in made.items():
        if broken is not None:
            raise RefusedError(f"the default of {name}.{field} raised {type(broken).__name__}.")
    return {field: values[field] if field in values else made[field][0] for field in shape.fields}
