"""Who runs attempts in a replay: threads, coroutines that share one, and answers on their way."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from routilux.insight.processors import Interpreter, Processors, Thread


class Doing(enum.Enum):
    """What a thread does for a while."""

    PYTHON = enum.auto()
    NATIVE = enum.auto()
    WAIT = enum.auto()
    CALLER = enum.auto()
    """Python in the calling process, on behalf of another."""


PYTHON, NATIVE, WAIT, CALLER = Doing.PYTHON, Doing.NATIVE, Doing.WAIT, Doing.CALLER
Part: TypeAlias = tuple[Doing, float]
"""What is done, and for how many seconds."""


class Worker(Thread):
    """Goes through the parts of one attempt after another.

    It keeps the GIL from one attempt to the next if it goes straight on, as a thread does that does not wait.
    """

    __slots__ = ("_caller", "_done", "_home", "_parts", "_processors", "attempt")

    def __init__(
        self, processors: Processors, home: Interpreter, caller: Interpreter, done: Callable[[Worker], None]
    ) -> None:
        """Its Python runs at `home`; `done` is called each time that it has gone through all parts."""
        super().__init__()
        self.attempt = -1
        self._processors = processors
        self._home = home
        self._caller = caller
        self._done = done
        self._parts: Iterator[Part] = iter(())

    def begin(self, attempt: int, parts: Iterable[Part]) -> None:
        """Starts with an attempt."""
        self.attempt = attempt
        self._parts = iter(parts)
        self.go_on()

    def go_on(self) -> None:
        part = next(self._parts, None)
        if part is None:
            self._done(self)
        else:
            self._perform(part)

    def _perform(self, part: Part) -> None:
        doing, seconds = part
        processors = self._processors
        interpreter = self._home if doing is PYTHON else self._caller if doing is CALLER else None
        if self.interpreter is not interpreter:
            processors.let_go(self)
        if interpreter is not None:
            processors.run_python(self, interpreter, seconds)
        elif doing is WAIT:
            processors.wait(self, seconds)
        else:
            processors.compute(self, seconds)


class Loop:
    """The one thread of an event loop, which one coroutine has at a time."""

    __slots__ = ("_holder", "_queue")

    def __init__(self) -> None:
        self._holder: Coroutine | None = None
        self._queue: deque[Coroutine] = deque()

    def enter(self, coroutine: Coroutine) -> bool:
        """Whether a coroutine has the loop now; otherwise it goes on when it gets it."""
        if self._holder is None:
            self._holder = coroutine
        elif self._holder is not coroutine:
            self._queue.append(coroutine)
        return self._holder is coroutine

    def leave(self, coroutine: Coroutine) -> None:
        """Gives the loop to the coroutine that waited longest."""
        if self._holder is coroutine:
            self._holder = self._queue.popleft() if self._queue else None
            if self._holder is not None:
                self._holder.go_on()


class Coroutine(Worker):
    """Whatever it does but wait, it does while no other on its loop can."""

    __slots__ = ("_loop", "_put_off")

    def __init__(self, processors: Processors, home: Interpreter, done: Callable[[Worker], None], loop: Loop) -> None:
        super().__init__(processors, home, home, done)
        self._loop = loop
        self._put_off: Part | None = None
        """What it does once it has the loop."""

    def go_on(self) -> None:
        part = self._put_off or next(self._parts, None)
        self._put_off = None
        if part is None or part[0] is WAIT:
            self._processors.let_go(self)
            self._loop.leave(self)
        elif not self._loop.enter(self):
            self._put_off = part
            return
        if part is None:
            self._done(self)
        else:
            self._perform(part)
