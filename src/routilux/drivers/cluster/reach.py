"""Whether anybody listens at an address, asked before a cluster's client is: those try for long, or leave threads."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from routilux.drivers.cluster.port import CONNECT_SECONDS
from routilux.errors import ClusterError

PORTS = {"tcp": 8786, "tls": 8786, "ray": 10001}
"""By scheme: the port of an address that names none."""


def check_listens(engine: str, address: str) -> None:
    """Raises `ClusterError` unless a connection can be opened within seconds."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or PORTS.get(parts.scheme)
        if port is None:
            raise ClusterError(f"The {engine} address {address!r} has no port. Use 'host:port'.")
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except ValueError as error:
        raise ClusterError(f"The {engine} address {address!r} cannot be read: {error}.") from error
    except OSError as error:
        raise ClusterError(
            f"The {engine} cluster at {address} cannot be reached: {error}. Is it running, and is the address right?"
        ) from error
