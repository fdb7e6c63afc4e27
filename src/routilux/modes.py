"""Modes: how a job is brought to run, told things, and waited for."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from contextvars import copy_context

from routilux.attendant import Attendant
from routilux.course import Course
from routilux.drivers.invoke import Invoker
from routilux.drivers.port import Seat
from routilux.drivers.sequential import SequentialDriver
from routilux.drivers.threads import Worker
from routilux.engine import Engine
from routilux.errors import SelfWaitError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Cancelled, Fact, Started
from routilux.machine.step import apply
from routilux.ports import Clock, Steering
from routilux.undisturbed import undisturbed

INTERRUPT_GRACE = 5.0
"""Seconds that an interrupted `execute` waits for handlers that still run before it raises."""

ABANDONED = "nobody reads its stream any more"


class Mode(Steering):
    """Runs one job."""

    def __init__(self, course: Course, clock: Clock) -> None:
        self.course = course
        self._clock = clock
        self._made_by = threading.get_ident()
        """The thread that is to run the job, or to have it run."""

    @property
    def own_engine(self) -> Engine | None:
        """The engine that it runs on, if that is for this job alone."""
        return None

    def cancel(self, reason: str) -> None:
        """Ends the job; does not wait."""
        self.post(Cancelled(self._clock.now(), reason))

    def leave(self, error: BaseException) -> None:
        if self.is_idle and self._made_by == threading.get_ident():
            self.end_idle(error)
        else:
            self.break_off(error)

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether nothing runs it now, so that if whoever was to was interrupted, nothing ever will."""

    def break_off(self, error: BaseException) -> None:
        """Has a job that runs end because of an error elsewhere; does not wait."""
        self.cancel(_said(error))

    def end_idle(self, error: BaseException | None = None) -> None:
        """Ends a job that nothing runs: because of an error, or because its stream was never read."""
        if not self.course.finished.is_set():
            machine = self.course.machine
            machine.cancel(ABANDONED if error is None else _said(error))
            machine.running.clear()
            machine.done = True
            self.course.finish(self._clock.now(), ())

    def begin(self, first: Started) -> None:
        """The job has begun; in sequence nothing of it runs until somebody runs it."""
        undisturbed(self._begin, first)

    @abstractmethod
    def execute(self, first: Started) -> None:
        """Runs the job and returns when it is over; Ctrl-C cancels it and is raised again."""

    def start(self, first: Started) -> None:
        """Has the job run, and returns at once; the program does not end before the job."""
        undisturbed(self._start, first)

    def run_beside(self, first: Started) -> None:
        """Has the job run beside others that share its engine, which is not closed; in sequence, runs it."""
        self.begin(first)

    @abstractmethod
    def start_stream(self, first: Started) -> None:
        """Has the job run as far as its reader takes what leaves it."""

    @abstractmethod
    def advance_stream(self) -> None:
        """The reader has taken all there was: returns when there is more, or the job is over."""

    def make_room(self) -> None:
        """The reader has taken some of what there was, so that more may start."""
        return

    @abstractmethod
    def end_stream(self) -> None:
        """The reader will take no more: the job is over, or it is cancelled. Does not wait."""

    @abstractmethod
    def _begin(self, first: Started) -> None: ...

    @abstractmethod
    def _start(self, first: Started) -> None: ...

    def _refuse_self_wait(self) -> None:
        if is_inside(self.course):
            raise self_wait(self.course)


class SequentialMode(Mode):
    """In the caller's thread; a started job has one thread of its own."""

    def __init__(self, course: Course, invoker: Invoker, clock: Clock, driver: SequentialDriver | None = None) -> None:
        super().__init__(course, clock)
        self._invoker = invoker
        self._driver = driver or SequentialDriver(course, invoker, clock)
        self._thread: threading.Thread | None = None
        """That of a started job; a thread that has told the end is as good as over."""

    @property
    def is_idle(self) -> bool:
        return self.course.thread in (None, self._made_by) and self._thread is None

    def end_idle(self, error: BaseException | None = None) -> None:
        self.course.thread = None
        super().end_idle(error)

    def _begin(self, first: Started) -> None:
        apply(self.course.machine, first)

    def execute(self, first: Started) -> None:
        self._begin(first)
        self._run()

    def _start(self, first: Started) -> None:
        self._begin(first)
        self._go(self._run)

    def _go(self, run: Callable[[], None]) -> None:
        """Has it run in a thread of its own."""
        self._thread = threading.Thread(target=run, name=f"routilux-{self.course.origin.flow_id}")
        self._thread.start()

    def run_beside(self, first: Started) -> None:
        self.execute(first)

    def start_stream(self, first: Started) -> None:
        self.begin(first)

    def advance_stream(self) -> None:
        self._run()

    def end_stream(self) -> None:
        if not self.course.finished.is_set():
            self.post(Cancelled(self._clock.now(), ABANDONED))
            if self.course.thread is None:
                self.course.machine.delivery.left.clear()
                self._run()

    def post(self, fact: Fact) -> None:
        self._driver.post(fact)

    def wait(self, timeout: float | None) -> bool:
        self._refuse_self_wait()
        done = self.course.finished.wait(timeout)
        if done and self._thread is not None:
            self._thread.join()
        return done

    def _run(self) -> None:
        machine = self.course.machine
        try:
            self._driver.run()
        except KeyboardInterrupt:
            machine.cancel("interrupted")
            machine.running.clear()
            machine.done = True
            raise
        finally:
            self.course.thread = None
            if machine.done and self.course.ended_at is None:
                self.course.finish(self._clock.now(), self._invoker.close())


