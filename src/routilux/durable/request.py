"""What a job was submitted with, as bytes: enough to prepare the same job again in another process.

The settings are kept as they were, whatever the flow's own have become. What cannot be kept, as an executor, or must
not be taken from a file, as the address of a cluster, is that of the flow when the job is read; so is a strategy with a
class or a predicate of the user's. A job that has others than its flow is refused when it is submitted. Its store is
the one that it is read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from routilux.durable.payload import Payloads
from routilux.durable.stored_error import Known
from routilux.durable.stored_strategy import StoredStrategy, read_strategy, stored_strategy
from routilux.errors import PayloadError, SettingError, StoredJobError
from routilux.settings import SettingArguments, Settings
from routilux.strategies import seconds_of

FORMAT = 1

LOCAL_CLUSTERS = ("dask", "ray")


@dataclass(frozen=True, slots=True)
class Request:
    """One submission."""

    flow_id: str
    entry: str
    params: Mapping[str, Any]
    settings: Settings = field(default_factory=Settings)
    metadata: Mapping[str, Any] = field(default_factory=dict)


class _Settings(msgspec.Struct):
    execution_mode: str
    max_workers: int | dict[str, int] | None
    max_pending: int | None
    timeout: float | None
    strict: bool
    max_activations: int | None
    max_parked: int | None
    max_history_size: int | None
    history_ttl_seconds: float | None
    recording: bool
    placement: dict[str, str]
    durability: str
    max_payload: int


class _Request(msgspec.Struct, omit_defaults=True):
    flow_id: str
    entry: str
    params: dict[str, msgspec.Raw]
    settings: _Settings
    metadata: dict[str, msgspec.Raw] = {}
    strategy: StoredStrategy | None = None
    """`None`: that of the flow."""
    cluster: Literal["dask", "ray"] | None = None
    """`None`: that of the flow."""
    pickles: bool = False
    """Whether values may have been pickled; whether they are read, the flow says and not its store."""
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
        put, settings = self._payloads.put, request.settings
        strategy = stored_strategy(settings.error_strategy, self._known)
        if strategy is None:
            self._check_own("error_strategy", settings)
        cluster = settings.cluster if isinstance(settings.cluster, str) else None
        for name in (
            "executor",
            "insecure_cluster",
            "allow_pickle",
            *(() if cluster in LOCAL_CLUSTERS else ("cluster",)),
        ):
            self._check_own(name, settings)
        return msgspec.json.encode(
            _Request(
                request.flow_id,
                request.entry,
                {name: put(value, name) for name, value in request.params.items()},
                _stored(settings),
                {name: put(value, f"metadata[{name!r}]") for name, value in request.metadata.items()},
                strategy,
                "dask" if cluster == "dask" else "ray" if cluster == "ray" else None,
                settings.allow_pickle,
            )
        )

    def identity(self, request: Request) -> bytes:
        """What makes two submissions the same: the entry and its params, whatever the settings."""
        params = {name: self._payloads.put(value, name) for name, value in request.params.items()}
        return msgspec.json.encode([request.flow_id, request.entry, params], order="deterministic")

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
            settings = self._settings(stored)
        except SettingError as error:
            raise StoredJobError(f"The settings of a job of flow {stored.flow_id!r} mean nothing: {error}") from error
        return Request(
            stored.flow_id,
            stored.entry,
            {name: take(value, name) for name, value in stored.params.items()},
            settings,
            {name: take(value, f"metadata[{name!r}]") for name, value in stored.metadata.items()},
        )

    def _settings(self, stored: _Request) -> Settings:
        given: SettingArguments = msgspec.structs.asdict(stored.settings)  # type: ignore[assignment]
        if stored.cluster is not None:
            given["cluster"] = stored.cluster
        if stored.strategy is not None:
            given["error_strategy"] = read_strategy(stored.strategy, self._known)
        return self._own.updated(given)

    def _check_own(self, name: str, settings: Settings) -> None:
        value = getattr(settings, name)
        if value != getattr(self._own, name):
            raise PayloadError(f"{name}: {value!r} cannot be stored with a job; give it to the flow, not to the job.")


def _stored(settings: Settings) -> _Settings:
    workers, timeout, ttl = settings.max_workers, settings.timeout, settings.history_ttl_seconds
    return _Settings(
        str(settings.execution_mode),
        {str(mode): count for mode, count in workers.items()} if isinstance(workers, Mapping) else workers,
        settings.max_pending,
        None if timeout is None else seconds_of("timeout", timeout),
        settings.strict,
        settings.max_activations,
        settings.max_parked,
        settings.max_history_size,
        None if ttl is None else seconds_of("history_ttl_seconds", ttl),
        settings.recording,
        {routine_id: str(mode) for routine_id, mode in settings.placement.items()},
        settings.durability,
        settings.max_payload,
    )
