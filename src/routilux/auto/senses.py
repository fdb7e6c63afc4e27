"""Senses: what a scout can tell of the thread that it runs in, as long as it wants to."""

from __future__ import annotations

import threading
import time
from typing import Any

from routilux.insight.trace import ThreadState
from routilux.loading import loaded
from routilux.tuning.load import ENOUGH_LOOKS

HERTZ = 200.0

SELF = "job"


class Senses:
    """Of the thread that opens them. To open a probe takes as long as many an activation, so it is kept."""

    def __init__(self) -> None:
        self._ident: int | None = None
        self._queue: Any = None
        self._probe: Any = None
        self._watched: Any = None
        self._found = 0.0, 0.0
        """What the probe had seen when it was last asked."""

    def open(self) -> None:
        """The calling thread runs the job from here on."""
        if self._ident != threading.get_ident():
            self.close()
            self._ident = threading.get_ident()
            self._queue = loaded("routilux.signals.probe", "CoreQueue")()
        elif self._watched is not None:
            self._watched.enter(SELF)

    def look(self) -> None:
        """Has a probe look how much of the CPU time is Python."""
        if self._probe is None:
            self._probe = loaded("routilux.signals.probe", "Probe")(HERTZ)
            self._probe.start()
            self._watched = self._probe.watch()
            self._watched.enter(SELF)

    def pause(self) -> None:
        """The thread does something else for a while."""
        if self._watched is not None:
            self._watched.leave()

    def close(self) -> None:
        """Nothing more is to be told; they can be opened again."""
        queue, probe = self._queue, self._probe
        self._ident = self._queue = self._probe = self._watched = None
        if probe is not None:
            probe.stop()
        if queue is not None:
            queue.close()
        self._found = 0.0, 0.0

    def computed(self) -> int:
        """Nanoseconds that this thread has computed, or would have if others had not had the cores: no wait for I/O."""
        return time.thread_time_ns() + (0 if self._queue is None else int(self._queue.waited()))

    def probed(self) -> tuple[float, float]:
        """How often the probe, if there is one, found Python running since the last time, and native code."""
        if self._probe is None:
            return 0.0, 0.0
        if not self._probe.sees:
            return float(ENOUGH_LOOKS), 0.0
        states = self._probe.states.get(SELF, {})
        found = states.get(ThreadState.PYTHON, 0.0), states.get(ThreadState.NATIVE, 0.0)
        before, self._found = self._found, found
        return found[0] - before[0], found[1] - before[1]
