"""The way to a cluster: opened when it is needed, and again after it was lost, but not over and over."""

from __future__ import annotations

from routilux.drivers.cluster.port import Cluster
from routilux.drivers.cluster.versions import check_versions
from routilux.errors import ClusterError
from routilux.ports import Clock

REST_NS = 5_000_000_000
"""So long after it could not be reached a cluster is not asked again: attempts fail at once."""


class Connection:
    """Whether a cluster can be used, as far as is known."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._open = False
        self._refusal: tuple[int, ClusterError] | None = None
        """Until when the cluster is not asked again, and what it said."""

    def open(self) -> ClusterError | None:
        """Connects if need be, which may take seconds; says why that cannot be done."""
        if self._open:
            return None
        if self._refusal is not None and self._clock.now() < self._refusal[0]:
            return self._refusal[1]
        try:
            self._cluster.connect()
            check_versions(self._cluster)
        except ClusterError as error:
            self.refused(error)
            return error
        self._open = True
        return None

    def refused(self, error: ClusterError) -> None:
        """The cluster says that it cannot be used now."""
        self._open = False
        self._refusal = self._clock.now() + REST_NS, error

    def lost(self) -> None:
        """The cluster is gone; it may be reached again, or another be started."""
        self._open = False
