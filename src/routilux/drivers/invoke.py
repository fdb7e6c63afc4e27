"""Calls one handler and gives back what came of it, in whatever thread or process it is called.

Knows an activation and its handler; neither the flow, nor what follows, nor who asked. This is where
a user's exception becomes a value.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from types import AsyncGeneratorType, GeneratorType
from typing import Any, NamedTuple, TypeAlias

from routilux.context import Context, current_context
from routilux.errors import HandlerCancelledError, HandlerReturnError
from routilux.facts import Emissions, Measured, Statement
from routilux.guard import guarded
from routilux.machine.delivery import Activation
from routilux.machine.plan import Station
from routilux.slots import OUTPUT

Attempt: TypeAlias = tuple[str, int, int]
"""Routine id, activation id, attempt."""

Opened: TypeAlias = "Generator[Any, Any, Any] | AsyncGenerator[Any, Any]"


class Outcome(NamedTuple):
    """How an attempt ended, or how far a generator has got."""

    emissions: Emissions
    error: BaseException | None = None
    more: bool = False
    """Whether it is a generator that can be asked for another value."""
    measured: Measured | None = None
    """What was measured, by an invoker that measures."""
    statements: Sequence[Statement] = ()
    """What is to be executed with it."""


class Surroundings(NamedTuple):
    """What the handlers of one job have in common."""

    flow_id: str
    job_id: str
    states: dict[str, dict[str, Any]]
    """By routine: what it keeps within the job."""
    is_over: Callable[[Activation], bool]
    """Whether nobody wants the outcome of an activation any more."""
    run_coroutine: Callable[[Coroutine[Any, Any, Any]], Any]
    """Runs one to its end while the calling thread waits."""
    room: int | None = None
    """How many bytes an attempt may write to the job's store; `None` where there is no store."""


