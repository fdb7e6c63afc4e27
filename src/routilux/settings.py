"""The settings of a flow, each of which every `execute` can override."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict

from routilux.errors import SettingError
from routilux.execution_mode import ExecutionMode, mode_named, mode_of_handlers
from routilux.strategies import ErrorStrategy, Seconds, Stop, seconds_of
from routilux.suggestions import closest, nearest

PROCESS = "process"
POWER = "power"
DURABILITIES = (PROCESS, POWER)

_SHOWN = frozenset({bool, int, float})
"""Whose values messages show; those of others may be long, or secret."""


class SettingArguments(TypedDict, total=False):
    """The settings as keyword arguments; their meaning is in `Settings`."""

    execution_mode: ExecutionMode | str
    max_workers: int | Mapping[str, int] | None
    max_pending: int | None
    cluster: Any
    executor: Any
    insecure_cluster: bool
    error_strategy: ErrorStrategy
    timeout: Seconds | None
    strict: bool
    max_activations: int | None
    max_parked: int | None
    max_history_size: int | None
    history_ttl_seconds: float | None
    recording: bool
    placement: Mapping[str, ExecutionMode | str]
    allow_processes: bool
    store: Any
    durability: str
    max_payload: int
    retention: Seconds | None
    journal_key: Any
    allow_pickle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for a job; validated at birth, `SettingError` names the value that means nothing."""

    execution_mode: ExecutionMode | str = ExecutionMode.SEQUENTIAL
    max_workers: int | Mapping[str, int] | None = None
    """How many handlers run at once in the job's mode, or by mode in a flow that mixes modes.

    `None`: threads as many as the processors and four, at most 32; 1000 on an event loop; processes as many as the
    processors; on a cluster as many as it has. In auto mode a number is the most threads, or processes, that it may
    choose.
    """
    max_pending: int | None = None
    """How many activations may be ready or waiting for a limit before sources are held back; `None`: two a worker."""
    cluster: Any = None
    """Of distributed mode: "dask" or "ray" for a local one, an address, or an existing client; `None`: a local one."""
    executor: Any = None
    """Of distributed mode: something shaped like `concurrent.futures.Executor`, in place of a cluster."""
    insecure_cluster: bool = False
    """Whether to connect to a cluster on another machine that neither encrypts nor asks who one is."""
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
    recording: bool = False
    """Whether the job keeps, in memory, a trace of every attempt, for `job.trace` and `job.explain()`."""
    placement: Mapping[str, ExecutionMode | str] = field(default_factory=dict)
    """By routine id: the mode it runs in, whatever the routine itself says."""
    allow_processes: bool = False
    """Whether auto mode, and trials, may run handlers in other processes, where they see copies."""
    store: Any = field(default=None, repr=False)
    """Where jobs are kept so that they survive their process; `None`: nowhere.

    A path, the address of a PostgreSQL database, which may hold a password and is not shown, or an open store.
    """
    durability: str = POWER
    """What a stored job survives: "process", the death of its process; "power", the loss of power as well."""
    max_payload: int = 64 * 2**20
    """Bytes that one stored fact may have."""
    retention: Seconds | None = 7 * 24 * 3600
    """Seconds after which jobs that are over, failed ones too, are removed from the store; `None`: never.

    That of whoever opens the store holds, for all jobs in it.
    """
    journal_key: Any = field(default=None, repr=False)
    """What authenticates all that is stored: bytes, or a `Secret` that says where they are; `None`: nothing does."""
    allow_pickle: bool = False
    """Whether values that have no other form are stored as pickles, which the `journal_key` authenticates."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "execution_mode", mode_named(self.execution_mode))
        if not isinstance(self.error_strategy, ErrorStrategy):
            raise SettingError(
                f"error_strategy must be Stop(), Continue(), Skip() or Retry(...), not {self.error_strategy!r}."
            )
        if isinstance(self.max_workers, Mapping):
            for mode, count in self.max_workers.items():
                _check_count(f"max_workers of {mode_of_handlers(mode).value}", count, 1)
        else:
            _check_count("max_workers", self.max_workers, 1)
        for name, least in (("max_pending", 1), ("max_activations", 1), ("max_parked", 1), ("max_history_size", 0)):
            _check_count(name, getattr(self, name), least)
        if self.history_ttl_seconds is not None:
            seconds_of("history_ttl_seconds", self.history_ttl_seconds)
        if self.timeout is not None and seconds_of("timeout", self.timeout) == 0:
            raise SettingError("timeout must be more than 0 seconds; None means no limit.")
        placement = {routine_id: mode_of_handlers(mode) for routine_id, mode in self.placement.items()}
        object.__setattr__(self, "placement", placement)
        for name in ("strict", "insecure_cluster", "recording", "allow_pickle", "allow_processes"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"{name} must be True or False, not {getattr(self, name)!r}.")
        if self.durability not in DURABILITIES:
            raise SettingError(
                f"durability must be one of {', '.join(map(repr, DURABILITIES))}, not {self.durability!r}."
            )
        _check_store(self.store)
        _check_count("max_payload", self.max_payload, 1)
        if self.retention is not None:
            seconds_of("retention", self.retention)
        # Without the extra that stores need, there is no `Secret` to compare a key with.
        if not (self.journal_key is None or isinstance(self.journal_key, bytes) or hasattr(self.journal_key, "env")):
            raise SettingError("journal_key must be bytes, Secret(env=...) or None.")
        if self.allow_pickle and self.journal_key is None:
            raise SettingError(
                "allow_pickle=True needs a journal_key: whoever could write a pickle could run what they like."
            )
        if self.cluster is not None and self.executor is not None:
            raise SettingError("cluster and executor both say where distributed mode runs: give one of them.")

    def workers_of(self, mode: ExecutionMode, home: ExecutionMode) -> int | None:
        """How many workers a mode was given, if it was, in a job whose own mode is `home` (a number is for that)."""
        if isinstance(self.max_workers, Mapping):
            return self.max_workers.get(mode.value)
        return self.max_workers if mode is home else None

    def with_workers(self, threads: int, processes: int = 0) -> Settings:
        """These settings for an engine that has so many threads, and so many processes if that is said."""
        others = self.max_workers if isinstance(self.max_workers, Mapping) else {}
        said = {ExecutionMode.MULTIPROCESSING.value: processes} if processes else {}
        return replace(self, max_workers={**others, ExecutionMode.CONCURRENT.value: threads, **said})

    @property
    def is_auto(self) -> bool:
        """Whether the engine finds out how the job is best run."""
        return self.execution_mode is ExecutionMode.AUTO

    @property
    def room(self) -> int | None:
        """How many bytes an attempt may write to the store of its job; `None` where there is no store."""
        return None if self.store is None else self.max_payload

    def updated(self, arguments: SettingArguments) -> Settings:
        """These settings with some of them replaced; raises `SettingError` for an unknown name."""
        if not arguments:
            return self
        for name, value in arguments.items():
            if name not in _NAMES:
                raise SettingError(f"There is no setting {name!r}.{nearest(name, _NAMES)}{_as_message(name, value)}")
        return replace(self, **arguments)


_NAMES = frozenset(one.name for one in fields(Settings))


def checked_settings(flow_id: str, own: Settings, arguments: SettingArguments) -> Settings:
    """`own.updated(arguments)`; raises a `SettingError` that names the flow."""
    try:
        return own.updated(arguments)
    except SettingError as error:
        raise SettingError(f"Flow {flow_id!r}: {error}") from None


def _check_count(name: str, value: object, least: int) -> None:
    if value is not None and (type(value) is not int or value < least):
        raise SettingError(f"{name} must be a whole number from {least}, or None, not {value!r}.")


def _as_message(name: str, value: object) -> str:
    """The end of a message: where what is no setting belongs if it was meant for a routine."""
    if closest(name, _NAMES) is not None:
        return ""
    written = repr(value) if type(value) in _SHOWN else "..."
    return f" Give the first messages of a job to execute or start, as entry_params={{{name!r}: {written}}}."


def _check_store(store: object) -> None:
    if not (store is None or isinstance(store, str) or hasattr(store, "__fspath__") or hasattr(store, "submit")):
        raise SettingError(
            'store must be the path of a file, as "jobs.db", the address of a PostgreSQL database, an open store or '
            f"None, not {repr(store) if type(store) in _SHOWN else f'a {type(store).__name__}'}."
        )
