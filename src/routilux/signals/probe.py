"""What are the workers doing right now? Looks many times a second, from inside, with nothing but the kernel's word.

For each thread Linux shows the system call that it is in. Reading that with the GIL held tells more: a thread that
runs meanwhile runs without it; one that sleeps where waiters for the GIL sleep waits for it. The address of that
place is learnt at the start, by holding the GIL against a thread that wants it.

To look, the probe itself must take the GIL, so the thread that it has just pushed off shows as a waiter.
When the probe wakes later than its sleep explains, somebody had the GIL, and one of the waiters is counted as its
holder. Threads that seem to run are looked at again a little later: some were only changing places.

Where the kernel does not show it, only the share of the time remains in which somebody had the GIL.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from routilux.insight.trace import ThreadState
from routilux.signals.syscalls import NUMBERS, Call, Calls

MOST_AT_ONCE = 16
"""So many threads are looked at in one tick; the others have their turn in the next."""

SETTLING_US = 60
"""Until threads that are changing places have done so."""

NEAR_GIL = range(-64, 256)
"""Where the words of the GIL are, seen from the one that its waiters were found at."""

LEARNING_LOOKS = 8

RUNNING = Call(-2, 0)
GONE = Call(-3, 0)


class Watched:
    """A worker thread, as a probe sees it."""

    __slots__ = ("descriptor", "routine_id")

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor
        self.routine_id: str | None = None
        """Whose handler it runs; the worker sets it, and takes it back. What it does with `None` is not counted."""


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
        self._late = sys.getswitchinterval() / 5
        self._watched: list[Watched] = []
        self._states: dict[str, dict[ThreadState, float]] = {}
        self._ticks = 0
        self._held = 0
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
    def gil_busy(self) -> float:
        """The share of the time in which somebody had the GIL."""
        return self._held / self._ticks if self._ticks else 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._ended.is_set():
            before = time.perf_counter()
            time.sleep(self._period)
            held = time.perf_counter() - before - self._period > self._late
            self._ticks += 1
            self._held += held
            if self._eyes is not None:
                self._count(self._seen(self._eyes, again=held), held=held)

    def _seen(self, eyes: Eyes, *, again: bool) -> list[tuple[str, ThreadState]]:
        """What the workers whose turn it is are doing."""
        found = self._look(eyes)
        if again and any(call is RUNNING for _, call in found):
            eyes.settle()
            found = self._look(eyes)
        return [(routine_id, eyes.state_in(call)) for routine_id, call in found if call is not GONE]

    def _look(self, eyes: Eyes) -> list[tuple[str, Call]]:
        found = []
        for watched in self._in_turn():
            routine_id, descriptor = watched.routine_id, watched.descriptor
            if routine_id is not None and descriptor is not None:
                found.append((routine_id, eyes.look(descriptor)))
        return found

    def _in_turn(self) -> list[Watched]:
        watched = self._watched
        if len(watched) <= MOST_AT_ONCE:
            return watched
        first = self._ticks * MOST_AT_ONCE % len(watched)
        return (watched + watched)[first : first + MOST_AT_ONCE]

    def _count(self, seen: list[tuple[str, ThreadState]], *, held: bool) -> None:
        waiters = sum(state is ThreadState.GIL for _, state in seen)
        for routine_id, state in seen:
            counts = self._states.setdefault(routine_id, {})
            holding = 1 / waiters if held and state is ThreadState.GIL else 0.0
            counts[state] = counts.get(state, 0.0) + 1 - holding
            if holding:
                counts[ThreadState.PYTHON] = counts.get(ThreadState.PYTHON, 0.0) + holding
