"""The settings of a flow, each of which every `execute` can override."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace
from typing import TypedDict

from routilux.errors import SettingError, nearest
from routilux.strategies import ErrorStrategy, Seconds, Stop, seconds_of


class ExecutionMode(enum.StrEnum):
    """Where handlers run."""

    SEQUENTIAL = enum.auto()
    """One after another, in the caller's thread."""
    CONCURRENT = enum.auto()
    """On threads of this process."""
    ASYNCIO = enum.auto()
    """On an event loop: coroutines that wait side by side."""
    MULTIPROCESSING = enum.auto()
    """In processes of their own on this machine."""
    DISTRIBUTED = enum.auto()
    """On a cluster."""


class SettingArguments(TypedDict, total=False):
    """The settings as keyword arguments; their meaning is in `Settings`."""

    execution_mode: ExecutionMode | str
    max_workers: int | None
    error_strategy: ErrorStrategy
    timeout: Seconds | None
    strict: bool
    max_activations: int | None
    max_parked: int | None
    max_history_size: int | None
    history_ttl_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for a job; validated at birth, `SettingError` names the value that means nothing."""

    execution_mode: ExecutionMode | str = ExecutionMode.SEQUENTIAL
    max_workers: int | None = None
    """Threads of concurrent mode; `None`: as many as the processors and four, at most 32."""
    error_strategy: ErrorStrategy = Stop()
    """What to decide about failures of routines that do not say it themselves."""
    timeout: Seconds | None = None
    """Seconds the whole job may take; it fails with `JobTimeoutError` after that."""
    strict: bool = False
    """Whether a job fails that ends with messages whose partners never came."""
    max_activations: int | None = None
    """A guard for cycles: a job that fires more fails with `ActivationLimitError`."""
    max_parked: int | None = 1_000_000
    """How many messages may wait in one slot for partners that do not come; more fail the job."""
    max_history_size: int | None = 1000
    """Records that the job's history keeps; 0 keeps none, `None` all."""
    history_ttl_seconds: float | None = 3600
    """Seconds for which it keeps them; `None`: for ever."""

    def __post_init__(self) -> None:
        modes = [mode.value for mode in ExecutionMode]
        if self.execution_mode not in modes:
            raise SettingError(
                f"execution_mode: there is no mode {self.execution_mode!r}.{nearest(self.execution_mode, modes)}"
            )
        object.__setattr__(self, "execution_mode", ExecutionMode(self.execution_mode))
        if not isinstance(self.error_strategy, ErrorStrategy):
            raise SettingError(
                f"error_strategy must be Stop(), Continue(), Skip() or Retry(...), not {self.error_strategy!r}."
            )
        for name, least in (("max_workers", 1), ("max_activations", 1), ("max_parked", 1), ("max_history_size", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise SettingError(f"{name} must be a whole number from {least}, or None, not {value!r}.")
        if self.history_ttl_seconds is not None:
            seconds_of("history_ttl_seconds", self.history_ttl_seconds)
        if self.timeout is not None and seconds_of("timeout", self.timeout) == 0:
            raise SettingError("timeout must be more than 0 seconds; None means no limit.")
        if not isinstance(self.strict, bool):
            raise SettingError(f"strict must be True or False, not {self.strict!r}.")

    @classmethod
    def of(cls, arguments: SettingArguments) -> Settings:
        """The settings that keyword arguments name."""
        return cls().updated(arguments)

    def updated(self, arguments: SettingArguments) -> Settings:
        """These settings with some of them replaced; raises `SettingError` for an unknown name."""
        if not arguments:
            return self
        known = {field.name for field in fields(self)}
        for name in arguments:
            if name not in known:
                raise SettingError(f"There is no setting {name!r}.{nearest(name, known)}")
        return replace(self, **arguments)
