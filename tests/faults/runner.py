"""Processes for trials: forked from one that has everything loaded, killed at moments, and never waited for in vain.

A process is gone when its `with` block ends, also if that is because its trial failed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess

from tests.faults.program import Case, in_process_of_its_own, run

DEADLINE = 60.0
"""Seconds after which a process that is left in peace counts as hung (A10)."""

LATEST = {"sequential": 0.2, "concurrent": 0.12, "asyncio": 0.12, "multiprocessing": 0.7, "distributed": 0.7}
"""Seconds in which a job of `program` is about over, by mode: kills come before."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["pytest", "routilux.drivers.cluster.dask", "routilux.stores.postgres.store", "tests.faults.program"]
)


@contextmanager
def started(case: Case, then: Callable[[Case], None] = run) -> Iterator[BaseProcess]:
    """A process that runs a case."""
    process = CONTEXT.Process(target=in_process_of_its_own, args=(case, then))
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            kill(process)
        process.join()
        process.close()


def kill(process: BaseProcess, *, group: bool = True, number: int = signal.SIGKILL) -> None:
    """Sends a signal to a process, and to what came of it."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, number) if group else os.kill(process.pid, number)
    except ProcessLookupError:
        with suppress(ProcessLookupError):  # It leads no group yet, or has just ended.
            if process.is_alive():
                os.kill(process.pid, number)


def must_end(case: Case, process: BaseProcess, within: float = DEADLINE) -> int:
    """Waits for a process, and gives its exit code; one that hangs (A10) writes where, and is an error."""
    process.join(within)
    if process.exitcode is None:
        kill(process, group=False, number=signal.SIGABRT)
        process.join(5)
        kill(process)
        raise AssertionError(f"A10: it hangs.\n{case.stacks.read_text()}")
    return process.exitcode


def killed_after(
    case: Case, seconds: float, *, group: bool = True, submitted: bool = False, then: Callable[[Case], None] = run
) -> bool:
    """Runs a case, and kills its process so many seconds after it started, or after its job was there in it.

    Says whether it was over before.
    """
    size = case.acknowledged.stat().st_size if case.acknowledged.exists() else 0
    with started(case, then) as process:
        while submitted and process.exitcode is None:
            process.join(0.002)
            if case.acknowledged.exists() and case.acknowledged.stat().st_size > size:
                break
        process.join(seconds)
        if process.exitcode is None:
            kill(process, group=group)
            process.join()
        code = process.exitcode
    assert code in (0, -signal.SIGKILL), f"it failed with exit code {code}\n{case.stacks.read_text()}"
    return code == 0


def left_in_peace(case: Case, then: Callable[[Case], None] = run, within: float = DEADLINE) -> None:
    """Runs a case to its end."""
    with started(case, then) as process:
        code = must_end(case, process, within)
    assert code == 0, f"it failed with exit code {code}\n{case.stacks.read_text()}"