class Invoker:
    """Calls the handlers of one job, and keeps its generators while they are open."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._flow_id, self._job_id, self._states, self._is_over, self._run_coroutine, self._room = surroundings
        self.pulls: dict[int, Generator[Any, Any, Any]] = {}
        """By activation: the open generators that may just be asked for their next value."""
        self._generators: dict[Attempt, tuple[Opened, Context | None]] = {}

    def __call__(self, activation: Activation, skip: int = 0) -> Outcome:
        """Calls the handler, or asks its open generator for the next value, passing over the first `skip`.

        An async handler is run to its end, or to its next value, while this thread waits.
        """
        station = activation[1]
        if station.is_async:
            return self._waited_for(activation, skip)
        if not (station.is_generator or station.needs_context):
            return _plainly(station, activation[2])
        generator, context = self._reopened(activation)
        token = None if context is None else current_context.set(context)
        try:
            if generator is None:
                value = self._call(station, activation[2], context)
                if not station.is_generator:
                    return _outcome(context, value)
                if not isinstance(value, GeneratorType):
                    raise self._not_run(station, value)
                generator = value
                for _ in range(skip):
                    next(generator)
                    if context is not None:
                        context.take_emissions()
                        context.take_statements()
            assert isinstance(generator, Generator)
            value = next(generator)
            self._keep(activation, generator, context)
            return _outcome(context, value, more=True)
        except StopIteration as stop:
            return Outcome((), stop) if generator is None else _outcome(context, None)
        except BaseException as error:
            if context is not None:
                context.close()
            return Outcome((), error)
        finally:
            if token is not None:
                current_context.reset(token)

    async def awaited(self, activation: Activation, skip: int = 0) -> Outcome:
        """As calling it, for an async handler, in the event loop that awaits this."""
        station = activation[1]
        generator, context = self._reopened(activation)
        token = None if context is None else current_context.set(context)
        try:
            if generator is None:
                value = self._call(station, activation[2], context)
                if not station.is_generator:
                    return _outcome(context, await value)
                if not isinstance(value, AsyncGeneratorType):
                    raise self._not_run(station, value)
                generator = value
                for _ in range(skip):
                    await anext(generator)
                    if context is not None:
                        context.take_emissions()
                        context.take_statements()
            assert isinstance(generator, AsyncGenerator)
            value = await anext(generator)
            self._keep(activation, generator, context)
            return _outcome(context, value, more=True)
        except StopAsyncIteration as stop:
            return Outcome((), stop) if generator is None else _outcome(context, None)
        except BaseException as error:
            if context is not None:
                context.close()
            return Outcome((), error)
        finally:
            if token is not None:
                current_context.reset(token)

    def forget(self, activation: Activation) -> None:
        """A generator that was pulled has ended."""
        number, station, _, _, _, attempt, _ = activation
        del self.pulls[number]
        del self._generators[station.routine_id, number, attempt]

    @property
    def keeps_any(self) -> bool:
        """Whether generators are open."""
        return bool(self._generators)

    def take_async_generators(self) -> list[AsyncGenerator[Any, Any]]:
        """The async generators that are open, for their event loop to close them; they are kept no more."""
        opened = [
            (identity, generator)
            for identity, (generator, _) in self._generators.items()
            if isinstance(generator, AsyncGeneratorType)
        ]
        for identity, _ in opened:
            del self._generators[identity]
        return [generator for _, generator in opened]

    def close(self) -> list[tuple[Attempt, Exception]]:
        """Closes the generators that are still open; gives what that raised."""
        self.pulls.clear()
        failed = []
        while self._generators:
            identity, (generator, _) = self._generators.popitem()
            if isinstance(generator, Generator):
                _, error = guarded(generator.close)
            else:
                _, error = guarded(self._run_coroutine, _closed(generator))
            if error is not None:
                failed.append((identity, error))
        return failed

    def _waited_for(self, activation: Activation, skip: int) -> Outcome:
        """Awaits an async handler while this thread waits. Nobody cancels it here but what it awaits, or it itself."""
        try:
            outcome: Outcome = self._run_coroutine(self.awaited(activation, skip))
        except BaseException as broken:  # the loop's task was cancelled while it returned
            if type(broken).__name__ != "CancelledError":
                raise
            outcome = Outcome((), broken)
        error = outcome.error
        if error is None or type(error).__name__ != "CancelledError":
            return outcome
        return outcome._replace(error=cancelled_by_itself(self._flow_id, activation[1].routine_id, error))

    def _reopened(self, activation: Activation) -> tuple[Opened | None, Context | None]:
        """The open generator of an activation with its context; none and a new context if it is not open."""
        number, station, attempt = activation[0], activation[1], activation[5]
        generator, context = self._generators.pop((station.routine_id, number, attempt), (None, None))
        self.pulls.pop(number, None)
        if generator is None and station.needs_context:
            context = self._context(activation)
        return generator, context

    def _keep(self, activation: Activation, generator: Opened, context: Context | None) -> None:
        number, station, attempt = activation[0], activation[1], activation[5]
        self._generators[station.routine_id, number, attempt] = generator, context
        if station.pulled and isinstance(generator, GeneratorType):
            self.pulls[number] = generator

    def _call(self, station: Station, arguments: tuple[Any, ...], context: Context | None) -> Any:
        if context is not None and station.context_name is not None:
            return station.call(*arguments, **{station.context_name: context})
        return station.call(*arguments)

    def _not_run(self, station: Station, value: object) -> HandlerReturnError:
        return HandlerReturnError(
            f"Flow {self._flow_id!r}, routine {station.routine_id!r}: its handler is a generator function, "
            f"but calling it gave a {type(value).__name__}. Does a decorator run it?"
        )

    def _context(self, activation: Activation) -> Context:
        number, station, attempt = activation[0], activation[1], activation[5]
        return Context(
            self._flow_id,
            self._job_id,
            station.routine_id,
            number,
            attempt,
            station.events,
            self._states.setdefault(station.routine_id, {}),
            lambda: self._is_over(activation),
            self._room,
        )


def cancelled_by_itself(flow_id: str, routine_id: str, error: BaseException) -> HandlerCancelledError:
    """The error for a handler that nobody cancelled who runs it."""
    cancelled = HandlerCancelledError(
        f"Flow {flow_id!r}, routine {routine_id!r}: its handler was cancelled by something it awaits, or because its "
        "event loop ends. Catch CancelledError where that is meant."
    )
    cancelled.__cause__ = error
    return cancelled


async def _closed(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _plainly(station: Station, arguments: tuple[Any, ...]) -> Outcome:
    """Of a handler that needs no more than a call."""
    try:
        value = station.call(*arguments)
    except BaseException as error:
        return Outcome((), error)
    return Outcome(() if value is None else ((OUTPUT, value),))


def _outcome(context: Context | None, value: Any, *, more: bool = False) -> Outcome:
    """What was emitted through the context, then the value; with what was written in transactions."""
    emissions: list[tuple[str, Any]] = []
    statements: Sequence[Statement] = ()
    if context is not None:
        emissions = context.take_emissions() if more else context.close()
        statements = context.take_statements()
    if value is not None:
        emissions.append((OUTPUT, value))
    return Outcome(emissions, None, more, None, statements)
