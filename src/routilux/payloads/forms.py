"""The closed table of types that are stored beside JSON's own: for each a tag, and how it is written and read."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from routilux.payloads.secret import Secret

MAX_DEPTH = 100
MAX_ITEMS = 1_000_000
LARGEST_INT = 10**4300


class Form(NamedTuple):
    """How a type is stored: as its tag and one JSON value, or as a list whose items are stored in their turn."""

    type: type
    tag: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    nested: bool = False


def _write_zoned(value: datetime | time) -> list[Any]:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo]


def _write_zone(value: ZoneInfo) -> str:
    if value.key is None:
        raise ValueError("a time zone without a name cannot be stored")
    return value.key


def _write_int(value: int) -> str:
    if abs(value) >= LARGEST_INT:
        raise ValueError("an int of more than 4,300 digits cannot be stored")
    return hex(value)


def _read_int(text: str) -> int:
    value = int(text, 16)
    if abs(value) >= LARGEST_INT:
        raise ValueError("it has more than 4,300 digits")
    return value


def _read_float(text: str) -> float:
    value = float(text)
    if math.isfinite(value):
        raise ValueError("a finite float needs no tag")
    return value


def _in_base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _read_datetime(parts: list[Any]) -> datetime:
    return datetime.fromisoformat(parts[0]).replace(fold=parts[1], tzinfo=parts[2])


def _read_time(parts: list[Any]) -> time:
    return time.fromisoformat(parts[0]).replace(fold=parts[1], tzinfo=parts[2])


FORMS = (
    Form(int, "int", _write_int, _read_int),
    Form(float, "float", repr, _read_float),
    Form(bytes, "bytes", _in_base64, _from_base64),
    Form(bytearray, "bytearray", _in_base64, lambda text: bytearray(_from_base64(text))),
    Form(date, "date", date.isoformat, date.fromisoformat),
    Form(Decimal, "decimal", str, Decimal),
    Form(Secret, "secret", lambda value: value.env, lambda name: Secret(env=name)),
    Form(UUID, "uuid", lambda value: value.hex, UUID),
    Form(timedelta, "timedelta", lambda v: [v.days, v.seconds, v.microseconds], lambda v: timedelta(*v), True),
    Form(timezone, "timezone", lambda v: list(v.__getinitargs__()), lambda v: timezone(*v), True),
    Form(ZoneInfo, "zone", _write_zone, ZoneInfo),
    Form(datetime, "datetime", _write_zoned, _read_datetime, True),
    Form(time, "time", _write_zoned, _read_time, True),
    Form(complex, "complex", lambda value: [value.real, value.imag], lambda parts: complex(*parts), True),
    Form(range, "range", lambda value: [value.start, value.stop, value.step], lambda v: range(*v), True),
    Form(tuple, "tuple", list, tuple, True),
    Form(set, "set", list, set, True),
    Form(frozenset, "frozenset", list, frozenset, True),
    *(Form(one, one.__name__, str, one) for one in (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath)),
)
BY_TYPE = {form.type: form for form in FORMS}
BY_TAG = {form.tag: form for form in FORMS}
