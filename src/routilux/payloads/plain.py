"""Whether a value is plainly JSON's own, so that it may be written, or was read, just as it is.

This is what most payloads are, and looking costs a tenth of walking through them. All doubt is "no".
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

LEAST, MOST = -(2**63), 2**63 - 1
LONG = 16
"""From so many items on it pays to ask first whether they are all of one type."""


def is_plain(value: Any, levels: int, left: list[int]) -> bool:
    """Whether it consists of exact texts, numbers, lists and dicts, at most `levels` of these in each other.

    `left` holds how many items it may still have; what is in several places counts as often.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return LEAST <= value <= MOST  # type: ignore[no-any-return]
    if kind is float:
        return isfinite(value)
    if levels <= 0:
        return False
    items: Iterable[Any]
    if kind is list:
        left[0] -= len(value)
        if left[0] < 0:
            return False
        if len(value) >= LONG and len(kinds := set(map(type, value))) == 1:
            return _are_plain(value, kinds.pop(), levels, left)
        items = value
    elif kind is dict:
        left[0] -= len(value)
        if left[0] < 0 or "$" in value:
            return False
        for key in value:
            if type(key) is not str:
                return False
        items = value.values()
    else:
        return False
    for one in items:
        kind = type(one)
        if kind is str or kind is bool or one is None:
            continue
        if kind is int:
            if not LEAST <= one <= MOST:
                return False
        elif kind is float:
            if not isfinite(one):
                return False
        elif not is_plain(one, levels - 1, left):
            return False
    return True


def _are_plain(items: list[Any], kind: type, levels: int, left: list[int]) -> bool:
    """The same of a list of values that are all of one type."""
    if kind is str or kind is bool:
        return True
    if kind is int:
        return bool(min(items) >= LEAST and max(items) <= MOST)
    if kind is float:
        return all(map(isfinite, items))
    return all(is_plain(one, levels - 1, left) for one in items)
