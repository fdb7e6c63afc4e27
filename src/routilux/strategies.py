"""What to decide about a failure.

A strategy is a frozen value with one pure decision. It keeps no count: the attempt comes in with the
failure, and so one strategy object serves any number of jobs at once.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from routilux.decision import Decision, TryAgain, Verdict
from routilux.errors import SettingError
from routilux.guard import guarded


class Duration(Protocol):
    """What says itself how long it is, as a timedelta does."""

    def total_seconds(self) -> float:
        """The seconds in it."""


Seconds: TypeAlias = float | Duration
"""A duration: a number of seconds, or a timedelta."""

RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which exceptions are tried again: types, or a predicate of the exception."""


class ErrorStrategy(ABC):
    """Decides about one failed attempt; must not keep anything between two calls."""

    __slots__ = ()

    @abstractmethod
    def decide(self, error: BaseException, attempt: int, seed: str) -> Decision:
        """The decision about `error`, raised by attempt number `attempt` (from 1).

        `seed` names job and activation: what is random in a decision is a function of it and of the attempt.
        """

    def within(self, flow_strategy: ErrorStrategy) -> ErrorStrategy:
        """This strategy in a flow whose own is `flow_strategy`, for one that leaves something to the flow."""
        return self


class Plainly(ErrorStrategy):
    """A strategy at which there is nothing to set, so that all of one class are equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Stop(Plainly):
    """The failure fails the job: nothing more starts, and the error is raised by `raise_for_status`."""

    __slots__ = ()

    def decide(self, error: BaseException, attempt: int, seed: str) -> Decision:
        return Verdict.STOP


class Continue(Plainly):
    """The failure is recorded, leaves by the routine's `error` event, and the job goes on."""

    __slots__ = ()

    def decide(self, error: BaseException, attempt: int, seed: str) -> Decision:
        return Verdict.CONTINUE


class Skip(Plainly):
    """The activation is marked skipped, emits nothing, and the job goes on."""

    __slots__ = ()

    def decide(self, error: BaseException, attempt: int, seed: str) -> Decision:
        return Verdict.SKIP