class EngineMode(Mode):
    """On the workers of an engine: that of the flow's `with` block, or one of its own."""

    def __init__(
        self,
        course: Course,
        invoker: Invoker,
        clock: Clock,
        engine: Engine,
        *,
        own_engine: bool,
        seat: Seat | None = None,
    ) -> None:
        super().__init__(course, clock)
        self._engine = engine
        self._own_engine = own_engine
        self._closer: Attendant | None = None
        """What ends the engine's threads after the job without being told."""
        self._seat = seat or Seat(course, invoker, copy_context())
        self._unread = threading.Event()
        self._begun = False

    def workers(self, mode: ExecutionMode) -> int:
        return self._engine.crew.workers(mode)

    @property
    def is_idle(self) -> bool:
        return not self._begun

    def _begin(self, first: Started) -> None:
        self._begun = True
        self._engine.post(self._seat, first)

    def execute(self, first: Started) -> None:
        self.see_through(first)

    def see_through(self, first: Started | None = None) -> None:
        """Returns when the job is over, which has begun unless there is a `first` fact; Ctrl-C is raised again."""
        try:
            if first is not None:
                self.begin(first)
            self._await_end()
        except KeyboardInterrupt as error:
            self.leave(error)
            done = self.course.finished.wait(INTERRUPT_GRACE)
            self._close(wait=done)
            raise
        self._close()

    def _start(self, first: Started) -> None:
        self._close_later(keep_program=True)
        self._begin(first)

    def start_stream(self, first: Started) -> None:
        self.course.unread = self._unread
        self.begin(first)

    def advance_stream(self) -> None:
        unread, finished, left = self._unread, self.course.finished, self.course.machine.delivery.left
        self._engine.look_again(self._seat)
        while not (left or finished.is_set()):
            unread.wait()
            unread.clear()
        if finished.is_set() and not left:
            self._close()

    def make_room(self) -> None:
        self._engine.look_again(self._seat)

    def end_stream(self) -> None:
        self._close_later(keep_program=False)
        if not self.course.finished.is_set():
            self.cancel(ABANDONED)

    def post(self, fact: Fact) -> None:
        self._engine.post(self._seat, fact)

    @property
    def own_engine(self) -> Engine | None:
        return self._engine if self._own_engine else None

    def wait(self, timeout: float | None) -> bool:
        self._refuse_self_wait()
        worker = threading.current_thread()
        if isinstance(worker, Worker) and not self.course.finished.is_set():
            # It does nothing meanwhile: somebody else may take its place.
            self._engine.add_workers(worker.driver, 1)
            try:
                return self.course.finished.wait(timeout)
            finally:
                self._engine.add_workers(worker.driver, -1)
        done = self.course.finished.wait(timeout)
        if done and self._closer is not None:
            self._closer.join()
        return done

    def _await_end(self) -> None:
        self.wait(None)

    def _refuse_self_wait(self) -> None:
        super()._refuse_self_wait()
        if threading.get_ident() in self._engine.crew.loops and not self.course.finished.is_set():
            raise SelfWaitError(
                f"Flow {self.course.origin.flow_id!r}: a coroutine waits for a job whose handlers need the event loop "
                "that it blocks. Await it instead: execute_async(...), or job.wait_async()."
            )

    def _close_later(self, *, keep_program: bool) -> None:
        alarms = self._engine.alarms
        if self._own_engine and isinstance(alarms, Attendant):
            self._closer = alarms
            alarms.close_after(self._seat, keep_program=keep_program)

    def _close(self, *, wait: bool = True) -> None:
        if self._own_engine and self._closer is None:
            self._engine.close(wait=wait)


def is_inside(course: Course) -> bool:
    """Whether the calling thread is at a handler of the job, and has nothing to do with others meanwhile."""
    worker = threading.current_thread()
    is_busy = isinstance(worker, Worker) and worker.busy_with is course
    return is_busy or threading.get_ident() in (course.thread, course.loop_thread)


def self_wait(course: Course) -> SelfWaitError:
    """The error for a handler that waits for its own job."""
    return SelfWaitError(
        f"Flow {course.origin.flow_id!r}: a handler waits for the job that it is part of, which cannot end before it "
        "does. Return instead, and let a connected routine go on."
    )


def _said(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"the flow's block was left by {type(error).__name__}"
