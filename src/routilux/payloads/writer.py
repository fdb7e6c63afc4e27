"""One value on its way to bytes: what JSON has no form of gets its tag."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from math import isfinite
from typing import Any

from routilux.errors import UnknownTypeError
from routilux.guard import guarded, text_of
from routilux.payloads.foreign import foreign_form
from routilux.payloads.forms import BY_TYPE, MAX_ITEMS, Form
from routilux.payloads.pickled import Pickles
from routilux.payloads.plain import LEAST, MOST
from routilux.payloads.refusal import RefusedError, too_deep, too_many
from routilux.payloads.shapes import Shape


class Writer:
    """Goes once through one value."""

    __slots__ = ("_count", "_known", "_pickles")

    def __init__(self, known: Mapping[type, tuple[str, Shape | None]], pickles: Pickles | None) -> None:
        """`known` are the user's types: the name of each, and its shape where it is no enum.

        `pickles` take what has no other form.
        """
        self._known = known
        self._pickles = pickles
        self._count = 0

    def item(self, value: Any, levels: int) -> Any:
        """What JSON is to hold for a value that may be so many levels deep; raises `RefusedError`."""
        kind = type(value)
        if kind is str:
            if not value.isascii() and guarded(value.encode)[1] is not None:
                raise RefusedError("a lone surrogate cannot be stored; store the text as bytes.")
            return value
        if kind is bool or value is None:
            return value
        if (kind is int and LEAST <= value <= MOST) or (kind is float and isfinite(value)):
            return value
        if kind is list:
            return self._items(value, levels)
        if kind is dict:
            return self._mapping(value, levels)
        form = BY_TYPE.get(kind) or foreign_form(kind)
        return self._own(value, kind, levels) if form is None else self._formed(value, form, levels)

    def _formed(self, value: Any, form: Form, levels: int) -> Any:
        content, broken = guarded(form.write, value)
        if broken is not None:
            if self._pickles is not None:
                return self._pickles.write(value)
            raise RefusedError(f"{text_of(broken)[:300].rstrip('.')}.")
        return {"$": form.tag, "v": self._items(content, levels) if form.nested else self.item(content, levels)}

    def _own(self, value: Any, kind: type, levels: int) -> Any:
        name, shape = self._known.get(kind, (None, None))
        if name is None:
            if self._pickles is not None:
                return self._pickles.write(value)
            full = f"{kind.__module__}.{kind.__qualname__}"
            raise RefusedError(
                f"a {full} cannot be stored; store what it is made of, or name its type: in an annotation of the "
                "routine, or as Codec(types=[…]).",
                UnknownTypeError,
            )
        if isinstance(value, enum.Enum):
            known = value.name in kind.__members__  # type: ignore[attr-defined]
            return {"$": "enum", "t": name, "v": value.name if known else self.item(value.value, levels)}
        assert shape is not None
        fields, broken = guarded(shape.take, value)
        if broken is not None:
            raise RefusedError(f"a field of it cannot be read ({text_of(broken)[:200]}).")
        return {"$": "object", "t": name, "v": self._entries(fields, levels, ".{}")}

    def _mapping(self, value: dict[Any, Any], levels: int) -> Any:
        if "$" not in value and all(type(key) is str for key in value):
            for key in value:
                self.item(key, levels)
            return self._entries(value, levels, "[{!r}]")
        self._enter(2 * len(value), levels)
        pairs = []
        for key, one in value.items():
            try:
                pairs.append([self.item(key, levels - 1), self.item(one, levels - 1)])
            except RefusedError as refusal:
                refusal.steps.append(f"[{key!r}]" if type(key) in (str, int) else f"[{type(key).__name__}]")
                raise
        return {"$": "dict", "v": pairs}

    def _items(self, values: list[Any], levels: int) -> list[Any]:
        self._enter(len(values), levels)
        made: list[Any] = []
        try:
            made.extend(self.item(one, levels - 1) for one in values)
        except RefusedError as refusal:
            refusal.steps.append(f"[{len(made)}]")
            raise
        return made

    def _entries(self, values: dict[str, Any], levels: int, path: str) -> dict[str, Any]:
        self._enter(len(values), levels)
        made: dict[str, Any] = {}
        for name, one in values.items():
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
