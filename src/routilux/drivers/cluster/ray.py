"""Ray as a cluster.

References are followed through their futures, but cancelled through `ray.cancel`: a future's own cancel says yes
and does nothing. Ray is there once in a process, so all flows share one local Ray.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, ClassVar

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from routilux.drivers.cluster.port import Call, Cluster
from routilux.drivers.cluster.reach import check_listens
from routilux.drivers.cluster.travel import Reply
from routilux.drivers.cluster.versions import PACKAGES, python_version, version_of
from routilux.errors import ClusterError, WorkerLostError
from routilux.guard import guarded, text_of

LOST = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)
"""What says that a worker died with a call, or with what it needed."""

PROBE_SECONDS = 30.0
"""So long the first worker may take to say what it is."""


class _Submitted(Call):
    def __init__(self, places: int, references: list[ray.ObjectRef[Any]]) -> None:
        super().__init__(places)
        self.references = references
        """That of the reply, and those of the places."""
        self.future: Future[Any] = references[0].future()


class RayCluster(Cluster):
    """A local Ray of our own, the one that the program has started itself, or somebody's by address."""

    engine = "Ray"
    stops = True
    keeps = True
    depth = 3

    _sharing: ClassVar[threading.Lock] = threading.Lock()
    _sharers: ClassVar[list[RayCluster]] = []
    """Who uses the Ray that the first of them started; the last one ends it."""
    _folder: ClassVar[list[str]] = []
    _token: ClassVar[str] = ""
    """What lets a process use it; one for all, because Ray reads it once."""

    def __init__(self, address: str | None, workers: int) -> None:
        self._address = address
        self._workers = workers
        self._functions: dict[tuple[Callable[..., Any], int], Any] = {}

    def connect(self) -> None:
        self.close()
        with RayCluster._sharing:
            others = {cluster._address for cluster in RayCluster._sharers}
            if others - {self._address}:
                raise ClusterError(
                    f"This program uses Ray at {_named(*others)} already, and Ray can be used only once in a process: "
                    f"it cannot use that at {_named(self._address)} as well."
                )
            if not (others or ray.is_initialized()):
                self._begin()
                others.add(self._address)
            if others:
                RayCluster._sharers.append(self)
        self._workers = max(1, int(_resources().get("CPU", 0)))

    @property
    def workers(self) -> int:
        return self._workers

    def versions(self) -> Mapping[str, str | None]:
        probes = {"python": self._remote(python_version, 1, cpus=0).remote()}
        probes.update({name: self._remote(version_of, 1, cpus=0).remote(name) for name in PACKAGES})
        found, broken = guarded(lambda: ray.get(list(probes.values()), timeout=PROBE_SECONDS))
        if isinstance(broken, RayTaskError):
            raise ClusterError(f"The Ray workers cannot run functions of this package: {broken.cause}")
        return {} if broken is not None else dict(zip(probes, found, strict=True))

    def submit(
        self,
        function: Callable[..., tuple[Any, ...]],
        arguments: Sequence[object],
        places: int,
        ended: Callable[[], None],
        *,
        once: bool = False,
    ) -> Call:
        given, broken = guarded(lambda: self._remote(function, 1 + places).remote(*arguments))
        if broken is not None:
            raise ClusterError(f"Ray takes no calls any more: {text_of(broken)}") from broken
        call = _Submitted(places, given if places else [given])
        call.future.add_done_callback(lambda _: ended())
        return call

    def fetch(self, calls: Sequence[Call]) -> list[Reply | BaseException]:
        return [_fetched(_own(call)) for call in calls]

    def cancel(self, call: Call) -> None:
        call.cancelled = True
        guarded(lambda: ray.cancel(_own(call).references[0], force=True))

    def share(self, blob: bytes) -> object:
        shared, broken = guarded(ray.put, blob)
        return blob if broken is not None else shared

    def place(self, call: Call, index: int) -> object:
        return _own(call).references[1 + index]

    def bring(self, placed: object) -> bytes:
        blob, broken = guarded(ray.get, placed)
        if broken is not None:
            raise WorkerLostError(f"a value that stayed on the Ray cluster is lost: {text_of(broken)}")
        return bytes(blob)

    def close(self) -> None:
        self._functions.clear()
        with RayCluster._sharing:
            if self in RayCluster._sharers:
                RayCluster._sharers.remove(self)
                if not RayCluster._sharers:
                    _end()

    def _begin(self) -> None:
        if self._address is not None and self._address not in {"auto", "local"}:
            check_listens(self.engine, self._address)
        settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self._address in (None, "local"):
            folder = tempfile.mkdtemp(
                prefix=f"routilux-ray-{os.getpid()}-", dir="/tmp" if sys.platform != "win32" else None
            )
            RayCluster._folder.append(folder)
            settings.update(num_cpus=self._workers, include_dashboard=False, _temp_dir=folder)
            if sys.platform == "linux":
                settings["_node_ip_address"] = "127.0.0.2"  # as good as 127.0.0.1, which Ray replaces by another
        else:
            settings["address"] = self._address
        RayCluster._token = RayCluster._token or secrets.token_hex(32)
        variables = _environment(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_TOKEN=RayCluster._token)
        with variables, _quiet(logging.getLogger("ray")):
            _, broken = guarded(lambda: ray.init(**settings))
        if broken is None:
            atexit.register(_end)
        else:
            _end()
            raise ClusterError(f"Ray at {_named(self._address)} cannot be reached: {text_of(broken)}") from broken

    def _remote(self, function: Callable[..., Any], returns: int, cpus: int = 1) -> Any:
        """The function as Ray wants it, which is pickled once."""
        found = self._functions.get((function, returns))
        if found is None:
            found = ray.remote(num_cpus=cpus, max_retries=0, num_returns=returns)(function)
            self._functions[function, returns] = found
        return found


def _named(address: str | None) -> str:
    return address or "this machine"


def _resources() -> Mapping[str, float]:
    found: Mapping[str, float] = guarded(ray.cluster_resources)[0] or {}
    return found


def _end() -> None:
    """Ends what `_begin` began, and leaves no session behind."""
    atexit.unregister(_end)
    ray.shutdown()
    while RayCluster._folder:
        shutil.rmtree(RayCluster._folder.pop(), ignore_errors=True)


def _own(call: Call) -> _Submitted:
    assert isinstance(call, _Submitted)
    return call


def _fetched(call: _Submitted) -> Reply | BaseException:
    value, broken = guarded(call.future.result)
    if broken is None:
        reply: Reply = value if isinstance(value, Reply) else value[0]
        return reply
    if call.cancelled and isinstance(broken, (TaskCancelledError, *LOST)):
        return CancelledError("it was ended, as was asked")
    if isinstance(broken, TaskCancelledError):
        return WorkerLostError("somebody else cancelled it on the Ray cluster")
    reason = broken.cause if isinstance(broken, RayTaskError) else broken
    if isinstance(reason, LOST):
        return WorkerLostError(f"the Ray worker that had it, or what it needed, was lost: {type(reason).__name__}")
    return broken


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keeps warnings to itself: it would tell that it was started from a thread, and is protected by a token."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _environment(**defaults: str) -> Iterator[None]:
    """Sets variables, unless the user did, and takes them back; also the one that Ray itself sets and leaves."""
    before = {name: os.environ.get(name) for name in (*defaults, "RAY_AUTH_MODE")}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = earlier
