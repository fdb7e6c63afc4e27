"""Exceptions as records, bounded whatever they are, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from routilux.durable.payload import NOTHING
from routilux.durable.stored_error import Bases, Kinds, Known, name_of, stand_in
from routilux.errors import PayloadError
from routilux.facts import Frame, frames_of
from routilux.guard import guarded, text_of
from routilux.machine.complaints import raised_elsewhere
from routilux.payloads import Codec

MOST = 64 * 1024
"""Bytes that are kept of one exception and all that caused it."""

LARGEST_VALUE = 8 * 1024
"""Bytes of one thing that it carries; larger ones are left out."""

NATIVE = ("errno", "filename", "filename2", "name", "path")
"""What Python's own exceptions carry beside their `args`."""


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


class ErrorRecords:
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
        arguments = [] if record.arguments is NOTHING else self._taken(record.arguments)
        known = self._bases(record.kinds)
        if issubclass(known[0], BaseExceptionGroup):
            arguments = [record.text, [self.read(one) for one in record.group]]
        error = stand_in(record.name, known, arguments if isinstance(arguments, list) else [], self._kinds)
        for name, value in record.attributes.items():
            if name in NATIVE:
                guarded(BaseException.__setattr__, error, name, self._taken(value))
            elif not name.startswith("_"):
                vars(error)[name] = self._taken(value)
        error._text = record.text
        for note in record.notes:
            BaseException.add_note(error, note)
        for name, inner in (("__cause__", record.cause), ("__context__", record.context)):
            if inner is not None:
                linked = self.read(inner)
                if inner.frames:
                    linked.add_note(raised_elsewhere(inner.frames))
                setattr(error, name, linked)
        error.__suppress_context__ = record.suppressed
        return error

    def _bases(self, names: list[str]) -> Bases:
        """The known ones among the classes that something derives from, without those that others derive from."""
        found: list[type[BaseException]] = []
        for name in names:
            kind = self._known.get(name)
            if kind is not None and not any(issubclass(one, kind) for one in found):
                found.append(kind)
        return tuple(found) or (Exception,)

    def _taken(self, value: msgspec.Raw) -> Any:
        """A value that it carried; `None` where its type is not known any more."""
        try:
            return self._codec.decode(bytes(value))
        except PayloadError:
            return None

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
        own = {name: value for name, value in (guarded(vars, error)[0] or {}).items() if not str(name).startswith("_")}
        native = ((name, guarded(getattr, error, name, None)[0]) for name in NATIVE)
        own |= {name: value for name, value in native if value is not None}
        found = {str(name): self._carried(value) for name, value in own.items() if str(name).isidentifier()}
        return {name: value for name, value in found.items() if value is not NOTHING}

    def _carried(self, value: Any) -> msgspec.Raw:
        data, broken = guarded(self._codec.encode, value)
        return NOTHING if broken is not None or len(data) > LARGEST_VALUE else msgspec.Raw(data)


def _cut(text: str, most: int) -> str:
    text = text if len(text) <= most else f"{text[:most]}…"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
