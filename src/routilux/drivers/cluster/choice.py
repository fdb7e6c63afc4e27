"""Which cluster a flow means: by address, by an object of the user's, or one of our own."""

from __future__ import annotations

import ipaddress
import os
from concurrent.futures import Executor
from urllib.parse import urlsplit

from routilux.drivers.cluster.executor import ExecutorCluster
from routilux.drivers.cluster.port import Cluster
from routilux.errors import ClusterError, SettingError
from routilux.loading import is_installed, loaded_extra

PACKAGES = {"dask": "distributed", "ray": "ray"}
"""By engine: what must be installed."""

DASK_SCHEMES = {"tcp", "tls", "ws", "wss", "inproc", "ucx"}


def cluster_of(engine: str | None, cluster: object, workers: int | None, *, insecure_cluster: bool) -> Cluster:
    """The cluster that is meant; nothing is started or reached yet.

    `engine`: "dask" or "ray"; needed only where `cluster` does not tell. `cluster`: an address, a Dask client or
    cluster object, an executor, or `None` for one of our own with so many `workers`. Addresses beyond this machine
    must be protected, unless `insecure_cluster` says that the network is trusted.

    Raises `SettingError`, `ClusterError` and `MissingExtraError`.
    """
    if engine not in (None, *PACKAGES):
        raise SettingError(f"engine must be 'dask' or 'ray', not {engine!r}.")
    if isinstance(cluster, str) and cluster in PACKAGES:
        return cluster_of(cluster, None, workers, insecure_cluster=insecure_cluster)
    if isinstance(cluster, str):
        engine = engine or _engine_of(cluster)
        _check_protected(engine, cluster, insecure_cluster=insecure_cluster)
    elif cluster is not None and _is_of_dask(cluster):
        if getattr(cluster, "asynchronous", False):
            raise SettingError(
                f"cluster: the {type(cluster).__name__} was made with asynchronous=True, and can only be awaited. Give "
                "its address, or one made without."
            )
        engine = "dask"
    elif cluster is not None:
        if isinstance(cluster, Executor) or callable(getattr(cluster, "submit", None)):
            return ExecutorCluster(cluster, workers)  # type: ignore[arg-type]  # shaped like one is enough
        raise SettingError(f"cluster must be an address, a Dask client or cluster, or an executor, not {cluster!r}.")
    return _adapter(engine or ("dask" if is_installed("distributed") else "ray"), cluster, workers)


def _adapter(engine: str, cluster: object, workers: int | None) -> Cluster:
    name, purpose = f"{engine.title()}Cluster", f"execution_mode='distributed' on {engine.title()}"
    adapter = loaded_extra(f"routilux.drivers.cluster.{engine}", name, engine, purpose)
    made: Cluster = adapter(cluster, workers or os.cpu_count() or 1)
    return made


def _is_of_dask(cluster: object) -> bool:
    return any(kind.__module__.partition(".")[0] == "distributed" for kind in type(cluster).__mro__)


def _engine_of(address: str) -> str:
    scheme = urlsplit(address).scheme if "://" in address else ""
    if scheme in DASK_SCHEMES:
        return "dask"
    if scheme == "ray" or address in {"auto", "local"}:
        return "ray"
    raise SettingError(
        f"cluster={address!r} does not say what it is: use 'tcp://host:port' for Dask, 'ray://host:port' for Ray, "
        "or name the engine as well."
    )


def _check_protected(engine: str, address: str, *, insecure_cluster: bool) -> None:
    """Refuses an address where anybody on the way could read payloads and have code run."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if insecure_cluster or address in {"auto", "local"} or parts.scheme == "inproc" or _is_loopback(parts.hostname):
        return
    if engine == "dask":
        protected, how = parts.scheme in {"tls", "wss"}, "Start it with TLS and use 'tls://...'"
    else:
        protected, how = os.environ.get("RAY_AUTH_MODE", "").lower() == "token", "Set RAY_AUTH_MODE=token on both sides"
    if not protected:
        raise ClusterError(
            f"cluster={address!r} is beyond this machine and not protected: whoever can reach it can run code there "
            f"and read what is sent. {how}, or say insecure_cluster=True if the network is trusted."
        )


def _is_loopback(host: str | None) -> bool:
    if host in {None, "", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
