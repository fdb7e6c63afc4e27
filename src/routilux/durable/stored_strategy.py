"""Error strategies as data: those of this package, where they name known exceptions and nothing of the user's."""

from __future__ import annotations

from typing import Any

import msgspec

from routilux.durable.stored_error import Known, name_of
from routilux.errors import SettingError
from routilux.strategies import Continue, ErrorStrategy, Retry, Seconds, Skip, Stop, seconds_of

_PLAIN = {one.__name__: one for one in (Stop, Continue, Skip)}


class StoredStrategy(msgspec.Struct, omit_defaults=True):
    """Stop, Continue or Skip by name; of a Retry also what is set of it."""

    name: str
    max_retries: int = 0
    delay: float | list[float] = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    jitter: float = 0.0
    on: list[str] = []
    then: str | None = None


def stored_strategy(strategy: ErrorStrategy, known: Known) -> StoredStrategy | None:
    """A strategy as data; `None` where it is, or holds, what cannot be written down."""
    kind = type(strategy)
    if kind in _PLAIN.values():
        return StoredStrategy(kind.__name__)
    if not isinstance(strategy, Retry) or kind is not Retry:
        return None
    on: Any = strategy.on if isinstance(strategy.on, tuple) else (strategy.on,)
    if not all(isinstance(one, type) and known.get(name_of(one)) is one for one in on):
        return None
    then = type(strategy.then)
    if strategy.then is not None and then not in _PLAIN.values():
        return None
    delay: Any = strategy.delay
    several = hasattr(delay, "__len__")
    return StoredStrategy(
        kind.__name__,
        strategy.max_retries,
        [_seconds(one) for one in delay] if several else _seconds(delay),
        strategy.backoff,
        None if strategy.max_delay is None else _seconds(strategy.max_delay),
        strategy.jitter,
        [name_of(one) for one in on],
        None if strategy.then is None else then.__name__,
    )


def read_strategy(stored: StoredStrategy, known: Known) -> ErrorStrategy:
    """The strategy; raises `SettingError` where it means nothing, or names an exception that is not known."""
    if stored.name != Retry.__name__:
        return _plain(stored.name)
    on = []
    for name in stored.on:
        kind = known.get(name)
        if kind is None or not issubclass(kind, Exception):
            raise SettingError(f"error_strategy: {name[:200]} is not known. Name it in a strategy of the flow.")
        on.append(kind)
    return Retry(
        stored.max_retries,
        stored.delay,
        stored.backoff,
        stored.max_delay,
        stored.jitter,
        on[0] if len(on) == 1 else tuple(on),
        None if stored.then is None else _plain(stored.then),
    )


def _plain(name: str) -> ErrorStrategy:
    if name not in _PLAIN:
        raise SettingError(f"error_strategy: there is no {name[:80]!r}.")
    return _PLAIN[name]()


def _seconds(value: Seconds) -> float:
    return seconds_of("delay", value)
