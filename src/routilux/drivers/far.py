"""The far side: what a handler needs to be called in another process, and what comes back from there.

Used by the drivers of all modes whose handlers do not share the caller's memory. A `Recipe` says how to call the
handlers of one station, an `Order` is one attempt, an `Answer` what came of it. All three travel pickled; nothing
that could not be pickled ever leaves as anything but an error that names the routine and the value.
"""

from __future__ import annotations

import inspect
import io
import pickle
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter_ns
from types import FunctionType
from typing import Any, NamedTuple

import cloudpickle

from routilux.drivers.invoke import Invoker, Outcome, Surroundings
from routilux.errors import RemoteError, UnsendableError
from routilux.facts import Emissions, Frame, Statement, frames_of
from routilux.guard import guarded, text_of
from routilux.loading import loaded
from routilux.machine.complaints import is_mistake, mistake_in
from routilux.machine.plan import Station
from routilux.routine import FunctionRoutine
from routilux.signals.cpu import cpu_stamp

CREDIT_NS = 5_000_000
"""For so long a generator gives values before they are sent, if it has the credit."""

ASIDE_BYTES = 256 * 1024
"""From this size on a buffer is better kept out of the pickled stream."""

DEEPEST = 8
"""So deep in a value the part that cannot be sent is looked for."""

JOBS_REMEMBERED = 16
"""How many jobs without open generators a far side keeps an invoker for, which is half the cost of a short call."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Of a station, what its handler's call needs; stands for the station in an activation on the far side."""

    flow_id: str
    routine_id: str
    call: Callable[..., Any]
    context_name: str | None
    needs_context: bool
    is_generator: bool
    is_async: bool
    events: frozenset[str]
    stays: frozenset[str] = frozenset()
    """The events whose values only other routines of the same mode read."""
    pulled: bool = False
    recorded: bool = False


class Order(NamedTuple):
    """One attempt for the far side; `key` names its recipe, which is sent once."""

    key: int
    job_id: str
    number: int
    attempt: int
    skip: int
    arguments: tuple[Any, ...]
    state: dict[str, Any] | None
    """What the routine keeps, where it keeps state."""
    credit: int = 1
    """How many values a generator may give in one answer."""
    room: int | None = None
    """How many bytes it may write to the job's store; `None` where there is no store."""


class Answer(NamedTuple):
    """What came of an order. Moments are `perf_counter_ns` of the process that ran it."""

    number: int
    attempt: int
    began: int
    ended: int
    emissions: Emissions
    error: BaseException | None
    frames: tuple[Frame, ...]
    more: bool
    state: dict[str, Any] | None
    asked: int = 1
    """How often a generator was asked."""
    cpu_ns: int | None = None
    """What its thread's CPU clock counted, where its job is recorded."""
    statements: Sequence[Statement] = ()
    """What is to be executed with it."""


