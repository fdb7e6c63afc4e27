"""Exceptions as data, and what stands for them once they are read back.

No class is looked up by a name that was read, but among those that are known: Python's own, ours, and those that the
strategies of the flow name. So whoever asks for one of these by `isinstance` gets the answer he got when it was raised.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import msgspec

from routilux import errors
from routilux.durable.payload import NOTHING
from routilux.errors import PayloadError
from routilux.facts import Frame, frames_of
from routilux.guard import guarded, text_of
from routilux.machine.complaints import raised_elsewhere
from routilux.payloads import Codec
from routilux.strategies import ErrorStrategy, Retry

MOST = 64 * 1024
"""Bytes that are kept of one exception and all that caused it."""

LARGEST_VALUE = 8 * 1024
"""Bytes of one thing that it carries; larger ones are left out."""

Kinds: TypeAlias = dict[tuple[str, type[BaseException]], type["StoredError"]]
"""The classes of what stands for exceptions, by name and known class; making one takes longer than all the rest."""

Known: TypeAlias = Mapping[str, type[BaseException]]
"""Exception classes by name."""


class StoredError(BaseException):
    """Stands for an exception that was read from a store: named, printed and, if its class is known, caught as it."""

    stored_name: str
    """Where its class was defined, as "module:name"."""
    _text: str = ""
    _known: type[BaseException] = BaseException

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        return stand_in, (self.stored_name, self._known, self.args), dict(vars(self))


class ErrorRecord(
    msgspec.Struct,
    omit_defaults=True,
    rename={"name": "n", "text": "t", "kinds": "k", "notes": "o", "frames": "f", "arguments": "a", "attributes": "d"}
    | {"cause": "c", "context": "x", "suppressed": "s", "group": "g"},
):
    """One exception."""

    name: str
    text: str
    kinds: list[str]
    """The names of its class and of all that it derives from, nearest first."""
    notes: list[str] = []
    frames: list[Frame] = []
    arguments: msgspec.Raw = NOTHING
    """Its `args`, where all of them can be stored."""
    attributes: dict[str, msgspec.Raw] = {}
    """What else it carries, as far as it can be stored."""
    cause: ErrorRecord | None = None
    context: ErrorRecord | None = None
    suppressed: bool = False
    group: list[ErrorRecord] = []


class Bounds(NamedTuple):
    """How much is kept of an exception."""

    text: int
    notes: int
    frames: int
    kinds: int
    links: int
    """How many causes there are in a row, and exceptions in a group."""
    carried: bool


BOUNDS = (Bounds(8_000, 16, 100, 60, 8, True), Bounds(1_000, 8, 30, 40, 3, False), Bounds(200, 2, 5, 20, 0, False))
"""Tried in turn until there are few enough bytes. With the last it cannot be otherwise."""


class StoredErrors:
    """Writes exceptions, and makes what stands for them."""

    __slots__ = ("_codec", "_kinds", "_known")

    def __init__(self, codec: Codec, known: Known) -> None:
        self._codec = codec
        self._known = known
        self._kinds: Kinds = {}

    def written(self, error: BaseException, frames: Iterable[Frame]) -> msgspec.Raw:
        """An exception as at most `MOST` bytes, whatever it is; `frames` are its own, if it has no traceback."""
        own, data = list(frames) or list(frames_of(error)), b""
        for bounds in BOUNDS:
            data = msgspec.json.encode(self._record(error, own, bounds, frozenset(), bounds.links))
            if len(data) <= MOST:
                break
        return msgspec.Raw(data)

    def read(self, record: ErrorRecord) -> BaseException:
        """What stands for an exception; its own frames are left to whoever reports the failure."""
        arguments = [] if record.arguments is NOTHING else self._taken(record.arguments, [])
        known = next((self._known[name] for name in record.kinds if name in self._known), Exception)
        if issubclass(known, BaseExceptionGroup):
            arguments = [record.text, [self.read(one) for one in record.group]]
        error = stand_in(record.name, known, arguments, self._kinds)
        for name, value in record.attributes.items():
            vars(error)[name] = self._taken(value, None)
        error._text = record.text
        for note in record.notes:
            error.add_note(note)
        for name, inner in (("__cause__", record.cause), ("__context__", record.context)):
            if inner is not None:
                linked = self.read(inner)
                if inner.frames:
                    linked.add_note(raised_elsewhere(inner.frames))
                setattr(error, name, linked)
        error.__suppress_context__ = record.suppressed
        return error

    def _taken(self, value: msgspec.Raw, otherwise: Any) -> Any:
        """A value that it carried, as far as its type is still known."""
        try:
            return self._codec.decode(bytes(value))
        except PayloadError:
            return otherwise

    def _record(
        self, error: BaseException, frames: list[Frame], bounds: Bounds, above: frozenset[int], links: int
    ) -> ErrorRecord:
        def linked(inner: BaseException | None) -> ErrorRecord | None:
            if inner is None or id(inner) in inside or links <= 0:
                return None
            return self._record(inner, list(frames_of(inner)), bounds, inside, links - 1)

        inside = above | {id(error)}
        notes = guarded(getattr, error, "__notes__", ())[0]
        notes = [note for note in notes if isinstance(note, str)] if isinstance(notes, (list, tuple)) else []
        inner = error.exceptions[: bounds.links] if isinstance(error, BaseExceptionGroup) else ()
        context = None if error.__suppress_context__ else error.__context__
        return ErrorRecord(
            _cut(name_of(type(error)), bounds.text),
            _cut(text_of(error), bounds.text),
            [_cut(name_of(one), bounds.text) for one in type(error).__mro__[: bounds.kinds] if one is not object],
            [_cut(note, bounds.text) for note in notes[: bounds.notes]],
            [(_cut(file, bounds.text), line, _cut(name, bounds.text)) for file, line, name in frames[-bounds.frames :]],
            self._carried(list(guarded(getattr, error, "args", ())[0] or ())) if bounds.carried else NOTHING,
            self._attributes(error) if bounds.carried else {},
            linked(error.__cause__),
            linked(context),
            error.__suppress_context__,
            [found for one in inner if (found := linked(one)) is not None],
        )

    def _attributes(self, error: BaseException) -> dict[str, msgspec.Raw]:
        own = guarded(vars, error)[0] or {}
        found = ((name, self._carried(value)) for name, value in own.items() if name != "__notes__")
        return {name: value for name, value in found if value is not NOTHING and name.isidentifier()}

    def _carried(self, value: Any) -> msgspec.Raw:
        data, broken = guarded(self._codec.encode, value)
        return NOTHING if broken is not None or len(data) > LARGEST_VALUE else msgspec.Raw(data)


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


def stand_in(
    name: str, known: type[BaseException], arguments: Iterable[Any], kinds: Kinds | None = None
) -> StoredError:
    """What stands for an exception of a class of this name, which is, or derives from, a known one."""
    kinds, given = {} if kinds is None else kinds, tuple(arguments)
    native = next(one for one in known.__mro__ if one.__module__ == "builtins")
    kind, broken = guarded(_kind, name, known, kinds)
    if broken is not None:
        kind, known = _kind(name, native, kinds), native
    made, broken = guarded(native.__new__, kind, *given)
    if broken is not None:
        known = Exception if issubclass(known, Exception) else BaseException
        made = known.__new__(_kind(name, known, kinds))
    elif known is native:
        guarded(native.__init__, made, *given)
    error: StoredError = made
    error.stored_name, error._known = name, known
    return error


def _kind(name: str, known: type[BaseException], kinds: Kinds) -> type[StoredError]:
    found = kinds.get((name, known))
    if found is None:
        module, _, qualified = name.rpartition(":")
        names = {"__module__": module, "__qualname__": qualified}
        found = kinds[name, known] = type(qualified.rpartition(".")[2], (StoredError, known), names)
    return found


def name_of(kind: type) -> str:
    """Under which name an exception class is stored."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _cut(text: str, most: int) -> str:
    text = text if len(text) <= most else f"{text[:most]}…"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
