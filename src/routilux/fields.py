"""Reads one part of a message: what `field=` of a connection and the key of a `keyed` join name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from routilux.errors import HandlerInputError


def reader(part: str | int | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that reads `part` of a message.

    A name reads an item of a mapping, and an attribute of anything else; a number reads a position or an
    item; a function reads what it likes. It raises `HandlerInputError` where there is no such part.
    """
    if callable(part):
        return part

    def read(message: Any) -> Any:
        try:
            if isinstance(part, str) and not isinstance(message, Mapping):
                return getattr(message, part)
            return message[part]
        except (AttributeError, LookupError, TypeError):
            has = (
                f"with {', '.join(map(str, message))}" if isinstance(message, Mapping) else f"{type(message).__name__}"
            )
            raise HandlerInputError(f"it carries {part!r} of what is emitted, which has none: a {has}.") from None

    return read
