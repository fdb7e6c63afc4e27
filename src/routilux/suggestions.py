"""Suggestions: what somebody may have meant who wrote a name that is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from routilux.loading import loaded


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of an error message: the closest of the `known` names, or all of them."""
    names = sorted(known)
    close = closest(name, names)
    if close is not None:
        return f" Did you mean {close!r}?"
    return f" Known: {', '.join(map(repr, names))}." if names else " There are none."


def closest(name: object, names: Collection[str]) -> str | None:
    """The closest of the names, or the only one of which it is a word, as `mode` of `execution_mode`; if any."""
    close = loaded("difflib", "get_close_matches")(str(name), names, n=1)
    if close:
        return str(close[0])
    with_word = [one for one in names if name in one.split("_")]
    return with_word[0] if len(with_word) == 1 else None
