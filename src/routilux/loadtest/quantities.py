"""Durations and shares as people write them: "50ms", "30m", "0.1%"."""

from __future__ import annotations

import re

from routilux.errors import SettingError

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|min|h|d)", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_named(name: str, written: object) -> float:
    """Seconds, from a number of them or a text with a unit; raises `SettingError`, naming the setting, for others."""
    found = _WRITTEN.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is not None:
        seconds = float(found[1]) * _UNITS[found[2]]
    elif isinstance(written, int | float) and not isinstance(written, bool):
        seconds = float(written)
    else:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        wanted = "a number with its unit" if isinstance(written, str) else "seconds, or a text"
        raise SettingError(f'{name} must be {wanted}, as "50ms", "2s", "30m" or "7d", not {written!r}.')
    return seconds
