"""What a handler's signature says: its parameters, what it returns, whether it is a generator.

Read once, when a routine is defined; nothing here runs a handler.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from routilux.context import Context
from routilux.errors import SignatureError
from routilux.guard import guarded
from routilux.hints import Annotation, item_of

REQUIRED: Any = inspect.Parameter.empty
"""Stands for the default of a parameter that has none."""


class Parameter(NamedTuple):
    """One parameter that a message can be handed to."""

    name: str
    annotation: Annotation
    default: Any
    keyword_only: bool

    @property
    def required(self) -> bool:
        """Whether the handler cannot be called without it."""
        return self.default is REQUIRED


class Signature(NamedTuple):
    """A handler, read."""

    handler: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    takes_any_name: bool
    """Whether it has `**names`."""
    context_name: str | None
    """The parameter annotated `Context`."""
    is_generator: bool
    is_async: bool
    """Whether it is a coroutine function or an async generator."""
    gives: Annotation
    """What one emission on `output` is, or `None` where the annotations do not say."""
    order: tuple[str, ...]
    """The names of all its parameters as they stand, the context's among them."""
    mentions_state: bool
    """Whether its code reads an attribute called `state`."""

    @property
    def takes_names(self) -> bool:
        """Whether one message is handed over item by item rather than whole."""
        return self.takes_any_name or len(self.parameters) > 1


def read_signature(handler: Callable[..., Any], where: str) -> Signature:
    """Reads a handler; `where` opens the message of the `SignatureError` for one that cannot be called."""
    if not callable(handler):
        raise SignatureError(f"{where}: a handler must be callable, not {handler!r}.")
    function = inspect.unwrap(_function(handler))
    shape, unreadable = guarded(inspect.signature, handler)
    if unreadable is not None:
        raise SignatureError(
            f"{where}: the signature of {_name(handler)} cannot be read ({unreadable}). Wrap it in a function of yours."
        )
    hints = guarded(typing.get_type_hints, function)[0] or {}
    parameters: list[Parameter] = []
    takes_any_name, context_name = False, None
    for parameter in shape.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise SignatureError(
                f"{where}: {_name(handler)} takes *{parameter.name}, but messages arrive by name. Name its parameters."
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any_name = True
        elif hints.get(parameter.name) is Context:
            context_name = parameter.name
        else:
            parameters.append(
                Parameter(
                    parameter.name,
                    hints.get(parameter.name),
                    parameter.default,
                    parameter.kind is parameter.KEYWORD_ONLY,
                )
            )
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    returns = hints.get("return")
    return Signature(
        handler,
        tuple(parameters),
        takes_any_name,
        context_name,
        is_generator,
        is_async,
        item_of(returns) if is_generator else returns,
        tuple(shape.parameters),
        mentions_state(function),
    )


def _function(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What holds the code: the function itself, or the `__call__` of an object's class."""
    inner = getattr(handler, "func", handler)
    return inner if hasattr(inner, "__code__") or isinstance(inner, type) else type(inner).__call__


def mentions_state(function: object) -> bool:
    """Whether the code of a function reads an attribute called `state`."""
    code = getattr(function, "__code__", None)
    return code is not None and "state" in code.co_names


def _name(handler: Callable[..., Any]) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
