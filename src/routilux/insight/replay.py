"""A recorded job, run again on paper: in another mode, with other workers, or with faster routines.

Handlers are taken to do the same work in any mode: half of their Python, then what they wait for, then native code,
then the rest of their Python. What starts when follows the engine's own rules: first fired, first begun; a generator
is asked for its next value while few activations are ready; a worker that has ended one goes straight on with another.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.configuration import Configuration, window_of
from routilux.insight.costs import Costs
from routilux.insight.processors import Interpreter, Processors
from routilux.insight.script import Script
from routilux.insight.workers import CALLER, NATIVE, PYTHON, WAIT, Coroutine, Loop, Part, Worker


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave; durations and moments are seconds since the job's start."""

    wall_time: float
    gil_wait: float
    """That threads waited for a GIL, all together."""
    spans: tuple[tuple[float, float], ...]
    """From when to when each attempt had a worker, in the order of `Trace.attempts`."""


def replay(script: Script, configuration: Configuration, costs: Costs, cores: float | None = None) -> Replayed:
    """Runs a recorded job on paper; `cores` are those of the trace where nobody says."""
    return _Replay(script, configuration, costs, script.trace.cores if cores is None else cores).run()


class _Pool:
    """The workers of one mode, and what is to run in it."""

    __slots__ = ("capacity", "idle", "mode", "ready", "started", "suspended")

    def __init__(self, mode: ExecutionMode, capacity: int) -> None:
        self.mode = mode
        self.capacity = capacity
        self.started = 0
        self.idle: list[Worker] = []
        self.ready: deque[int] = deque()
        self.suspended: list[tuple[int, int]] = []
        """Open generators, as a heap: the youngest first, and the attempt that asks for the next value."""


