"""What may be said about one routine beyond its ports: failures, time, concurrency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, TypedDict

from routilux.errors import SettingError
from routilux.execution_mode import ExecutionMode, mode_of_handlers
from routilux.rates import rate_of
from routilux.strategies import ErrorStrategy, Retry, RetryOn, Seconds, seconds_of
from routilux.suggestions import nearest

AT_LEAST_ONCE = "at_least_once"
AT_MOST_ONCE = "at_most_once"
DELIVERIES = (AT_LEAST_ONCE, AT_MOST_ONCE)


class OptionArguments(TypedDict, total=False):
    """The options of a routine, as keyword arguments; their meaning is in `Options`."""

    error_strategy: ErrorStrategy | None
    retries: int | None
    retry_delay: Seconds | Sequence[Seconds]
    retry_backoff: float
    retry_max_delay: Seconds | None
    retry_jitter: float
    retry_on: RetryOn
    timeout: Seconds | None
    max_concurrency: int | None
    keeps_state: bool | None
    execution_mode: ExecutionMode | str | None
    inline: bool
    limits: str | Sequence[str]
    rate_limit: str | None
    crash_retries: int
    delivery: str
    version: str | int | None


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one routine; `None` leaves it to the flow."""

    error_strategy: ErrorStrategy | None = None
    """What to decide about failures, or, with `retries`, about those that are left after the last retry."""
    retries: int | None = None
    """Attempts after the first; a short form of `error_strategy=Retry(...)`."""
    retry_delay: Seconds | Sequence[Seconds] = 0.0
    retry_backoff: float = 2.0
    retry_max_delay: Seconds | None = None
    retry_jitter: float = 0.0
    retry_on: RetryOn = Exception
    timeout: Seconds | None = None
    """Seconds one attempt may take."""
    max_concurrency: int | None = None
    """How many activations of the routine may run at once."""
    keeps_state: bool | None = None
    """Whether the routine uses `state`, and so runs one activation at a time; `None`: as its code shows."""
    execution_mode: ExecutionMode | str | None = None
    """Where the routine runs, whatever the mode of the job."""
    inline: bool = False
    """Whether a plain function may run on the event loop itself; for those that take microseconds."""
    limits: str | Sequence[str] = ()
    """Names of the flow's limits of which each of its activations takes one."""
    rate_limit: str | None = None
    """How often activations of the routine may begin, over all jobs of the flow: "10/s", "100/min", "5000/h"."""
    crash_retries: int = 3
    """How often an activation runs again whose worker died, beside and before all `retries`."""
    delivery: str = AT_LEAST_ONCE
    """"at_most_once": what a crash may have broken off is not run again, and `crash_retries` means nothing."""
    version: str | int | None = None
    """What to change where stored jobs must not go on with the routine as it is now."""

    def __post_init__(self) -> None:
        if self.error_strategy is not None and not isinstance(self.error_strategy, ErrorStrategy):
            raise SettingError(
                f"error_strategy must be Stop(), Continue(), Skip() or Retry(...), not {self.error_strategy!r}."
            )
        if self.retries is not None and isinstance(self.error_strategy, Retry):
            raise SettingError("retries and error_strategy=Retry(...) say the same thing: give one of them.")
        if self.timeout is not None and seconds_of("timeout", self.timeout) == 0:
            raise SettingError("timeout must be more than 0 seconds; None means no limit.")
        if self.max_concurrency is not None and (type(self.max_concurrency) is not int or self.max_concurrency < 1):
            raise SettingError(f"max_concurrency must be a whole number from 1, or None, not {self.max_concurrency!r}.")
        if self.keeps_state not in (None, True, False):
            raise SettingError(f"keeps_state must be True, False or None, not {self.keeps_state!r}.")
        if self.execution_mode is not None:
            object.__setattr__(self, "execution_mode", mode_of_handlers(self.execution_mode))
        if not isinstance(self.inline, bool):
            raise SettingError(f"inline must be True or False, not {self.inline!r}.")
        several = isinstance(self.limits, Iterable) and not isinstance(self.limits, str)
        names = tuple(self.limits) if several else (self.limits,)
        if not all(isinstance(name, str) and name for name in names):
            raise SettingError(f"limits must be a limit's name or a list of names, not {self.limits!r}.")
        object.__setattr__(self, "limits", tuple(dict.fromkeys(names)))
        if self.rate_limit is not None:
            rate_of("rate_limit", self.rate_limit)
        if type(self.crash_retries) is not int or self.crash_retries < 0:
            raise SettingError(f"crash_retries must be a whole number from 0, not {self.crash_retries!r}.")
        if self.delivery not in DELIVERIES:
            raise SettingError(f"delivery must be one of {', '.join(map(repr, DELIVERIES))}, not {self.delivery!r}.")
        if type(self.version) not in (str, int, type(None)):
            raise SettingError(f"version must be a text or a whole number, not {self.version!r}.")
        if self.retries is not None:
            self._retry()
        elif idle := [one.name for one in fields(self) if one.name.startswith("retry_") and self._is_changed(one)]:
            raise SettingError(f"{idle[0]} means nothing without retries, as retries=3: how often to try again.")

    @classmethod
    def of(cls, arguments: OptionArguments) -> Options:
        """The options that keyword arguments name; raises `SettingError` for an unknown name."""
        known = {field.name for field in fields(cls)}
        for name in arguments:
            if name not in known:
                raise SettingError(f"A routine has no option {name!r}.{nearest(name, known)}")
        return cls(**arguments)

    def updated(self, arguments: OptionArguments) -> Options:
        """These options with some of them replaced."""
        return Options.of({**self.arguments, **arguments})

    @property
    def arguments(self) -> OptionArguments:
        """All of them as keyword arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[return-value]

    @property
    def strategy(self) -> ErrorStrategy | None:
        """The routine's own error strategy, with `retries` worked in."""
        return self.error_strategy if self.retries is None else self._retry()

    @property
    def reruns(self) -> int:
        """How often an activation may run again after a crash."""
        return 0 if self.delivery == AT_MOST_ONCE else self.crash_retries

    @property
    def timeout_ns(self) -> int | None:
        """`timeout` in nanoseconds."""
        return None if self.timeout is None else int(seconds_of("timeout", self.timeout) * 1e9)

    def _is_changed(self, option: Field[Any]) -> bool:
        return bool(getattr(self, option.name) != option.default)

    def _retry(self) -> Retry:
        assert self.retries is not None
        return Retry(
            self.retries,
            self.retry_delay,
            self.retry_backoff,
            self.retry_max_delay,
            self.retry_jitter,
            self.retry_on,
            self.error_strategy,
        )
