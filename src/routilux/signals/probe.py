"""What are the workers doing right now? Looks many times a second, from inside, with nothing but the kernel's word.

For each thread Linux shows the system call that it is in. Reading that with the GIL held tells more: a thread that
runs meanwhile runs without it; one that sleeps where waiters for the GIL sleep waits for it. The address of that
place is learnt at the start, by holding the GIL against a thread that wants it.

To look, the probe itself must take the GIL, so the thread that it has just pushed off shows as a waiter, or has
gone on to something else. So what counts is the moment at which the probe asked for the GIL: when it got it later
than its sleep and the queue for a core explain, somebody had it, and that is the one among the workers that wait for
it now, or whose handler has ended meanwhile; where there is none, one of all that were in a handler. Threads that seem
to run are looked at again a little later: some were only changing places.

Where the kernel does not show it, only the share of the time remains in which somebody had the GIL.
"""

from __future__ import annotations

import ctypes
import os
import platform
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from routilux.insight.trace import ThreadState
from routilux.signals.syscalls import NUMBERS, Call, Calls

MOST_AT_ONCE = 16
"""So many threads are looked at in one tick; the others have their turn in the next."""

REMEMBERED = 64
"""So many handlers that have ended are remembered of each worker, to be found when the probe comes late."""

SETTLING_US = 60
"""Until threads that are changing places have done so."""

RUNS_NS = 15_000
"""A thread that has used less CPU time meanwhile did not run: it only could have."""

NEAR_GIL = range(-64, 256)
"""Where the words of the GIL are, seen from the one that its waiters were found at."""

LEARNING_LOOKS = 8

FEW_LOOKS = 5
"""So few at native code say little."""

RUNNING = Call(-2, 0)
GONE = Call(-3, 0)


class Watched:
    """A worker thread, as a probe sees it; the worker itself says which handler it runs."""

    __slots__ = ("_clock", "_ended", "_now", "descriptor")

    def __init__(self, descriptor: int | None) -> None:
        """Made by the thread itself."""
        self.descriptor = descriptor
        self._clock = None if descriptor is None else time.pthread_getcpuclockid(threading.get_ident())
        self._now: tuple[str, int] | None = None
        self._ended: deque[tuple[str, int, int]] = deque(maxlen=REMEMBERED)

    def enter(self, routine_id: str) -> None:
        """A handler begins."""
        self._now = routine_id, time.perf_counter_ns()

    def leave(self) -> None:
        """It has ended."""
        if self._now is not None:
            self._ended.append((*self._now, time.perf_counter_ns()))
            self._now = None

    def cpu(self) -> int:
        """Nanoseconds of CPU time that it has used; asked by another thread. 0 once it has ended."""
        with suppress(OSError):
            return 0 if self._clock is None else time.clock_gettime_ns(self._clock)
        return 0

    def at(self, moment: int) -> tuple[str | None, bool]:
        """Whose handler it ran at a moment not long ago, if any, and whether it still does."""
        now = self._now
        if now is not None and now[1] <= moment:
            return now[0], True
        for routine_id, begun, ended in reversed(list(self._ended)):
            if begun <= moment:
                return (routine_id if moment <= ended else None), False
        return None, False


class Eyes:
    """Sees what threads of this process are in, without letting go of the GIL."""

    def __init__(self, machine: str) -> None:
        """Raises OSError where the kernel does not show it."""
        numbers = NUMBERS.get(machine)
        if sys.platform != "linux" or numbers is None:
            raise OSError(f"not known how to look at threads on {sys.platform}, {machine}")
        self._calls = Calls(numbers)
        # Functions of a PyDLL are called with the GIL held; those of `os` let go of it.
        library = ctypes.PyDLL(None)
        self._pread, self._usleep = library.pread, library.usleep
        self._pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
        self._pread.restype = ctypes.c_ssize_t
        self._buffer = ctypes.create_string_buffer(256)
        descriptor = self.open()
        found = self.look(descriptor)
        os.close(descriptor)
        if found is GONE:
            raise OSError("the kernel does not let this process read what its threads are in")
        self._gil = self._learn_gil()

    def open(self) -> int:
        """A descriptor by which the calling thread can be looked at."""
        return os.open(f"/proc/self/task/{threading.get_native_id()}/syscall", os.O_RDONLY)

    def look(self, descriptor: int) -> Call:
        """What a thread is in now."""
        size = self._pread(descriptor, self._buffer, 256, 0)
        if size <= 0:
            return GONE
        fields = self._buffer.raw[:size].split(b" ", 2)
        if len(fields) < 3:
            return RUNNING
        return Call(int(fields[0]), int(fields[1], 16))

    def settle(self) -> None:
        """Lets threads that are changing places do so, with the GIL held."""
        self._usleep(SETTLING_US)

    def state_in(self, call: Call) -> ThreadState:
        """What a thread does that is in this call, when the one who looks has the GIL."""
        if call is RUNNING:
            return ThreadState.NATIVE
        if call.number in self._calls.futex and self._gil is not None and call.first - self._gil in NEAR_GIL:
            return ThreadState.GIL
        return self._calls.state_in(call)

    def _learn_gil(self) -> int | None:
        """Where waiters for the GIL sleep; `None` where there is none, or it was not seen."""
        descriptors: list[int] = []
        ended = False

        def spin() -> None:
            descriptors.append(self.open())
            while not ended:
                pass

        spinner = threading.Thread(target=spin, daemon=True)
        spinner.start()
        while not descriptors:
            time.sleep(0.0005)
        seen: Counter[int] = Counter()
        for _ in range(LEARNING_LOOKS):
            self._usleep(1500)
            call = self.look(descriptors[0])
            if call.number in self._calls.futex:
                seen[call.first & ~7] += 1
        ended = True
        spinner.join()
        os.close(descriptors[0])
        return max(seen, key=lambda address: seen[address], default=None)


