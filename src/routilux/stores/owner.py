"""Who has a store open for writing, as it wrote itself down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple


class Owner(NamedTuple):
    """Who has opened a store for writing; a pid of 0 says that it was closed since."""

    pid: int
    host: str
    since: int
    """Nanoseconds since the epoch."""

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.since // 10**9, UTC).isoformat(sep=" ")
        return f"process {self.pid} on {self.host} since {moment}"
