"""The clock of the machine we run on."""

from __future__ import annotations

import queue
import time
from typing import Any

from routilux.ports import Clock


class SystemClock(Clock):
    """Moments are those of `time.perf_counter_ns`."""

    now = staticmethod(time.perf_counter_ns)
    epoch = staticmethod(time.time_ns)

    def wait(self, inbox: queue.SimpleQueue[Any], deadline: int | None, *, idle: bool) -> Any:
        if deadline is None:
            return inbox.get()
        try:
            return inbox.get(timeout=max(0, deadline - self.now()) / 1e9)
        except queue.Empty:
            return None
