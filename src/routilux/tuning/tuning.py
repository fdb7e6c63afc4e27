"""What a flow's auto mode has found out, and has decided; its jobs begin where the last one was."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, time_ns
from types import MappingProxyType

from routilux.execution_mode import ExecutionMode
from routilux.tuning.decision import Decision
from routilux.tuning.load import Load
from routilux.tuning.pilot import Pilot, Stage
from routilux.tuning.port import MOST_THREADS, Tuning
from routilux.tuning.sending import Sending
from routilux.tuning.yardstick import Runs, Yardstick

NONE: Mapping[str, Runs] = MappingProxyType({})

KEPT = 100
"""So many decisions are kept, the last ones."""


class PilotedTuning(Tuning):
    """Made by a pilot, of what its jobs measure."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._limits = MOST_THREADS, 0
        self._pilot = Pilot(cores)
        self._decisions: deque[Decision] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self.sizing = threading.Lock()
        """Held by whoever has an engine change its number of threads."""
        self._piloting = threading.Lock()
        """Held by whoever watches a job on threads, one at a time."""
        self._yardstick = Yardstick()
        self._activations, self._seconds = 0.0, 0.0
        """What was measured on workers since the last decision, or since nothing came of it."""
        self._looked_at = 0.0
        self._frozen = False

    def freeze(self) -> None:
        self._frozen = True

    def unfreeze(self) -> None:
        self._frozen = False

    @property
    def frozen(self) -> bool:
        return self._frozen

    @property
    def workers(self) -> int:
        return self._pilot.workers

    @property
    def mode(self) -> ExecutionMode:
        return self._pilot.kind if self._pilot.workers > 1 else ExecutionMode.SEQUENTIAL

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The last decisions, the oldest first."""
        with self._lock:
            return tuple(self._decisions)

    @property
    def knows(self) -> bool:
        return bool(self._decisions)

    @property
    def needs_gil_share(self) -> bool:
        """Whether it is to be found out how much of the CPU time is Python."""
        return self._pilot.needs_gil_share

    @property
    def needs_proof(self) -> bool:
        """Whether it is to be tried whether activations can be sent to other processes."""
        return self._pilot.needs_proof and not self._frozen

    def limit(self, cap: int | None, processes: int = 0) -> None:
        limits = MOST_THREADS if cap is None else cap, processes
        with self._lock:
            if limits != self._limits:
                self._limits, self._pilot = limits, Pilot(self._cores, *limits)

    @property
    def learns(self) -> bool:
        """Whether it is time to learn of activations that run one after another."""
        if self._frozen or self._pilot.workers > 1:
            return False
        return self._pilot.stage is Stage.SOLO or perf_counter() - self._looked_at >= self._pilot.rest

    def learn(self, load: Load, runs: Mapping[str, Runs] = NONE) -> int:
        """Activations ran one after another, by routine these; gives on how many workers the others are to run."""
        with self._lock:
            if not self._frozen and self._pilot.workers == 1:
                self._yardstick.learn(runs, load.wall)
                self._keep(self._pilot.learn(load, time_ns()))
            return self._pilot.workers

    def prove(self, sending: Sending) -> int:
        """It was tried whether activations can be sent to other processes; gives what `learn` does."""
        with self._lock:
            if not self._frozen:
                self._keep(self._pilot.prove(sending, time_ns()))
                if self._pilot.workers == 1:
                    self._keep(self._pilot.learn(Load(), time_ns()))
            return self._pilot.workers

    def measure(self, runs: Mapping[str, Runs], seconds: float) -> None:
        """By routine, what ended in these seconds on workers, of one job or of several short ones.

        As many activations are counted as would be that much work if they were like those that ran alone. A process
        has an interpreter of its own, so what something took there is what it is worth.
        """
        with self._lock:
            pilot = self._pilot
            if self._frozen or pilot.workers == 1 or not pilot.load.service:
                return
            if pilot.kind is ExecutionMode.MULTIPROCESSING:
                work = sum(one.seconds for one in runs.values())
            else:
                work = self._yardstick.work(runs, pilot.workers)
            self._activations += work / pilot.load.service
            self._seconds += seconds
            if self._pilot.suffices(self._activations, self._seconds):
                self._keep(self._pilot.measure(self._activations, self._seconds, time_ns()))
                self._activations, self._seconds = 0.0, 0.0

    @contextmanager
    def piloted(self) -> Iterator[bool]:
        """Gives whether whoever asks may watch its job; others' measurements would be mixed up with it."""
        mine = self._piloting.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._piloting.release()

    def _keep(self, decision: Decision | None) -> None:
        if decision is None:
            return
        self._looked_at = perf_counter()
        self._activations, self._seconds = 0.0, 0.0
        last = self._decisions[-1] if self._decisions else None
        if last is not None and (last.epoch_ns, last.after) == (decision.epoch_ns, decision.after):
            self._decisions[-1] = decision
        elif last is None or not decision.repeats(last):
            self._decisions.append(decision)