def recipe_of(flow_id: str, station: Station) -> Recipe:
    """How to call the handler of a station."""
    return Recipe(
        flow_id,
        station.routine_id,
        station.call,
        station.context_name,
        station.needs_context,
        station.is_generator,
        station.is_async,
        station.events,
        station.stays,
        recorded=station.recorded,
    )


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Pickles by reference what can be imported, also what `@routine` stands in front of; all else by value."""

    def reducer_override(self, obj: Any) -> Any:
        module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
        if (
            type(obj).__name__ == "function"
            and isinstance(module, str)
            and isinstance(name, str)
            and module != "__main__"
        ):
            found: Any = sys.modules.get(module)
            for part in name.split("."):
                found = getattr(found, part, None)
            if isinstance(found, FunctionRoutine) and found.__wrapped__ is obj:
                return _handler_of, (module, name)
        if isinstance(obj, BaseException):
            return obj.__reduce_ex__(5)
        return super().reducer_override(obj)


def _handler_of(module: str, name: str) -> Any:
    """The function behind a routine that can be imported."""
    __import__(module)
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    return found.__wrapped__


def pack(value: Any, aside: list[memoryview] | None = None) -> bytes:
    """A value as bytes; its large buffers are put into `aside`, if there is such a list, for `pickle.loads(buffers=)`.

    Plain pickle is tried first, being ten times faster; it knows only what can be imported, and nothing of a
    `__main__`, which is another module in a worker. Nor is it used for exceptions where tblib, which Dask brings,
    has changed how those are pickled: they would come back without what only their C structures hold.
    """
    try:
        packed = pickle.dumps(value, 5, buffer_callback=None if aside is None else _sieve(aside))
        if b"__main__" not in packed and b"tblib" not in packed:
            return packed
    except Exception:  # the same pickle, made by the one who can more, raises what is worth telling
        pass
    return pack_code(value, aside)


def pack_code(value: Any, aside: list[memoryview] | None = None) -> bytes:
    """As `pack`, for what holds functions of the user."""
    stream = io.BytesIO()
    _Pickler(stream, 5, buffer_callback=None if aside is None else _sieve(aside)).dump(value)
    return stream.getvalue()


def _sieve(aside: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    """What puts the large buffers of one pickle into an emptied `aside`."""
    aside.clear()

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < ASIDE_BYTES:
            return True
        aside.append(view)
        return False

    return stays_inside


def unsendable(flow_id: str, routine_id: str, what: str, value: Any, error: BaseException) -> UnsendableError:
    """The error for a value that cannot be pickled; names the smallest part of it that cannot."""
    found, _ = guarded(_culprit, value)
    path, part = found or ("", value)
    error_text = text_of(error)
    return UnsendableError(
        f"Flow {flow_id!r}, routine {routine_id!r}: {what} cannot be sent to another process, because "
        f"{what}{path} is a {type(part).__module__}.{type(part).__qualname__} ({error_text}). Emit plain data instead, "
        "open such things inside the handler, or keep the routine in this process with execution_mode='concurrent'."
    )


def _culprit(value: Any, above: tuple[Any, ...] = ()) -> tuple[str, Any]:
    """The path to the smallest part of a value that cannot be pickled, and that part; `above`: what it is part of."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts = [(f"[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = [(f"[{index}]", part) for index, part in enumerate(value)]
    elif hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value):
        parts = [(f".{name}", part) for name, part in vars(value).items()]
    elif isinstance(value, FunctionType):
        used, _ = guarded(inspect.getclosurevars, value)
        names = {} if used is None else {**used.globals, **used.nonlocals}
        parts = [(f"'s variable {name!r}", part) for name, part in names.items()]
    for path, part in parts[:1000] if len(above) < DEEPEST else ():
        if not any(part is one for one in (*above, value)) and guarded(pack_code, part)[1] is not None:
            deeper, smallest = _culprit(part, (*above, value))
            return path + deeper, smallest
    return "", value


