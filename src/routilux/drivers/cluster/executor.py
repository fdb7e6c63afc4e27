"""Anything shaped like `concurrent.futures.Executor`, as a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

from routilux.drivers.cluster.port import CONNECT_SECONDS, Call, Cluster
from routilux.drivers.cluster.travel import Reply
from routilux.drivers.cluster.versions import PACKAGES, python_version, version_of
from routilux.errors import ClusterError, WorkerLostError
from routilux.guard import guarded, text_of


class _Submitted(Call):
    def __init__(self, places: int, future: Future[tuple[Any, ...]]) -> None:
        super().__init__(places)
        self.future = future


class ExecutorCluster(Cluster):
    """Somebody's executor, which stays theirs.

    It cannot say how many workers it has, so that is told, or read from where the standard ones keep it.
    """

    def __init__(self, executor: Executor, workers: int | None) -> None:
        self.engine = type(executor).__name__
        self._executor = executor
        self._workers: int = workers or getattr(executor, "_max_workers", None) or os.cpu_count() or 1

    def connect(self) -> None:
        probe = self._submitted(python_version)
        if probe.done() and probe.exception() is not None:
            raise ClusterError(f"The {self.engine} runs nothing: {text_of(probe.exception() or RuntimeError())}")

    @property
    def workers(self) -> int:
        return self._workers

    def versions(self) -> Mapping[str, str | None]:
        probes = {"python": self._submitted(python_version)}
        probes.update({package: self._submitted(version_of, package) for package in PACKAGES})
        found = {}
        for name, probe in probes.items():
            version, broken = guarded(probe.result, CONNECT_SECONDS)
            if isinstance(broken, TimeoutError):  # it is busy with something else, and nobody can say yet
                return {}
            if broken is not None:
                raise ClusterError(f"The {self.engine} cannot run functions of this package: {text_of(broken)}")
            found[name] = version
        return found

    def submit(
        self,
        function: Callable[..., tuple[Any, ...]],
        arguments: Sequence[object],
        places: int,
        ended: Callable[[], None],
        *,
        once: bool = False,
    ) -> Call:
        future = self._submitted(function, *arguments)
        future.add_done_callback(lambda _: ended())
        return _Submitted(places, future)

    def fetch(self, calls: Sequence[Call]) -> list[Reply | BaseException]:
        return [self._fetched(call) for call in calls]

    def cancel(self, call: Call) -> None:
        assert isinstance(call, _Submitted)
        call.cancelled = call.future.cancel()

    def close(self) -> None:
        return

    def _submitted(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        future, broken = guarded(self._executor.submit, function, *arguments)
        if broken is not None:
            raise ClusterError(f"The {self.engine} takes no calls any more: {text_of(broken)}") from broken
        taken: Future[Any] = future
        return taken

    def _fetched(self, call: Call) -> Reply | BaseException:
        assert isinstance(call, _Submitted)
        if call.future.cancelled():
            if call.cancelled:
                return CancelledError("it was cancelled before it began")
            return WorkerLostError(f"whoever has the {self.engine} cancelled it before it began")
        error = call.future.exception()
        if isinstance(error, BrokenExecutor):
            return WorkerLostError(f"a worker of the {self.engine} died, and everything that it had was lost: {error}")
        if error is not None:
            return error
        value: object = call.future.result()
        if isinstance(value, tuple) and value and isinstance(value[0], Reply):
            return value[0]
        return ClusterError(f"the {self.engine} gave a {type(value).__name__} for what the function returned")
