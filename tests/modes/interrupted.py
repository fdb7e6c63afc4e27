"""`python -m tests.modes.interrupted MODE WAY STORE STRIDE`: Ctrl-C at every so many-th line of a job's start and run.

In a process of its own, and each trial in one job: what measures coverage has no room beside what counts the lines.
"""

from __future__ import annotations

import faulthandler
import linecache
import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import routilux
from routilux import Flow, routine

PATIENCE = 20
"""Seconds after which a block that does not end hangs."""

OURS = str(Path(routilux.__file__).parent)


class Interrupting:
    """Raises SIGINT when the main thread comes to the n-th line of ours.

    Not at the end of a `with` block, which Python calls a line of its own although no signal is heeded there.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.lines = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith("with "):
            self.lines += 1
            if self.lines == self.at:
                signal.raise_signal(signal.SIGINT)
        return self


@routine
def numbers(n: int) -> Any:
    """Counts."""
    yield from range(n)


@routine
def squared(x: int) -> int:
    """One handler more."""
    return x * x


def trial(mode: str, way: str, store: str, at: int) -> bool:
    """Says whether it was interrupted, when the flow's block has ended."""
    interrupting = Interrupting(at)
    flow = Flow("squares", execution_mode=mode, store=f"{store}/{at}.db" if store else None)
    flow.chain(numbers, squared)
    try:
        with flow:
            sys.settrace(interrupting)
            job = getattr(flow, way)("numbers", {"n": 3})
            sys.settrace(None)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    assert interrupting.lines < at, "an interruption is raised"
    assert sorted(job.results["squared"]) == [0, 1, 4]
    return False


def main(mode: str, way: str, store: str, stride: int) -> None:
    """Interrupts ever later, until a job ran to its end."""
    logging.disable()
    at = 1
    while True:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        if not trial(mode, way, store, at):
            break
        at += stride
    faulthandler.cancel_dump_traceback_later()
    assert at > 500, "there was something to interrupt"


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
