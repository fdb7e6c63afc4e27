"""Cores, interpreters and time, for the threads of a replay.

Runnable threads share the cores evenly, whatever fraction of one that gives each. To run Python a thread needs its
interpreter's GIL. Those that want a held one queue; the holder is made to let go one switch interval after the later
of the last change of hands and the first waiter's arrival. That is CPython's rule, and the reason why a handler that
often waits comes out of each wait an interval late when it shares the interpreter with one that computes.

A thread's CPU time is counted on a clock that runs as fast as each runnable thread does: the moment at which it
has had enough is known when it starts, and only the clock's speed changes with their number.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections import deque

NEVER = math.inf


class Thread(ABC):
    """What runs or waits in a replay."""

    __slots__ = ("enough", "interpreter", "left", "ticket", "waits_since")

    def __init__(self) -> None:
        self.enough = 0.0
        """What the CPU clock shows when the thread has had what it runs for."""
        self.left = 0.0
        """Seconds that it still needs, while it waits for the GIL."""
        self.ticket = 0
        """Names its entry among those that run, which is stale when the thread was made to let go."""
        self.interpreter: Interpreter | None = None
        """The one whose GIL it holds."""
        self.waits_since = 0.0

    @abstractmethod
    def go_on(self) -> None:
        """It has had its CPU time, or its wait is over; it still has the GIL if it had it."""


class Interpreter:
    """One GIL."""

    __slots__ = ("holder", "interval", "queue", "since", "turn")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.holder: Thread | None = None
        self.queue: deque[Thread] = deque()
        self.since = 0.0
        """When it last changed hands."""
        self.turn = 0
        """How often it has changed hands, so that a moment set for one holder does not meet the next."""


class Processors:
    """The one thing in a replay that knows what time it is."""

    def __init__(self, cores: float, gil_switch: float) -> None:
        self.now = 0.0
        self.gil_wait = 0.0
        """Seconds that threads have waited for a GIL."""
        self._cores = cores
        self._gil_switch = gil_switch
        self._cpu_clock = 0.0
        self._running: list[tuple[float, int, Thread]] = []
        """A heap of who has had enough when; entries of threads that were stopped are stale."""
        self._runnable = 0
        self._moments: list[tuple[float, int, Thread | Interpreter, int]] = []
        """A heap of waits that end, and of turns that do."""
        self._count = 0
        self._stopped: set[int] = set()

    def compute(self, thread: Thread, seconds: float) -> None:
        """Lets a thread run native code, or Python if it holds the GIL, and then go on."""
        self._count += 1
        thread.enough = self._cpu_clock + seconds
        thread.ticket = self._count
        self._runnable += 1
        heapq.heappush(self._running, (thread.enough, self._count, thread))

    def run_python(self, thread: Thread, interpreter: Interpreter, seconds: float) -> None:
        """Lets a thread run Python as soon as it has the GIL."""
        if thread.interpreter is interpreter:
            self.compute(thread, seconds)
            return
        if interpreter.holder is None:
            self._take(thread, interpreter, seconds)
            return
        thread.left, thread.waits_since = seconds, self.now
        interpreter.queue.append(thread)
        if len(interpreter.queue) == 1:
            self._set_turn(interpreter)

    def wait(self, thread: Thread, seconds: float) -> None:
        """Lets a thread go on after so many seconds."""
        self._count += 1
        heapq.heappush(self._moments, (self.now + seconds, self._count, thread, 0))

    def let_go(self, thread: Thread) -> None:
        """Takes the GIL from a thread, if it has one, and gives it to the first that wants it."""
        interpreter = thread.interpreter
        if interpreter is None:
            return
        thread.interpreter = interpreter.holder = None
        self._hand_over(interpreter)

    def step(self) -> bool:
        """Goes to the next moment at which something happens, and lets it; `False`: nothing ever will."""
        running, moments = self._running, self._moments
        while running and running[0][1] in self._stopped:
            self._stopped.discard(heapq.heappop(running)[1])
        runnable = self._runnable
        speed = 1.0 if runnable <= self._cores else self._cores / runnable
        enough = self.now + max(0.0, running[0][0] - self._cpu_clock) / speed if running else NEVER
        moment = moments[0][0] if moments else NEVER
        if enough is NEVER and moment is NEVER:
            return False
        if enough <= moment:
            self._cpu_clock = max(self._cpu_clock, running[0][0])
            self.now = enough
            self._runnable -= 1
            heapq.heappop(running)[2].go_on()
            return True
        if runnable:
            self._cpu_clock += (moment - self.now) * speed
        self.now = moment
        _, _, subject, turn = heapq.heappop(moments)
        if isinstance(subject, Interpreter):
            if subject.turn == turn and subject.queue:
                self._force_off(subject)
        else:
            subject.go_on()
        return True

    def _take(self, thread: Thread, interpreter: Interpreter, seconds: float) -> None:
        interpreter.holder, interpreter.since = thread, self.now
        interpreter.turn += 1
        thread.interpreter = interpreter
        self.compute(thread, seconds)
        if interpreter.queue:
            self._set_turn(interpreter)

    def _hand_over(self, interpreter: Interpreter) -> None:
        if interpreter.queue:
            thread = interpreter.queue.popleft()
            self.gil_wait += self.now - thread.waits_since
            self._take(thread, interpreter, thread.left)

    def _set_turn(self, interpreter: Interpreter) -> None:
        """The holder's turn ends one interval after the first waiter came, or after it took over."""
        self._count += 1
        due = max(interpreter.since, interpreter.queue[0].waits_since) + interpreter.interval
        heapq.heappush(self._moments, (due, self._count, interpreter, interpreter.turn))

    def _force_off(self, interpreter: Interpreter) -> None:
        holder = interpreter.holder
        assert holder is not None
        self._stopped.add(holder.ticket)
        self._runnable -= 1
        holder.left = max(0.0, holder.enough - self._cpu_clock) + self._gil_switch
        holder.interpreter, holder.waits_since = None, self.now
        interpreter.queue.append(holder)
        self._hand_over(interpreter)
