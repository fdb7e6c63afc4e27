"""What runs handlers, as a contract: one driver for each execution mode.

A driver is given attempts and gives back what came of them. It knows how a handler is called in its mode; it knows
no flow, no strategy and no history, and it decides nothing about failures.

::

    engine: take() -> driver.start(seat, activation, skip) ... handler runs ... host.settle(seat, [Settled]) -> engine
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Sized
from contextvars import Context
from typing import Any, NamedTuple, TypeAlias

from routilux.course import Course
from routilux.drivers.at_hand import AtHand
from routilux.drivers.invoke import Invoker
from routilux.execution_mode import ExecutionMode
from routilux.facts import Settled
from routilux.machine.delivery import Activation


class Seat:
    """A job's place in an engine, and all that a driver needs to know of the job."""

    __slots__ = (
        "alarm",
        "at_hand",
        "context",
        "course",
        "elastic",
        "invoker",
        "queued",
        "relieved",
        "sized_at",
        "told",
    )

    def __init__(self, course: Course, invoker: Invoker, context: Context) -> None:
        self.course = course
        self.invoker = invoker
        """Calls handlers of the job in this process, and keeps its open generators."""
        self.context = context
        """The context variables of whoever started the job, as its handlers are to see them."""
        self.at_hand: AtHand | None = None
        """For runners, once one has looked it up."""
        self.alarm: int | None = None
        """The moment for which the engine was last told to wake this job."""
        self.elastic = False
        """Whether the window of the job's drivers may change."""
        self.sized_at = 0
        """When the job was last told of it."""
        self.queued: set[ExecutionMode] = set()
        """The modes in which it is this job's turn some time to start something."""
        self.relieved = False
        """Whether an event loop will start what is ready as soon as the runner that is at it waits."""
        self.told = False
        """Whether the job's end has been told."""


Following: TypeAlias = tuple[Seat, Activation] | None
"""What a worker goes straight on with."""


class Stopping(enum.Enum):
    """What became of an attempt whose outcome nobody wants any more."""

    NEVER_STARTED = enum.auto()
    """It had not begun and will not; the driver settles it no more."""
    STOPPED = enum.auto()
    """Its handler has been ended for good; the driver settles it no more."""
    ASKED = enum.auto()
    """Its handler was told and is expected to end soon; the driver settles it when it does."""
    RUNS_ON = enum.auto()
    """Nothing can end it; the driver settles it whenever it returns, and has its worker replaced meanwhile."""


class Abilities(NamedTuple):
    """What a mode can do; asked before a job starts and told in the docs."""

    stops: bool
    """Whether a running handler can be ended."""
    same_memory: bool
    """Whether handlers see the caller's own objects, so that nothing need be pickled."""
    recalls: bool = False
    """Whether what has been handed on, as to a cluster, can be taken back before it begins."""


class Host(ABC):
    """Whom a driver tells of its work: the engine. Every method may be called from any thread."""

    @abstractmethod
    def settle(self, seat: Seat, outcomes: Sequence[Settled]) -> None:
        """Attempts have ended, or generators have given values; each attempt started is settled exactly once.

        Attempts that were stopped for good are not settled at all (`Stopping`).
        """

    @abstractmethod
    def look_again(self) -> None:
        """The driver's `free` or `window` has grown without an attempt having settled."""


