"""Calls user code that is not a handler: join keys, retry predicates, the `str` of an exception.

What it raises comes back as a value, so it can fail one activation and never the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def guarded(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """The function's value and `None`, or `None` and what it raised.

    What is meant to end a program, as SystemExit, would only end the thread that is asking: it becomes a RuntimeError.
    """
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        broken = RuntimeError(f"it raised {type(error).__name__}, which no code may but a handler's.")
        broken.__cause__ = error
        return None, broken


def text_of(error: BaseException) -> str:
    """`str(error)`, also for an exception that cannot be printed."""
    text, broken = guarded(str, error)
    return f"<str() of it raised {type(broken).__name__}>" if broken is not None else text
