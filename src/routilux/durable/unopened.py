"""Payloads that nobody opens: as the JSON that they are stored as, so that a job can be read without its flow."""

from __future__ import annotations

from typing import Any

import msgspec

from routilux.durable.payload import Payloads
from routilux.durable.records import Records
from routilux.durable.stored_error import known_exceptions
from routilux.errors import PayloadError, StoreError
from routilux.payloads import Codec

_decode = msgspec.json.Decoder().decode


class Unopened(Payloads):
    """Gives JSON for a payload: tags are shown, no value is made of them, and no file is read."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Codec(), _refuse, _refuse)

    def take(self, put: msgspec.Raw, root: str) -> Any:
        try:
            return _decode(put)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise PayloadError(f"{root}: it is no JSON: {error}.") from error


def unopened_records() -> Records:
    """What reads the records of any flow, and knows none of its types."""
    return Records(Unopened(), known_exceptions())


def _refuse(_: Any) -> Any:
    raise StoreError("Whoever reads a job without its flow neither writes nor reads large payloads.")
