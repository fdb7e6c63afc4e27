"""What a job was submitted with, as bytes: enough to prepare the same job again in another process.

The settings are kept as they were, whatever the flow's own have become. What cannot be kept, as an executor, or must
not be taken from a file, as the address of a cluster, is that of the flow when the job is read; so is a strategy with a
class or a predicate of the user's. A job that has others than its flow is refused when it is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from routilux.durable.payload import Payloads
from routilux.durable.stored_error import Known, name_of
from routilux.errors import PayloadError, SettingError, StoredJobError
from routilux.settings import SettingArguments, Settings
from routilux.strategies import Continue, ErrorStrategy, Retry, Seconds, Skip, Stop, seconds_of

FORMAT = 1

PLAIN = ("strict", "max_pending", "max_activations", "max_parked", "max_history_size", "recording")
"""Settings that are numbers, truths or nothing."""

OF_THE_FLOW = ("cluster", "executor", "insecure_cluster")
LOCAL_CLUSTERS = ("dask", "ray")

KEPT = frozenset({*PLAIN, "execution_mode", "placement", "max_workers", "timeout", "history_ttl_seconds", "cluster"})

_PLAIN_STRATEGIES = {one.__name__: one for one in (Stop, Continue, Skip)}


@dataclass(frozen=True, slots=True)
class Request:
    """One submission."""

    flow_id: str
    entry: str
    params: Mapping[str, Any]
    settings: Settings = field(default_factory=Settings)
    metadata: Mapping[str, Any] = field(default_factory=dict)


class _Retry(msgspec.Struct, omit_defaults=True):
    max_retries: int
    delay: float | list[float]
    backoff: float
    max_delay: float | None
    jitter: float
    on: list[str]
    then: str | None = None


class _Request(msgspec.Struct, omit_defaults=True):
    flow_id: str
    entry: str
    params: dict[str, msgspec.Raw]
    settings: dict[str, Any]
    metadata: dict[str, msgspec.Raw] = {}
    strategy: str | _Retry | None = None
    """`None`: that of the flow."""
    format: int = FORMAT


class Requests:
    """Writes and reads the requests for jobs of one flow."""

    __slots__ = ("_known", "_own", "_payloads")

    def __init__(self, payloads: Payloads, own: Settings, known: Known) -> None:
        """`own` are the flow's settings, `known` the exception classes that a strategy may name."""
        self._payloads = payloads
        self._own = own
        self._known = known

    def write(self, request: Request) -> bytes:
        """The bytes of a request; raises `PayloadError` where something of it cannot be stored."""
        put = self._payloads.put
        return msgspec.json.encode(
            _Request(
                request.flow_id,
                request.entry,
                {name: put(value, name) for name, value in request.params.items()},
                self._settings(request.settings),
                {name: put(value, f"metadata[{name!r}]") for name, value in request.metadata.items()},
                self._strategy(request.settings.error_strategy),
            )
        )

    def read(self, data: bytes) -> Request:
        """The request; raises `StoredJobError`, or `PayloadError` where a value of it cannot be read."""
        try:
            stored = msgspec.json.decode(data, type=_Request)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise StoredJobError(f"The request for a job is damaged: {error}.") from error
        if stored.format > FORMAT:
            raise StoredJobError(
                f"The request for a job is of format {stored.format}, and this release reads {FORMAT}. Open the store "
                "with the release that wrote it, or a later one."
            )
        take = self._payloads.take
        try:
            settings = self._read_settings(stored)
        except SettingError as error:
            raise StoredJobError(f"The settings of a job of flow {stored.flow_id!r} mean nothing: {error}") from error
        return Request(
            stored.flow_id,
            stored.entry,
            {name: take(value, name) for name, value in stored.params.items()},
            settings,
            {name: take(value, f"metadata[{name!r}]") for name, value in stored.metadata.items()},
        )

    def _settings(self, settings: Settings) -> dict[str, Any]:
        found: dict[str, Any] = {name: getattr(settings, name) for name in PLAIN}
        found["execution_mode"] = str(settings.execution_mode)
        found["placement"] = {routine_id: str(mode) for routine_id, mode in settings.placement.items()}
        workers = settings.max_workers
        if isinstance(workers, Mapping):
            workers = {str(mode): count for mode, count in workers.items()}
        found["max_workers"] = workers
        found["timeout"] = _seconds(settings.timeout)
        found["history_ttl_seconds"] = _seconds(settings.history_ttl_seconds)
        for name in OF_THE_FLOW:
            value = getattr(settings, name)
            if name == "cluster" and value in LOCAL_CLUSTERS:
                found[name] = value
            elif value != getattr(self._own, name):
                raise PayloadError(
                    f"{name}: {value!r} cannot be stored with a job; give it to the flow, not to the job."
                )
        return found

    def _read_settings(self, stored: _Request) -> Settings:
        unknown = stored.settings.keys() - KEPT
        if unknown or stored.settings.get("cluster", LOCAL_CLUSTERS[0]) not in LOCAL_CLUSTERS:
            raise SettingError(f"there are {', '.join(sorted(unknown)) or 'a cluster'} among them.")
        given: SettingArguments = stored.settings  # type: ignore[assignment]
        settings = self._own.updated(given)
        if stored.strategy is None:
            return settings
        return settings.updated({"error_strategy": self._read_strategy(stored.strategy)})

    def _strategy(self, strategy: ErrorStrategy) -> str | _Retry | None:
        if strategy == self._own.error_strategy:
            return None
        if type(strategy) in _PLAIN_STRATEGIES.values():
            return type(strategy).__name__
        if type(strategy) is not Retry:
            raise _not_storable(strategy)
        kinds: Any = strategy.on if isinstance(strategy.on, tuple) else (strategy.on,)
        then = None if strategy.then is None else type(strategy.then).__name__
        if not all(isinstance(kind, type) and self._known.get(name_of(kind)) is kind for kind in kinds):
            raise _not_storable(strategy)
        if strategy.then is not None and type(strategy.then) not in _PLAIN_STRATEGIES.values():
            raise _not_storable(strategy)
        delay: Any = strategy.delay
        waits = [seconds_of("delay", one) for one in (delay if isinstance(delay, (list, tuple)) else [delay])]
        return _Retry(
            strategy.max_retries,
            waits if isinstance(delay, (list, tuple)) else waits[0],
            strategy.backoff,
            _seconds(strategy.max_delay),
            strategy.jitter,
            [name_of(kind) for kind in kinds],
            then,
        )

    def _read_strategy(self, stored: str | _Retry) -> ErrorStrategy:
        if isinstance(stored, str):
            return _plain(stored)
        kinds = [self._known.get(name) for name in stored.on]
        on = tuple(kind for kind in kinds if kind is not None and issubclass(kind, Exception))
        if len(on) < len(kinds):
            raise SettingError(
                f"error_strategy: not all of {', '.join(stored.on)} are known. Name them in a strategy of the flow."
            )
        then = None if stored.then is None else _plain(stored.then)
        one_or_more = on[0] if len(on) == 1 else on
        return Retry(
            stored.max_retries, stored.delay, stored.backoff, stored.max_delay, stored.jitter, one_or_more, then
        )


def _plain(name: str) -> ErrorStrategy:
    if name not in _PLAIN_STRATEGIES:
        raise SettingError(f"error_strategy: there is no {name[:80]!r}.")
    return _PLAIN_STRATEGIES[name]()


def _not_storable(strategy: ErrorStrategy) -> PayloadError:
    return PayloadError(
        f"error_strategy: {strategy!r} cannot be stored with a job; give it, or one that names the same exceptions, to "
        "the flow, not to the job."
    )


def _seconds(value: Seconds | None) -> float | None:
    return None if value is None else seconds_of("timeout", value)