class FarSide:
    """Calls the handlers that orders name, in the process where it lives."""

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """`cancelled` tells whether nobody wants the outcome of the order that runs."""
        self._cancelled = cancelled
        self._recipes: dict[int, Recipe] = {}
        self._invokers: dict[str, tuple[Invoker, dict[str, dict[str, Any]]]] = {}
        self._failed: dict[tuple[str, int, int], BaseException] = {}
        """By job, activation and attempt: what a generator raised after it had given values."""
        self._loop: Any = None
        """An `asyncio.Runner`, which is loaded when the first handler needs one."""

    def learn(self, key: int, recipe: Recipe) -> None:
        """Remembers what later orders call `key`."""
        self._recipes[key] = recipe

    def recipe(self, key: int) -> Recipe:
        """What it was taught."""
        return self._recipes[key]

    def knows(self, key: int) -> bool:
        """Whether it was taught the recipe."""
        return key in self._recipes

    def run(self, order: Order) -> Answer:
        """Calls a handler, or asks its open generator for further values.

        What a generator raises after it has given values comes with the next answer, so that they are not lost.
        """
        recipe = self._recipes[order.key]
        invoker, states = self._job(recipe.flow_id, order.job_id, order.room)
        if order.state is not None:
            held = states.setdefault(recipe.routine_id, {})
            held.clear()
            held.update(order.state)
        activation: Any = (order.number, recipe, order.arguments, 0, 0, order.attempt, None)
        began = perf_counter_ns()
        failed = self._failed.pop((order.job_id, order.number, order.attempt), None) if self._failed else None
        before = cpu_stamp() if recipe.recorded else 0
        outcome = invoker(activation, order.skip) if failed is None else Outcome((), failed)
        emissions, error, more, _, statements = outcome
        ended, asked = perf_counter_ns(), 1
        if more and order.credit > 1:
            outcome, asked = self._further(invoker, activation, order, outcome, began)
            emissions, _, more, _, statements = outcome
            ended = perf_counter_ns()
        cpu_ns = cpu_stamp() - before if recipe.recorded else None
        frames = () if error is None else frames_of(error)
        state = None if order.state is None else states[recipe.routine_id]
        if not (more or invoker.keeps_any):
            states.clear()
            if len(self._invokers) > JOBS_REMEMBERED:
                self._make_room()
        who = order.number, order.attempt, began, ended
        return Answer(*who, emissions, error, frames, more, state, asked, cpu_ns, statements)

    def _further(
        self, invoker: Invoker, activation: Any, order: Order, first: Outcome, began: int
    ) -> tuple[Outcome, int]:
        """Asks an open generator for more, as far as credit and time go."""
        emissions, statements = [*first.emissions], [*first.statements]
        more, asked = True, 1
        while more and asked < order.credit and perf_counter_ns() - began < CREDIT_NS:
            further, error, goes_on, _, written = invoker(activation, 0)
            if error is not None:
                self._failed[order.job_id, order.number, order.attempt] = error
                break
            emissions.extend(further)
            statements.extend(written)
            more = goes_on
            asked += 1
        return Outcome(emissions, None, more, None, statements), asked

    def pack(self, order: Order, answer: Answer, aside: list[memoryview] | None = None, *, bare: bool = False) -> bytes:
        """An answer as bytes; what cannot be pickled of it becomes the attempt's error.

        `bare`: as a plain tuple of its fields, which is made and read four times as fast.
        """
        if answer.error is not None:
            answer = answer._replace(error=_with_causes(answer.error))
        packed, broken = guarded(pack, tuple(answer) if bare else answer, aside)
        if broken is None:
            return bytes(packed)
        error = self._unsendable(order, answer, broken)
        refused = answer._replace(emissions=(), error=error, frames=(), more=False, state=None, statements=())
        return pack(tuple(refused) if bare else refused, aside)

    def _unsendable(self, order: Order, answer: Answer, broken: Exception) -> Exception:
        recipe = self._recipes[order.key]
        for event, value in answer.emissions:
            if is_mistake(value):
                return mistake_in(recipe.flow_id, recipe.routine_id, value)
            failed = guarded(pack, value)[1]
            if failed is not None:
                what = f"what it emitted on {event!r}"
                return unsendable(recipe.flow_id, recipe.routine_id, what, value, failed)
        return unsendable(recipe.flow_id, recipe.routine_id, "its state", answer.state, broken)

    def forget(self, job_id: str) -> None:
        """Closes the open generators of a job."""
        invoker, _ = self._invokers.pop(job_id, (None, None))
        if invoker is not None:
            invoker.close()
        for identity in [identity for identity in self._failed if identity[0] == job_id]:
            del self._failed[identity]

    def close(self) -> None:
        """Closes all generators that are open, and ends the event loop, if async handlers needed one."""
        for job_id in list(self._invokers):
            self.forget(job_id)
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _job(self, flow_id: str, job_id: str, room: int | None) -> tuple[Invoker, dict[str, dict[str, Any]]]:
        found = self._invokers.get(job_id)
        if found is None:
            states: dict[str, dict[str, Any]] = {}
            known = Surroundings(flow_id, job_id, states, lambda _: self._cancelled(), self._await, room)
            invoker = Invoker(known)
            found = self._invokers[job_id] = invoker, states
        return found

    def _make_room(self) -> None:
        """Drops the oldest invoker that keeps nothing."""
        idle = (job_id for job_id, (invoker, _) in self._invokers.items() if not invoker.keeps_any)
        del self._invokers[next(idle)]

    def _await(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = loaded("asyncio", "Runner")()
        return self._loop.run(coroutine)


class _Caused:
    """An error and what it came of, in turn; pickled, it is that error."""

    def __init__(self, errors: Sequence[BaseException], meant: Sequence[bool]) -> None:
        """`meant`: which of the errors but the last was raised from the next."""
        self._errors = errors
        self._meant = meant

    def __reduce__(self) -> tuple[Any, ...]:
        return _put_together, (self._errors, self._meant)


def _put_together(errors: Sequence[BaseException], meant: Sequence[bool]) -> BaseException:
    for (error, cause), is_meant in zip(pairwise(errors), meant, strict=True):
        if is_meant:
            error.__cause__ = cause
        else:
            error.__context__ = cause
    return errors[0]


def _with_causes(error: BaseException) -> Any:
    """What is sent in place of an error: it comes back as the error, with what it came of."""
    errors, meant = [_sendable(error)], list[bool]()
    while len(errors) < DEEPEST:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        meant.append(error.__cause__ is not None)
        errors.append(_sendable(cause))
        error = cause
    return _Caused(errors, meant) if meant else errors[0]


def _sendable(error: BaseException) -> BaseException:
    """The error itself if it survives the journey, or a `RemoteError` that says the same."""
    stripped = error.with_traceback(None)
    copy, broken = guarded(lambda: pickle.loads(pack(stripped)))
    if broken is None and type(copy).__name__ == type(error).__name__:
        return stripped
    return RemoteError(
        f"{type(error).__qualname__}: {text_of(error)} (a stand-in, because the exception itself cannot be pickled "
        f"and read back: {text_of(broken) if broken is not None else 'it came back as something else'})"
    )
