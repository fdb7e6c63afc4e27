"""Payloads that nobody opens: as the JSON that they are stored as, so that a job can be read without its flow."""

from __future__ import annotations

from typing import Any

import msgspec

from routilux.durable.payload import Payloads
from routilux.durable.records import Records
from routilux.durable.stored_error import known_exceptions
from routilux.errors import PayloadError, StoreError
from routilux.payloads import Codec
from routilux.payloads.pickled import TAG, size_of

_PICKLED = f'"$":"{TAG}"'.encode()

_decode = msgspec.json.Decoder().decode


class Unopened(Payloads):
    """Gives JSON for a payload: tags are shown, no value is made of them, and no file is read."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Codec(), _refuse, _refuse)

    def take(self, put: msgspec.Raw, root: str) -> Any:
        try:
            return without_pickles(_decode(put)) if _PICKLED in bytes(put) else _decode(put)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise PayloadError(f"{root}: it is no JSON: {error}.") from error


def unopened_records() -> Records:
    """What reads the records of any flow, and knows none of its types."""
    return Records(Unopened(), known_exceptions())


def without_pickles(value: Any) -> Any:
    """The same with what says how large they are in place of pickles."""
    if isinstance(value, list):
        return [without_pickles(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("$") == TAG:
        return f"<pickled, {size_of(value):,} bytes>"
    return {name: without_pickles(one) for name, one in value.items()}


def _refuse(_: Any) -> Any:
    raise StoreError("Whoever reads a job without its flow neither writes nor reads large payloads.")
