"""Calls: a handler as a function of what its slots hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from routilux.errors import HandlerInputError
from routilux.slots import Handler


def caller(handler: Handler, names: tuple[str, ...], where: str) -> Callable[..., Any]:
    """The handler as a function of one positional argument for each of `names`."""
    function = handler.signature.handler
    if not names:
        return function
    if handler.by_names:
        return _by_names(handler, names, where)
    if handler.is_method and len(handler.slots) == 1:
        sole = handler.parameters[0]
        return (lambda value: function(**{sole.name: value})) if sole.keyword_only else function
    leading = [parameter.name for parameter in handler.parameters if not parameter.keyword_only]
    if tuple(leading[: len(names)]) == names and not _context_inside(handler, len(names)):
        return function
    return lambda *values, **context: function(**dict(zip(names, values, strict=True)), **context)


def _context_inside(handler: Handler, count: int) -> bool:
    """Whether the context stands among the first parameters, so that positions would go to the wrong ones."""
    if handler.signature.context_name is None:
        return False
    return handler.signature.order.index(handler.signature.context_name) < count


def _by_names(handler: Handler, names: tuple[str, ...], where: str) -> Callable[..., Any]:
    """The handler as a function of one mapping, whose items go to the parameters of their names."""
    function, signature = handler.signature.handler, handler.signature
    known = {parameter.name for parameter in signature.parameters}
    required = {parameter.name for parameter in signature.parameters if parameter.required}
    wanted = ", ".join(parameter.name for parameter in signature.parameters) or "names"

    def call(message: Any) -> Any:
        if not isinstance(message, Mapping):
            raise HandlerInputError(
                f"{where}, slot {names[0]!r}: its handler takes {wanted} from a mapping, and a "
                f"{type(message).__name__} arrived. Emit a mapping, emit(event, name=value), or give it one parameter."
            )
        missing = required - message.keys()
        surplus = set() if signature.takes_any_name else message.keys() - known
        if missing or surplus:
            problem = f"lacks {sorted(missing)}" if missing else f"has {sorted(map(str, surplus))} too many"
            raise HandlerInputError(
                f"{where}, slot {names[0]!r}: its handler takes {wanted}, and the mapping that arrived "
                f"{problem}. Emit those names, or change the handler's parameters."
            )
        return function(**message)

    return call
