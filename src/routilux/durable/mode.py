"""Modes of durable jobs that run on an engine, and of those that are not to be run again."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial

from routilux.course import Course
from routilux.drivers.invoke import Invoker
from routilux.durable.engine import DurableEngine, DurableSeat
from routilux.durable.log import JobLog
from routilux.facts import Fact, Started
from routilux.machine.step import apply
from routilux.modes import EngineMode, Mode
from routilux.ports import Clock


class DurableEngineMode(EngineMode):
    """On the workers of a durable engine. A job that cannot go on is let go: it stays in its store."""

    _engine: DurableEngine
    _seat: DurableSeat

    def __init__(
        self,
        course: Course,
        invoker: Invoker,
        clock: Clock,
        engine: DurableEngine,
        log: JobLog,
        *,
        own_engine: bool,
    ) -> None:
        seat = DurableSeat(course, invoker, copy_context(), log)
        seat.kept = partial(engine.hear_kept, seat, None)
        super().__init__(course, invoker, clock, engine, own_engine=own_engine, seat=seat)

    def _begin(self, first: Started) -> None:
        if not self.course.machine.started:
            apply(self.course.machine, first)
        self._begun = True
        self._engine.look_again(self._seat, new=True)

    def post(self, fact: Fact) -> None:
        """Tells the job something, from any thread: it is durable and heeded when this returns, but in a handler."""
        self._engine.tell(self._seat, fact)

    def break_off(self, error: BaseException) -> None:
        self._engine.leave(self._seat, error)

    def end_idle(self, error: BaseException | None = None) -> None:
        if error is None:
            super().end_idle()
        else:
            self.course.let_go(error)

    def see_through(self, first: Started | None = None) -> None:
        super().see_through(first)
        if self.course.let_go_by is not None:
            raise self.course.let_go_by


class KnownMode(Mode):
    """Of a stored job that is there already: it is over, or something else runs it."""

    @property
    def is_idle(self) -> bool:
        return False

    def break_off(self, error: BaseException) -> None:
        """Whoever runs it does."""

    def _begin(self, first: Started) -> None:
        """It has."""

    def execute(self, first: Started) -> None:
        self.wait(None)

    def _start(self, first: Started) -> None:
        """It has been."""

    def run_beside(self, first: Started) -> None:
        """Whatever runs it does."""

    def start_stream(self, first: Started) -> None:
        """What left it is there, or comes."""

    def advance_stream(self) -> None:
        self.wait(None)

    def cancel(self, reason: str) -> None:
        """Whoever runs it may cancel it."""

    def end_stream(self) -> None:
        """It goes on without this reader."""

    def post(self, fact: Fact) -> None:
        """Nothing can happen to a job that is over."""

    def wait(self, timeout: float | None) -> bool:
        return self.course.finished.wait(timeout)
