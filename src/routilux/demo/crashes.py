"""The crash demo: an examination that is stored, and whose process is killed at random moments, from outside.

What it found must be what an examination finds that nobody disturbs. Handlers that were running when the process died
run again, and the effect log says which; what they emitted counts once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from routilux.demo import source
from routilux.demo.measures import Survey
from routilux.demo.survivor import KEY, Stored
from routilux.durable.account import account_of
from routilux.errors import TrialError
from routilux.execution_mode import ExecutionMode
from routilux.stores.sqlite.store import open_store

KILLS = 5
SHOWN_TWICE = 3

# Shares of the time of the run that nobody disturbs: all kills together come before its end.
EARLIEST, LATEST = 0.08, 0.17


@dataclass(frozen=True, slots=True)
class Told:
    """What a finished job gives to whoever reads it from its store."""

    survey: Survey
    examined: Counter[str]
    """How often each file left the flow."""


def run_crash_demo(
    directory: Path | None = None,
    *,
    mode: ExecutionMode = ExecutionMode.CONCURRENT,
    limit: int | None = None,
    max_workers: int | None = None,
    kills: int = KILLS,
    console: Console | None = None,
) -> bool:
    """Examines a directory undisturbed and under kills, prints what came of it, and says whether nothing was lost."""
    directory = source.standard_library() if directory is None else directory
    console = Console(markup=False, highlight=False, emoji=False) if console is None else console
    console.print(f"Examining Python files below {directory}: every step is stored, in {mode} mode", soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="routilux-") as folder:
        calm, killed = (Stored(Path(folder) / name, directory, mode, limit, max_workers) for name in ("calm", "killed"))
        for one in (calm, killed):
            one.folder.mkdir()
        seconds = _run(calm, None)
        assert seconds is not None
        total = _settled(calm)
        console.print(f"Undisturbed: {seconds:.1f} s, {total:,} outcomes stored\n")
        for line in _killed(killed, kills, seconds, total):
            console.print(line)
        return _compared(calm, killed, console)


def _killed(stored: Stored, kills: int, seconds: float, total: int) -> Iterator[str]:
    chance = random.Random()
    for number in range(1, kills + 1):
        until = seconds * chance.uniform(EARLIEST, LATEST)
        if _run(stored, until) is not None:
            yield f"It was over before kill {number}."
            return
        done = _settled(stored)
        yield f"SIGKILL {number}, {until:.2f} s after it went on: {done:,} outcomes stored ({done / total:.0%})"
    last = _run(stored, None)
    yield f"Left in peace it completed in {last:.1f} s more."


def _run(stored: Stored, until: float | None) -> float | None:
    """Lets it run to its end, and says how long that took; or kills it after so many seconds."""
    command = [sys.executable, "-m", "routilux.demo.survivor", *stored.arguments()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            began = time.perf_counter()
            process.wait(until)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _kill(process)
    if process.returncode != 0:
        raise TrialError(f"The process that examined {stored.directory} failed with exit code {process.returncode}.")
    return time.perf_counter() - began


def _kill(process: subprocess.Popen[str]) -> None:
    """Ends a process that runs, and all that came of it, without a warning."""
    if process.poll() is None and sys.platform == "win32":
        process.kill()
    elif process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _settled(stored: Stored) -> int:
    """How many outcomes are in the store."""
    with open_store(stored.store, read_only=True) as records:
        return sum(account_of(records, job).settled for job in records.jobs())


def _told(stored: Stored) -> Told:
    with stored.flow() as flow:
        job = flow.execute("walk", {"directory": stored.directory, "limit": stored.limit}, key=KEY)
    results = job.results
    (ranking,), (broken,) = results.get("rank") or [()], results.get("broken") or [()]
    return Told(Survey(ranking, broken), Counter(results.get("examined", ())))


def _compared(calm: Stored, killed: Stored, console: Console) -> bool:
    expected, found = _told(calm), _told(killed)
    equal = expected == found
    verdict = "equals" if equal else "DIFFERS FROM"
    console.print(f"\nIts result {verdict} the undisturbed run's: {len(found.survey.ranking):,} modules measured.")
    ran = Counter(killed.effects.lines())
    again = sorted(line for line, count in ran.items() if count > 1)
    console.print(
        f"Handlers that ran twice: {len(again)} of {len(ran):,}, those whose outcome was not stored when it was killed",
        soft_wrap=True,
    )
    for line in again[:SHOWN_TWICE]:
        console.print(f"  {line}")
    if len(again) > SHOWN_TWICE:
        console.print(f"  ... and {len(again) - SHOWN_TWICE} more")
    twice = sum(count > 1 for count in found.examined.values())
    console.print(f"Emissions that came twice: {twice}, of {len(found.examined):,} files")
    return equal and twice == 0