@dataclass(frozen=True, slots=True)
class Retry(ErrorStrategy):
    """Tries again, up to `max_retries` more times after the first; then does what `then` says.

    `delay` is the wait before the second attempt in seconds (or a timedelta, or a sequence with one wait
    for each retry, whose last one repeats); each later wait is `backoff` times the one before, at most
    `max_delay` where that is given, and varies by up to `jitter` of itself (0.1: ten per cent) to both sides.
    Only exceptions that match `on` are tried again, a timeout being a `HandlerTimeoutError`; others go to
    `then` at once. `then=None` means the flow's own strategy (Stop if that is a Retry itself).
    """

    max_retries: int = 3
    delay: Seconds | Sequence[Seconds] = 0.0
    backoff: float = 2.0
    max_delay: Seconds | None = None
    jitter: float = 0.0
    on: RetryOn = Exception
    then: ErrorStrategy | None = None

    def __post_init__(self) -> None:
        if type(self.max_retries) is not int or self.max_retries < 0:
            raise SettingError(f"Retry: max_retries must be a whole number from 0, not {self.max_retries!r}.")
        for name, least in (("backoff", 1.0), ("jitter", 0.0)):
            number = getattr(self, name)
            if not _is_number(number) or number < least:
                raise SettingError(f"Retry: {name} must be a number from {least:g}, not {number!r}.")
        if self.jitter > 1:
            raise SettingError(f"Retry: jitter is a share of the delay, from 0 to 1, not {self.jitter!r}.")
        if isinstance(self.delay, Sequence):
            if isinstance(self.delay, str) or not self.delay:
                raise SettingError(f"Retry: delay must be seconds or a list of seconds, not {self.delay!r}.")
            for one in self.delay:
                seconds_of("Retry: delay", one)
        else:
            seconds_of("Retry: delay", self.delay)
        if self.max_delay is not None:
            seconds_of("Retry: max_delay", self.max_delay)
        self._check_on()
        if self.then is not None and (not isinstance(self.then, ErrorStrategy) or isinstance(self.then, Retry)):
            raise SettingError(f"Retry: then must be Stop(), Continue() or Skip(), not {self.then!r}.")

    def _check_on(self) -> None:
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        for kind in kinds:
            is_type = isinstance(kind, type) and issubclass(kind, Exception)
            if not is_type and (isinstance(kind, type) or isinstance(self.on, tuple) or not callable(kind)):
                raise SettingError(
                    f"Retry: on must be exception types or a predicate of the exception, not {self.on!r}."
                )

    def decide(self, error: BaseException, attempt: int, seed: str) -> Decision:
        if attempt <= self.max_retries and self._matches(error):
            return TryAgain(int(self.delay_before(attempt + 1, seed) * 1e9))
        return (self.then or Stop()).decide(error, attempt, seed)

    def within(self, flow_strategy: ErrorStrategy) -> ErrorStrategy:
        if self.then is not None:
            return self
        return replace(self, then=flow_strategy.then if isinstance(flow_strategy, Retry) else flow_strategy)

    def _matches(self, error: BaseException) -> bool:
        if not isinstance(error, Exception):
            return False
        if isinstance(self.on, (type, tuple)):
            return isinstance(error, self.on)
        matches, broken = guarded(self.on, error)
        if broken is not None:
            error.add_note(f"The retry predicate {self.on!r} itself raised {broken!r}; not tried again.")
        return bool(matches)

    def delay_before(self, attempt: int, seed: str) -> float:
        """Seconds to wait before attempt number `attempt` (from 2)."""
        retry = attempt - 2
        if isinstance(self.delay, Sequence):
            wait = seconds_of("delay", self.delay[min(retry, len(self.delay) - 1)])
        else:
            wait = seconds_of("delay", self.delay) * min(self.backoff ** min(retry, 64), 1e12)
        if self.max_delay is not None:
            wait = min(wait, seconds_of("max_delay", self.max_delay))
        if self.jitter and wait:
            wait *= 1 + self.jitter * (2 * zlib.crc32(f"{seed}/{attempt}".encode()) / 0xFFFFFFFF - 1)
        return wait


def decision_on(
    error: BaseException,
    attempt: int,
    seed: str,
    own: ErrorStrategy | None,
    flow_strategy: ErrorStrategy,
    *,
    again: bool,
) -> Decision:
    """What a routine's own strategy, or else the flow's, says of a failure; `again` is whether a retry makes sense.

    What is no `Exception` stops the job whatever the strategy, and so does a strategy that itself raises.
    """
    if not isinstance(error, Exception):
        return Verdict.STOP
    strategy = (own or flow_strategy).within(flow_strategy)
    decision: Decision
    decision, broken = guarded(strategy.decide, error, attempt if again else NO_MORE, seed)
    if broken is not None:
        error.add_note(f"The error strategy {strategy!r} itself raised {broken!r}, and so the job stops.")
        return Verdict.STOP
    if not isinstance(decision, Verdict if not again else (Verdict, TryAgain)):
        error.add_note(f"The error strategy {strategy!r} gave {decision!r}, which is no answer, and so the job stops.")
        return Verdict.STOP
    return decision


NO_MORE = 1 << 62
"""An attempt after which there is no other, however many retries are allowed."""


def seconds_of(name: str, value: object, *, least: float = 0.0) -> float:
    """A duration as seconds; raises `SettingError`, naming the setting, for what is none."""
    seconds = value.total_seconds() if hasattr(value, "total_seconds") else value
    if not _is_number(seconds) or not isinstance(seconds, (int, float)) or seconds < least:
        raise SettingError(f"{name} must be a finite number of seconds (or a timedelta) from {least:g}, not {value!r}.")
    return float(seconds)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
