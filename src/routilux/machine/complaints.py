"""What a machine says of handlers that return what they should not, or take too long."""

from __future__ import annotations

from collections.abc import Sequence
from types import CoroutineType, GeneratorType
from typing import Any

from routilux.errors import HandlerReturnError, HandlerTimeoutError, JobTimeoutError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Emissions, Frame
from routilux.machine.plan import Station
from routilux.page import Pages
from routilux.slots import OUTPUT


def is_mistake(value: Any) -> bool:
    """Whether it is what a handler can only return by mistake: something that has not been run.

    `__class__`, `__eq__` and `__hash__` of what users return are their code; the machine asks for none of them.
    """
    return type(value) is GeneratorType or type(value) is CoroutineType


def mistake_in(flow_id: str, routine_id: str, value: Any) -> HandlerReturnError:
    """What is wrong with a value that was not run, or that has no event to go out on."""
    where = f"Flow {flow_id!r}, routine {routine_id!r}"
    if type(value) is GeneratorType:
        return HandlerReturnError(
            f"{where}: its handler returned a generator that nobody runs. Write `yield from` it, or return a list."
        )
    if type(value) is CoroutineType:
        value.close()
        return HandlerReturnError(
            f"{where}: its handler returned a coroutine that nobody awaits. Run it inside the handler, or make the "
            "handler a plain function."
        )
    return HandlerReturnError(
        f"{where}: its handler returned a value, and the routine declares no event {OUTPUT!r} for it. Declare it, "
        "or emit on one of the declared events."
    )


def objection(flow_id: str, station: Station, emissions: Emissions, took: int) -> Exception | None:
    """Why an attempt that raised nothing has failed all the same, if it has."""
    if station.timeout_ns is not None and took > station.timeout_ns:
        return handler_timeout(flow_id, station)
    looked_at = ((page.event, None) for page in emissions.pages) if type(emissions) is Pages else emissions
    for event, value in looked_at:
        if is_mistake(value) or (event == OUTPUT and not station.declares_output):
            return mistake_in(flow_id, station.routine_id, value)
    return None


def handler_timeout(flow_id: str, station: Station) -> HandlerTimeoutError:
    """The failure of an attempt that took too long."""
    after = {
        ExecutionMode.ASYNCIO: "It was cancelled.",
        ExecutionMode.MULTIPROCESSING: "Its worker was killed.",
        ExecutionMode.DISTRIBUTED: "It was stopped if its cluster can do that; what it still returns is dropped.",
    }.get(station.mode, "What it still returns is dropped; a thread cannot be stopped.")
    return HandlerTimeoutError(
        f"Flow {flow_id!r}, routine {station.routine_id!r}: its handler ran longer than its timeout of "
        f"{(station.timeout_ns or 0) / 1e9:g} s. {after}"
    )


def job_timeout(flow_id: str, job_id: str, seconds: float) -> JobTimeoutError:
    """The failure of a job that took too long."""
    return JobTimeoutError(
        f"Flow {flow_id!r}, job {job_id}: it took longer than its timeout of {seconds:g} s. "
        "job.waiting() says at any time what a job waits for."
    )


def stop_iteration(flow_id: str, station: Station, stop: StopIteration) -> RuntimeError:
    """What stands for a StopIteration, which would silently end whatever loop it is raised in next."""
    error = RuntimeError(
        f"Flow {flow_id!r}, routine {station.routine_id!r}: its handler raised StopIteration, as next() does on an "
        "empty iterator. Give next() a default."
    )
    error.__cause__ = stop
    return error.with_traceback(stop.__traceback__)


def raised_elsewhere(frames: Sequence[Frame]) -> str:
    """Where an exception was raised that came from another process, and so has no traceback of its own."""
    lines = [f'  File "{name}", line {line}, in {function}' for name, line, function in frames]
    return "\n".join(["Raised in another process (most recent call last):", *lines])
