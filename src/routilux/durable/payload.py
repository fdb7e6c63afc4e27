"""Payloads as they stand in records: small ones in place, large ones by the name of the file that holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from routilux.errors import PayloadError
from routilux.guard import guarded
from routilux.page import Page
from routilux.parcel import Parcel
from routilux.payloads import Codec

INLINE = 256 * 1024
"""Bytes from which on a payload lies elsewhere; so records stay small, and a large value is written once."""

NOTHING = msgspec.Raw()
"""Stands in a record where there is no payload."""

# No value is written so: the codec has a tag for mappings that have a "$" themselves.
_ELSEWHERE = b'{"$":"blob","v":'


class StoredPage(Page):
    """Values as they stand in a record."""

    __slots__ = ("_codec", "_data")

    def __init__(self, event: str, count: int, data: msgspec.Raw, codec: Codec) -> None:
        """Raises `PayloadError` where they are not what they should be."""
        super().__init__(event, count)
        self._data = data
        self._codec = codec
        if len(self.open()) != count:
            raise PayloadError(f"{event}: a page of {count} values has another number of them.")

    def open(self) -> list[Any]:
        return self._codec.decode_plain(bytes(self._data), self.event)


class Payloads:
    """Puts values into records and takes them out; `save` and `load` are those of the store's large payloads."""

    __slots__ = ("_load", "_save", "codec")

    def __init__(self, codec: Codec, save: Callable[[bytes], str], load: Callable[[str], bytes]) -> None:
        self.codec = codec
        self._save = save
        self._load = load

    def put(self, value: Any, root: str) -> msgspec.Raw:
        """What stands for a value in a record; raises `PayloadError`, which calls it `root`."""
        data = self.codec.encode(value.open() if isinstance(value, Parcel) else value, root)
        return msgspec.Raw(data) if len(data) <= INLINE else self.place(data)

    def written(self, value: Any, root: str) -> bytes:
        """The bytes of a value, wherever they come to stand; raises `PayloadError`."""
        return self.codec.encode(value.open() if isinstance(value, Parcel) else value, root)

    def place(self, data: bytes) -> msgspec.Raw:
        """What stands in a record for the bytes of a value."""
        if len(data) <= INLINE:
            return msgspec.Raw(data)
        return msgspec.Raw(_ELSEWHERE + msgspec.json.encode(self._save(data)) + b"}")

    def put_all(self, values: list[Any]) -> bytes | None:
        """What stands for several values together, if they are plain and small enough to stand in place."""
        data = self.codec.encode_plain(values)
        return data if data is not None and len(data) <= INLINE else None

    def take(self, put: msgspec.Raw, root: str) -> Any:
        """The value; raises `PayloadError`."""
        data = bytes(put)
        if data.startswith(_ELSEWHERE):
            name, broken = guarded(msgspec.json.decode, data[len(_ELSEWHERE) : -1])
            if broken is not None or not isinstance(name, str):
                raise PayloadError(f"{root}: the name of its file is malformed.")
            data = self._load(name)
        return self.codec.decode(data, root)
