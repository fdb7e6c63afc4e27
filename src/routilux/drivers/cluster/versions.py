"""Whether a cluster's workers can read what this process writes."""

from __future__ import annotations

import platform
from importlib import metadata

from routilux.drivers.cluster.port import Cluster
from routilux.errors import ClusterError

PACKAGES = ("routilux", "cloudpickle")
"""What both ends must have."""


def version_of(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python_version() -> str:
    """The version of Python; a function that can be pickled by its name anywhere."""
    return platform.python_version()


def check_versions(cluster: Cluster) -> None:
    """Raises `ClusterError` unless the workers have the Python and the packages that this process has.

    The last part of a version may differ, but not that of this package, both ends of which speak to each other.
    """
    there = cluster.versions()
    here = {"python": python_version(), **{package: version_of(package) for package in PACKAGES}}
    differences = [
        f"{name} {theirs or 'missing'} on the workers, {here[name] or 'missing'} here"
        for name, theirs in there.items()
        if _essence(name, theirs) != _essence(name, here[name])
    ]
    if differences:
        raise ClusterError(
            f"The {cluster.engine} workers do not fit this program: {'; '.join(differences)}. "
            "Functions and values cannot be exchanged safely; install the same versions on both sides."
        )


def _essence(name: str, version: str | None) -> str | None:
    return version if version is None or name == "routilux" else ".".join(version.split(".")[:2])
