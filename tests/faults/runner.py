"""Processes for trials: forked from one that has everything loaded, killed at moments, and never waited for in vain."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from tests.faults.program import Case, in_process_of_its_own, run

DEADLINE = 60.0
"""Seconds after which a process that is left in peace counts as hung (A10)."""

LATEST = {"sequential": 0.2, "concurrent": 0.12, "asyncio": 0.12, "multiprocessing": 0.7}
"""Seconds in which a job of `program` is about over, by mode: kills come before."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "tests.faults.program", "tests.faults.mistakes"])


def started(case: Case, then: Callable[[Case], None] = run) -> BaseProcess:
    """A process that runs a case."""
    process = CONTEXT.Process(target=in_process_of_its_own, args=(case, then))
    process.start()
    return process


def kill(process: BaseProcess, *, group: bool = True, number: int = signal.SIGKILL) -> None:
    """Sends a signal to a process, and to what came of it."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, number) if group else os.kill(process.pid, number)
    except ProcessLookupError:
        if process.is_alive():  # It leads no group yet.
            os.kill(process.pid, number)


def ended(process: BaseProcess, within: float = DEADLINE) -> bool:
    """Whether a process ends in so many seconds."""
    process.join(within)
    return process.exitcode is not None


def killed_after(
    case: Case, seconds: float, *, group: bool = True, submitted: bool = False, then: Callable[[Case], None] = run
) -> bool:
    """Runs a case, and kills its process so many seconds after it started, or after its job was there in it.

    Says whether it was over before.
    """
    size = case.acknowledged.stat().st_size if case.acknowledged.exists() else 0
    process = started(case, then)
    while submitted and not ended(process, 0.002):
        if case.acknowledged.exists() and case.acknowledged.stat().st_size > size:
            break
    over = ended(process, seconds)
    if not over:
        kill(process, group=group)
        process.join()
    assert not over or process.exitcode == 0, (case.folder / "stacks").read_text()
    process.close()
    return over


def left_in_peace(case: Case, then: Callable[[Case], None] = run, within: float = DEADLINE) -> None:
    """Runs a case to its end; a process that hangs says where."""
    process = started(case, then)
    if not ended(process, within):
        kill(process, group=False, number=signal.SIGABRT)
        process.join(5)
        kill(process)
        process.join()
        raise AssertionError(f"A10: it hangs.\n{(case.folder / 'stacks').read_text()}")
    code = process.exitcode
    process.close()
    assert code == 0, f"it failed with exit code {code}"
