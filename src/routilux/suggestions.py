"""Suggestions: what somebody may have meant who wrote a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable

from routilux.loading import loaded


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of an error message: the closest of the `known` names, or all of them."""
    names = sorted(known)
    close = loaded("difflib", "get_close_matches")(str(name), names, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(map(repr, names))}." if names else " There are none."
