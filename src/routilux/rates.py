"""Rates: how often something may begin, written as "10/s"."""

from __future__ import annotations

import re
from typing import NamedTuple

from routilux.errors import SettingError

_WRITTEN = re.compile(r"(\d+)\s*/\s*(\d*)\s*(ms|s|sec|second|m|min|minute|h|hour|d|day)s?", re.ASCII)
_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


class Rate(NamedTuple):
    """So many in so many nanoseconds, wherever those begin; they may come all at once."""

    times: int
    period_ns: int


def rate_of(name: str, written: object) -> Rate:
    """A rate as it is written: a number, a slash, and a unit (`s`, `min`, `h`, `d`; also `10/5s`).

    Raises `SettingError`, naming the setting, for what is none.
    """
    found = _WRITTEN.fullmatch(written.strip()) if isinstance(written, str) else None
    count = int(found[1]) if found else 0
    units = int(found[2] or 1) if found else 0
    if found is None or not count or not units:
        raise SettingError(f'{name} must be written like "10/s", "100/min" or "5000/h", not {written!r}.')
    unit = found[3] if found[3] == "ms" else found[3][0]
    return Rate(count, units * _UNITS_NS[unit])
