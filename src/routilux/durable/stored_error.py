"""What stands for an exception that was read from a store.

No class is looked up by a name that was read, but among those that are known: Python's own, ours, and those that the
strategies of the flow name. So whoever asks for one of these by `isinstance` gets the answer he got when it was raised.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, TypeAlias

from routilux import errors
from routilux.guard import guarded
from routilux.strategies import ErrorStrategy, Retry

Bases: TypeAlias = tuple[type[BaseException], ...]

Kinds: TypeAlias = dict[tuple[str, Bases], type["StoredError"]]
"""The classes of what stands for exceptions, by name and known classes; making one takes longer than all the rest."""

Known: TypeAlias = Mapping[str, type[BaseException]]
"""Exception classes by name."""


class StoredError(BaseException):
    """Stands for an exception that was read from a store: named, printed and, if its class is known, caught as it."""

    stored_name: str
    """Where its class was defined, as "module:name"."""
    _text: str = ""
    _known: Bases = (BaseException,)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        return stand_in, (self.stored_name, self._known, self.args), dict(vars(self))


def known_exceptions(more: Iterable[type[BaseException]] = ()) -> Known:
    """Python's exceptions and ours, and some more, by name."""
    every = chain(vars(builtins).values(), vars(errors).values(), more)
    return {name_of(one): one for one in every if isinstance(one, type) and issubclass(one, BaseException)}


def named_by(strategies: Iterable[ErrorStrategy | None]) -> frozenset[type[BaseException]]:
    """The exception classes that strategies name."""
    on = (one.on for one in strategies if isinstance(one, Retry))
    return frozenset(
        kind for kinds in on for kind in (kinds if isinstance(kinds, tuple) else (kinds,)) if isinstance(kind, type)
    )


def stand_in(name: str, known: Bases, arguments: Iterable[Any], kinds: Kinds | None = None) -> StoredError:
    """What stands for an exception of a class of this name, which is, or derives from, some known ones."""
    kinds, given = {} if kinds is None else kinds, tuple(arguments)
    native: type[BaseException] = _native(known[0])
    plain = Exception if issubclass(native, Exception) else BaseException
    made: Any = None
    choices: list[Bases] = [known, known[:1], (native,), (plain,)]
    bases = known
    for bases in choices:
        kind, broken = guarded(_kind, name, bases, kinds)
        if broken is None:
            made, broken = guarded(_native(kind).__new__, kind, *given)
        if broken is None:
            break
    error: StoredError = made
    if bases[0] is native:
        guarded(native.__init__, error, *given)
    error.stored_name, error._known = name, bases
    return error


def _kind(name: str, known: Bases, kinds: Kinds) -> type[StoredError]:
    found = kinds.get((name, known))
    if found is None:
        module, _, qualified = name.rpartition(":")
        names = {"__module__": module, "__qualname__": qualified}
        shown = qualified.rpartition(".")[2].replace("\0", "")
        found = kinds[name, known] = type(shown, (StoredError, *known), names)
    return found


def _native(kind: type) -> type:
    """The nearest of Python's own exceptions that a class derives from."""
    return next(one for one in kind.__mro__ if one.__module__ == "builtins")


def name_of(kind: type) -> str:
    """Under which name an exception class is stored."""
    return f"{kind.__module__}:{kind.__qualname__}"