class Driver(ABC):
    """Runs attempts in one mode, for any number of jobs.

    `start`, `stop`, `forget` and the properties are called by one thread at a time, the one that has the engine's
    turn, so they must neither block nor call the host; they are not called after `close`.

    Obligations. An attempt's handler is called once for each `start`, in any order, at most `workers` at a time.
    A handler's exception is an outcome, never raised here. A worker that dies takes nothing with it but the attempt
    that it was running: that one is settled with a `WorkerLostError`, and what had certainly not begun is run elsewhere
    without anybody noticing. Moments in an outcome are those of the clock of this process, taken where the handler
    ran as far as that can be said in them. A routine that keeps state finds in its context what the last
    activation left (`seat.course.states`), wherever it ran.
    """

    mode: ExecutionMode
    abilities: Abilities
    ident: int | None = None
    """The thread whose event loop handlers run on, if they do."""
    elastic = False
    """Whether `window` may change."""

    workers: int
    """How many handlers run at once."""

    @property
    @abstractmethod
    def free(self) -> int:
        """How many more attempts it would take now: at least 1 whenever a worker has nothing to do."""

    @property
    def tasks(self) -> Sequence[Any]:
        """What is still under way on the event loop that it uses, if it does."""
        return ()

    @property
    def window(self) -> int:
        """How many activations that are ready are enough for it, so that sources are held back."""
        return 2 * self.workers

    @abstractmethod
    def start(self, seat: Seat, activation: Activation, skip: int = 0) -> None:
        """Runs an attempt, or asks the open generator of an activation for its next value.

        `skip`: how many values of the generator are visible already, which a new generator must pass over.
        Raises RuntimeError, and keeps nothing of it, where not one worker can be had.
        """

    def began(self, seat: Seat, activation: Activation) -> int | None:
        """When an attempt got its worker, for its timeout; `None` while it waits; 0 if that was when it was started."""
        return 0

    @abstractmethod
    def stop(self, seat: Seat, activation: Activation) -> Stopping:
        """Nobody wants the outcome of an attempt any more: it timed out, or its job is cancelled."""

    def warn(self, seat: Seat, activation: Activation) -> None:
        """Nobody wants the outcome of an attempt, which is not stopped: its handler sees it in `ctx.cancelled`."""

    def forget(self, seat: Seat) -> None:
        """A job is over: whatever is kept of it, as open generators, is closed."""

    @abstractmethod
    def close(self, *, wait: bool = True) -> None:
        """Ends all workers; with `wait`, returns when they have ended. From any thread but a worker's, also again."""


class LocalDriver(Driver):
    """A driver whose workers run in this process, and when they have settled an attempt go straight on with the next.

    Only the thread that has the turn calls what is added here.
    """

    hired: int
    """How many workers it was last given, whether or not others stand in for some that wait."""

    @abstractmethod
    def claim(self) -> None:
        """A worker that has just settled an attempt goes straight on with another."""

    @abstractmethod
    def release(self, seat: Seat, outcome: Settled | None) -> None:
        """An attempt has been settled, and its worker is free; without an outcome, one that needed no care."""

    def change_capacity(self, change: int) -> None:
        """So many more workers, or fewer: a handler waits for another job meanwhile, or no longer does."""


class LocalHost(Host):
    """Whom a driver with workers of this process tells of their work. Called by the workers themselves."""

    @abstractmethod
    def returned(
        self,
        driver: LocalDriver,
        seat: Seat,
        activation: Activation,
        value: Any,
        began: int,
        ended: int,
        worker: int,
    ) -> Following:
        """A plain handler returned `value`, or a generator that is pulled gave it; gives what the worker does next."""

    kept = False
    """Whether the thread of an event loop keeps the turn for itself."""

    inbox: Sized
    """What was told and is not heeded yet."""

    @abstractmethod
    def keep(self, wake: Callable[[], None]) -> bool:
        """Has the calling thread, which runs an event loop, keep the turn; says whether it may.

        Others call `wake` from then on when they have told something, and the loop calls `look_at_all`.
        """

    @abstractmethod
    def look_at_all(self) -> None:
        """Heeds what was told, and starts what may start."""

    @abstractmethod
    def wants_attention(self, driver: LocalDriver, seat: Seat) -> bool:
        """With the turn kept: whether more is to be done than to go on with what is ready of a job."""

    @abstractmethod
    def let_go(self, driver: LocalDriver, seat: Seat) -> Following:
        """With the turn kept: a worker is free, and gets what it does next."""

    @abstractmethod
    def settled(self, driver: LocalDriver, seat: Seat, outcome: Settled) -> Following:
        """As `settle`, for one attempt; gives what the worker does next."""