class _Replay:
    """One replay: who may start what, as in the engine."""

    def __init__(self, script: Script, configuration: Configuration, costs: Costs, cores: float) -> None:
        self._script = script
        self._attempts = script.trace.attempts
        self._costs = costs
        self._interval = script.trace.host.switch_interval
        self._processors = Processors(cores, costs.gil_switch)
        self._caller = Interpreter(self._interval)
        self._loop = Loop()
        self._pools = {mode: _Pool(mode, configuration.workers_of(mode)) for mode in configuration.used}
        routines = {attempt.routine_id for attempt in self._attempts}
        in_use = {configuration.mode_of(routine_id) for routine_id in routines}
        self._window = sum(window_of(mode, configuration.workers_of(mode)) for mode in in_use)
        self._pool_of = {routine_id: self._pools[configuration.mode_of(routine_id)] for routine_id in routines}
        self._limits_of = {routine_id: script.trace.observed(routine_id).limits for routine_id in routines}
        self._free = dict(script.trace.limits)
        self._limited: deque[int] = deque()
        self._ready = 0
        """How many activations are ready, wherever they will run."""
        self._missing = [len(needs) for needs in script.needs.of]
        self._followers: list[list[tuple[int, float]]] = [[] for _ in self._attempts]
        for index, needs in enumerate(script.needs.of):
            for need in needs:
                self._followers[need.earlier].append((index, need.delay))
        self._resting = deque(sorted(script.needs.at_rest))
        for index in self._resting:
            self._missing[index] += 1
        self._begun = [0.0] * len(self._attempts)
        self._ended = [0.0] * len(self._attempts)

    def run(self) -> Replayed:
        """Plays it to its end."""
        for index in [index for index, missing in enumerate(self._missing) if not missing]:
            self._fire(index)
        self._start_idle()
        step = self._processors.step
        while True:
            while step():
                pass
            if not self._resting:
                break
            self._met(self._resting.popleft())
            self._start_idle()
        spans = tuple(zip(self._begun, self._ended, strict=True))
        return Replayed(max(self._ended, default=0.0), self._processors.gil_wait, spans)

    def _fire(self, index: int) -> None:
        """All that an attempt needs is there: it is ready, or waits for its limits."""
        routine_id = self._attempts[index].routine_id
        pool = self._pool_of[routine_id]
        if index in self._script.needs.continued:
            heapq.heappush(pool.suspended, (-self._attempts[index].activation_id, index))
        elif self._limits_of[routine_id] and not self._took_limits(routine_id):
            self._limited.append(index)
        else:
            pool.ready.append(index)
            self._ready += 1

    def _took_limits(self, routine_id: str) -> bool:
        """Takes all limits of a routine, if there is room in all; one that is not known has room."""
        names = self._limits_of[routine_id]
        if any(self._free.get(name, 1) <= 0 for name in names):
            return False
        for name in names:
            if name in self._free:
                self._free[name] -= 1
        return True

    def _gave_back(self, routine_id: str) -> None:
        """An activation has ended, and its limits go to those that waited longest."""
        freed = [name for name in self._limits_of[routine_id] if name in self._free]
        for name in freed:
            self._free[name] += 1
        for index in list(self._limited):
            if not any(self._free[name] > 0 for name in freed):
                break
            limited = self._attempts[index].routine_id
            if self._took_limits(limited):
                self._limited.remove(index)
                self._pool_of[limited].ready.append(index)
                self._ready += 1

    def _met(self, index: int) -> None:
        """One of the things that an attempt needs is there."""
        self._missing[index] -= 1
        if not self._missing[index]:
            self._fire(index)

    def _take(self, pool: _Pool) -> int | None:
        """What a free worker runs next."""
        if pool.suspended and self._ready < self._window:
            return heapq.heappop(pool.suspended)[1]
        if pool.ready:
            self._ready -= 1
            return pool.ready.popleft()
        return None

    def _start_idle(self) -> None:
        """Lets workers begin that have nothing to do."""
        for pool in self._pools.values():
            while pool.idle or pool.started < pool.capacity:
                index = self._take(pool)
                if index is None:
                    break
                worker = pool.idle.pop() if pool.idle else self._new_worker(pool)
                self._begin(pool, worker, index, woken=True)

    def _new_worker(self, pool: _Pool) -> Worker:
        pool.started += 1
        done = partial(self._done, pool)
        if pool.mode is ExecutionMode.ASYNCIO:
            return Coroutine(self._processors, self._caller, done, self._loop)
        home = Interpreter(self._interval) if pool.mode is ExecutionMode.MULTIPROCESSING else self._caller
        return Worker(self._processors, home, self._caller, done)

    def _begin(self, pool: _Pool, worker: Worker, index: int, *, woken: bool) -> None:
        self._begun[index] = self._processors.now
        worker.begin(index, self._parts(pool.mode, index, woken=woken))

    def _done(self, pool: _Pool, worker: Worker) -> None:
        """A worker has run an attempt; the answer of another process is still to come."""
        if pool.mode is ExecutionMode.MULTIPROCESSING:
            costs = self._costs
            errand = Worker(self._processors, self._caller, self._caller, self._answered)
            errand.begin(worker.attempt, ((WAIT, costs.process_wake), (CALLER, costs.process_receive)))
            self._ask_again_there(worker.attempt)
        else:
            self._settle(worker.attempt)
        index = self._take(pool)
        if index is not None:
            self._begin(pool, worker, index, woken=False)
        else:
            self._processors.let_go(worker)
            pool.idle.append(worker)
        self._start_idle()

    def _ask_again_there(self, index: int) -> None:
        """A generator in another process is asked for many values at once: the next need not wait for the answer."""
        for place, (follower, _) in enumerate(self._followers[index]):
            if follower in self._script.needs.continued:
                del self._followers[index][place]
                self._met(follower)
                return

    def _answered(self, errand: Worker) -> None:
        self._processors.let_go(errand)
        self._settle(errand.attempt)
        self._start_idle()

    def _settle(self, index: int) -> None:
        """An attempt's emissions become visible."""
        self._ended[index] = self._processors.now
        attempt = self._attempts[index]
        for follower, delay in self._followers[index]:
            if delay > 0:
                Worker(self._processors, self._caller, self._caller, self._came_due).begin(follower, ((WAIT, delay),))
            else:
                self._met(follower)
        if self._limits_of[attempt.routine_id] and attempt.status is not ActivationStatus.YIELDED:
            self._gave_back(attempt.routine_id)

    def _came_due(self, timer: Worker) -> None:
        self._met(timer.attempt)
        self._start_idle()

    def _parts(self, mode: ExecutionMode, index: int, *, woken: bool) -> Iterator[Part]:
        """What a worker does for an attempt. The first part is there even if it takes no time."""
        costs, (python, native, wait, _) = self._costs, self._script.splits[index]
        before = after = python / 2
        if not (native or wait):
            before, after = python, 0.0
        if mode is ExecutionMode.MULTIPROCESSING:
            attempt = self._attempts[index]
            size, pickling = attempt.payload_bytes or 0, (attempt.pickle_ns or 0) / 2e9
            if index not in self._script.needs.continued:
                yield CALLER, costs.process_send + pickling + size * costs.byte_send
                if woken:
                    yield WAIT, costs.process_wake
                before += costs.process_child + pickling + size * costs.byte_child
        elif mode is ExecutionMode.CONCURRENT:
            if woken:
                yield WAIT, costs.thread_wake
            before += costs.thread
        else:
            before += costs.loop if mode is ExecutionMode.ASYNCIO else costs.sequential
        yield PYTHON, before
        if wait:
            yield WAIT, wait + (costs.loop_timer if mode is ExecutionMode.ASYNCIO else 0.0)
        if native:
            yield NATIVE, native
        if mode is ExecutionMode.ASYNCIO and wait:
            after += costs.loop_wait
        if after:
            yield PYTHON, after
