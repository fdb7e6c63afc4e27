"""Ctrl-C waits until the main thread has done what must not be left half done.

Python calls signal handlers, which may raise, between any two lines of the main thread, and nowhere else. Whoever steps
a machine there, or has begun to start a job, must come to the end of it: an activation that is taken must be run.
"""

from __future__ import annotations

import threading
from _signal import SIGINT, SIGTERM, getsignal, raise_signal, signal  # type: ignore[import-not-found]
from collections.abc import Callable
from typing import Any, ParamSpec

# Not from `signal`, which makes enums of all it is given and gives: that takes ten times as long.

Given = ParamSpec("Given")


def undisturbed(action: Callable[Given, object], *given: Given.args, **named: Given.kwargs) -> None:
    """Does it; what is signalled meanwhile is heeded afterwards. For what takes a moment and waits for nobody."""
    if threading.current_thread() is not threading.main_thread():
        action(*given, **named)
        return
    held: list[int] = []
    handlers: dict[int, Any] = {}
    try:
        for number in (SIGINT, SIGTERM):
            handler = getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal(number, lambda number, _: held.append(number))
        action(*given, **named)
    finally:
        for number, handler in handlers.items():
            signal(number, handler)
        for number in held:
            raise_signal(number)