class Probe:
    """Looks at the workers that it was shown, from `start` to `stop`."""

    def __init__(self, hertz: float = 50.0, machine: str | None = None) -> None:
        """`machine` is what `platform.machine()` says."""
        self.blind: str | None = None
        """Why it does not see what workers do; `None` where it does."""
        self._period = 1 / hertz
        self._chance = random.Random(1)
        self._late = sys.getswitchinterval() / 5
        self._watched: list[Watched] = []
        self._states: dict[str, dict[ThreadState, float]] = {}
        self._ticks = 0
        self._held = 0
        self._looking_ns = 0
        self._native = self._off_core = 0
        """While nobody had the GIL: how many threads were found running, or ready to and without a core."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routilux-probe", daemon=True)
        self._eyes: Eyes | None = None
        try:
            self._eyes = Eyes(machine or platform.machine())
        except OSError as error:
            self.blind = str(error)

    def watch(self) -> Watched:
        """Shows it the calling thread."""
        watched = Watched(None if self._eyes is None else self._eyes.open())
        self._watched.append(watched)
        return watched

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._ended.set()
        self._thread.join()
        for watched in self._watched:
            if watched.descriptor is not None:
                os.close(watched.descriptor)
        self._watched.clear()

    @property
    def states(self) -> Mapping[str, Mapping[ThreadState, float]]:
        """By routine: how often its handlers were found in each state."""
        return {routine_id: dict(counts) for routine_id, counts in self._states.copy().items()}

    @property
    def sees(self) -> bool:
        """Whether the kernel shows it what threads do."""
        return self._eyes is not None

    @property
    def gil_busy(self) -> float:
        """The share of the time in which somebody had the GIL."""
        return self._held / self._ticks if self._ticks else 0.0

    @property
    def seconds_a_look(self) -> float:
        """How much time each look stands for."""
        return self._looking_ns / 1e9 / max(1, self._ticks)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        queue, began = CoreQueue(), time.perf_counter_ns()
        while not self._ended.is_set():
            before, queued = time.perf_counter_ns(), queue.waited()
            # At uneven times, or it could go in step with handlers that let go of the GIL just as evenly.
            period = self._period * self._chance.uniform(0.5, 1.5)
            time.sleep(period)
            asked = before + int(period * 1e9)
            held = time.perf_counter_ns() - asked - (queue.waited() - queued) > self._late * 1e9
            self._ticks += 1
            self._held += held
            if self._eyes is not None:
                self._count(self._seen(self._eyes, asked), held=held)
            self._looking_ns = time.perf_counter_ns() - began
        queue.close()

    def _seen(self, eyes: Eyes, asked: int) -> list[tuple[str, ThreadState | None]]:
        """What the workers whose turn it is are doing; `None` where the handler has ended meanwhile."""
        found = self._look(eyes, asked)
        used = {watched: watched.cpu() for watched, _, call in found if call is RUNNING}
        if used:
            eyes.settle()
        states: list[tuple[str, ThreadState | None]] = []
        for watched, routine_id, call in found:
            if watched in used and watched.descriptor is not None:
                call = eyes.look(watched.descriptor)
                if call is RUNNING and watched.cpu() - used[watched] < RUNS_NS:
                    states.append((routine_id, ThreadState.CORE))
                    continue
            if call is not GONE:
                states.append((routine_id, None if call is None else eyes.state_in(call)))
        return states

    def _look(self, eyes: Eyes, asked: int) -> list[tuple[Watched, str, Call | None]]:
        found = []
        for watched in self._in_turn():
            routine_id, still = watched.at(asked)
            if routine_id is not None and watched.descriptor is not None:
                found.append((watched, routine_id, eyes.look(watched.descriptor) if still else None))
        return found

    def _in_turn(self) -> list[Watched]:
        watched = self._watched
        if len(watched) <= MOST_AT_ONCE:
            return watched
        first = self._ticks * MOST_AT_ONCE % len(watched)
        return (watched + watched)[first : first + MOST_AT_ONCE]

    def _count(self, seen: list[tuple[str, ThreadState | None]], *, held: bool) -> None:
        suspects = [one for one in seen if one[1] in (None, ThreadState.GIL)] or seen
        if not held:
            self._native += sum(one[1] is ThreadState.NATIVE for one in seen)
            self._off_core += sum(one[1] is ThreadState.CORE for one in seen)
        running = self._running()
        for one in seen:
            routine_id, state = one
            holding = 1 / len(suspects) if held and one in suspects else 0.0
            if state is None and not held:
                continue
            counts = self._states.setdefault(routine_id, {})
            for found, share in (
                (ThreadState.PYTHON, holding * running),
                (ThreadState.CORE, holding * (1 - running)),
                (state or ThreadState.MISSED, 1 - holding),
            ):
                if share:
                    counts[found] = counts.get(found, 0.0) + share

    def _running(self) -> float:
        """The chance that who has the GIL has a core, too: where there is native code, that of those who run it."""
        found = self._native + self._off_core
        return 1 - (self._off_core / found * self._native / (self._native + FEW_LOOKS) if found else 0.0)


class CoreQueue:
    """How long the calling thread has waited for a core, as the kernel counts it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)

    def waited(self) -> int:
        """Nanoseconds; always 0 where the kernel does not count."""
        if self._descriptor is None:
            return 0
        fields = os.pread(self._descriptor, 64, 0).split()
        return int(fields[1]) if len(fields) > 1 else 0

    def close(self) -> None:
        """Asks no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
