"""Values as bytes: JSON, with `{"$": tag, "v": …}` for what JSON has no form of.

Types are exact: a value comes back equal and of the same type, or is refused with the path to what cannot be stored.
Reading looks types up among those it was given; it imports nothing but what its own closed table names, and calls
no code of theirs but `Enum`'s look-up, the defaults of fields that were added since, and a Struct's `__post_init__`.
What is JSON's own already, as most values are, is written and read without a walk through it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from routilux.errors import PayloadError, PayloadTooLargeError
from routilux.guard import guarded
from routilux.loading import needing
from routilux.payloads.forms import MAX_DEPTH, MAX_ITEMS
from routilux.payloads.pickled import Pickles
from routilux.payloads.plain import is_plain
from routilux.payloads.reader import Reader
from routilux.payloads.refusal import RefusedError, too_deep
from routilux.payloads.shapes import shape_of
from routilux.payloads.writer import Writer

with needing("store", "Storing payloads"):
    import msgspec

MAX_PAYLOAD = 64 * 2**20

_as_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


class Codec:
    """Writes and reads values of JSON's types, of the closed tables in `forms` and `foreign`, and of the given `types`.

    `types` are dataclasses, enums, NamedTuples, and models of msgspec and pydantic. `max_payload` is in bytes.
    """

    def __init__(
        self, types: Iterable[type] = (), *, max_payload: int = MAX_PAYLOAD, pickles: Pickles | None = None
    ) -> None:
        """`pickles` write and read what has no other form; without them that is refused."""
        named = [(f"{one.__module__}:{one.__qualname__}", one, shape_of(one)) for one in dict.fromkeys(types)]
        self._by_type = {one: (name, shape) for name, one, shape in named}
        self._by_name = {name: (one, shape) for name, one, shape in named}
        self._max_payload = max_payload
        self.pickles = pickles
        for name, one, shape in named:
            if self._by_name[name][0] is not one:
                raise PayloadError(f"Two types are called {name}; rename one, or its payloads could not be told apart.")
            if shape is None and not issubclass(one, enum.Enum):
                raise PayloadError(
                    f"{one.__qualname__} cannot be stored: give a dataclass, an enum, a NamedTuple or a model."
                )

    def encode(self, value: Any, root: str = "value") -> bytes:
        """The bytes of a value, which `PayloadError` calls `root` where it cannot be stored."""
        data = _written_plainly(value) if is_plain(value, MAX_DEPTH, [MAX_ITEMS]) else None
        if data is None:
            data = self._written(value, root)
        if len(data) > self._max_payload:
            raise _too_large(root, data, self._max_payload)
        return data

    def encode_plain(self, values: list[Any]) -> bytes | None:
        """The bytes of several values as one list; `None` where one is not JSON's own, or where that is a lot."""
        data = _written_plainly(values) if is_plain(values, MAX_DEPTH, [MAX_ITEMS]) else None
        return None if data is None or len(data) > self._max_payload else data

    def decode_plain(self, data: bytes, root: str = "value") -> list[Any]:
        """The values that `encode_plain` was given; raises `PayloadError`."""
        values, broken = guarded(_from_json, data)
        if broken is not None or type(values) is not list or not is_plain(values, MAX_DEPTH, [MAX_ITEMS]):
            raise PayloadError(f"{root}: it is no list of plain values.")
        return values

    def decode(self, data: bytes, root: str = "value") -> Any:
        """The value of some bytes; raises nothing but `PayloadError`, whatever they are."""
        if len(data) > self._max_payload:
            raise _too_large(root, data, self._max_payload)
        stored, broken = guarded(_from_json, data)
        if broken is not None:
            raise PayloadError(f"{root}: it is not JSON ({broken}).")
        if b'"$"' not in data and (_is_small(data) or is_plain(stored, MAX_DEPTH, [MAX_ITEMS])):
            return stored
        try:
            return Reader(self._by_name, self.pickles).item(stored, MAX_DEPTH)
        except RefusedError as refusal:
            raise refusal.error(root) from None
        except RecursionError:
            raise too_deep().error(root) from None

    def _written(self, value: Any, root: str) -> bytes:
        try:
            return _as_json(Writer(self._by_type, self.pickles).item(value, MAX_DEPTH))
        except RefusedError as refusal:
            raise refusal.error(root) from None
        except RecursionError:
            raise too_deep().error(root) from None


def _written_plainly(value: Any) -> bytes | None:
    """The bytes of a plain value, unless a text in it cannot be written."""
    try:
        return _as_json(value)
    except UnicodeEncodeError:
        return None


def _is_small(data: bytes) -> bool:
    """Whether JSON certainly goes no deeper, and has no more items, than is allowed."""
    return len(data) <= MAX_ITEMS and data.count(b"[") + data.count(b"{") <= MAX_DEPTH


def _too_large(root: str, data: bytes, most: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"{root}: its {len(data):,} bytes are more than max_payload={most:,}.")
