"""Whether what one port gives fits what another takes, as far as their annotations say.

The answer is "no" only where neither type could stand for the other; all doubt counts as "yes".
"""

from __future__ import annotations

import collections.abc
import types
import typing
from typing import Any

Annotation = Any
"""A type as `typing.get_type_hints` gives it, or `None` where there is no annotation at all."""

_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)

_NUMBERS: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}
"""What the typing rules let stand for a wider number."""


def fits(given: Annotation, taken: Annotation) -> bool:
    """Whether a value annotated `given` may be handed to a parameter annotated `taken`."""
    sources, targets = _classes(given), _classes(taken)
    if sources is None or targets is None or not sources or not targets:
        return True
    return any(_related(source, target) for source in sources for target in targets)


def item_of(annotation: Annotation) -> Annotation:
    """What one `yield` of a generator gives that is annotated as returning `annotation`."""
    if _origin(annotation) in _STREAMS:
        return typing.get_args(annotation)[0]
    return None


def is_list(annotation: Annotation) -> bool:
    """Whether a list may be handed to a parameter of this annotation."""
    return fits(list, annotation)


def list_item_of(annotation: Annotation) -> Annotation:
    """What the items of a list parameter are, or `None` where the annotation does not say."""
    arguments = typing.get_args(annotation)
    origin = _origin(annotation)
    if len(arguments) == 1 and isinstance(origin, type) and issubclass(list, origin):
        return arguments[0]
    return None


def name_of(annotation: Annotation) -> str:
    """An annotation as it is written."""
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)


def _origin(annotation: Annotation) -> Any:
    return typing.get_origin(annotation)


def _classes(annotation: Annotation) -> list[type] | None:
    """The classes a value may be of, without `None` (which emits nothing); `None` if it cannot be told."""
    origin = _origin(annotation)
    if origin is typing.Annotated:
        return _classes(typing.get_args(annotation)[0])
    if origin is typing.Union or origin is types.UnionType:
        classes: list[type] = []
        for argument in typing.get_args(annotation):
            more = _classes(argument)
            if more is None:
                return None
            classes += more
        return classes
    if origin is typing.Literal:
        return [type(value) for value in typing.get_args(annotation) if value is not None]
    known = origin if isinstance(origin, type) else annotation
    if known is type(None):
        return []
    if typing.is_typeddict(known):
        return [dict]
    if known in (Any, object) or not isinstance(known, type) or getattr(known, "_is_protocol", False):
        return None
    return [known]


def _related(source: type, target: type) -> bool:
    """Whether an object could be of both: one derives from the other, or a number stands for another."""
    return issubclass(source, target) or issubclass(target, source) or source in _NUMBERS.get(target, ())
