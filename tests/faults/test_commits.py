"""F4 and F19: a process that dies or is stopped around each commit, and who else opens its store meanwhile."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest

from routilux.errors import FencedError, StoreBusyError, StoreInUseError
from routilux.stores.port import Entry, NewJob, Store
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.store import open_store
from tests.faults.auditor import audited, lines_of
from tests.faults.program import DISTANCES, Case, run
from tests.faults.runner import kill, left_in_peace, must_end, started
from tests.faults.trials import PATIENCE, SIZE, Trials

pytestmark = pytest.mark.timeout(PATIENCE)

COUNT = 6
"""Of a job whose every commit is tried."""


def dies_at(number: int, when: str, case: Case) -> None:
    """Runs a case until the commit of a number, and is killed before or after it."""
    commit, seen = Ledger.commit, 0

    def deadly(self, changes):
        nonlocal seen
        seen += 1
        if seen == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answers = commit(self, changes)
        if seen == number and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answers

    Ledger.commit = deadly
    run(case)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("distance", [DISTANCES[0], 3])
def test_a_kill_around_any_commit_loses_and_doubles_nothing(
    distance: int, when: str, mode: str, trials: Trials, tmp_path: Path
) -> None:
    number, over = 1, False
    step = 1 if SIZE != "tiny" else 7
    while not over:
        folder = tmp_path / str(number)
        folder.mkdir()
        case = Case(folder, mode, count=COUNT, distance=distance)
        with started(case, functools.partial(dies_at, number, when)) as process:
            over = must_end(case, process) == 0
        left_in_peace(case)
        assert audited(case, kills=not over).status == "completed", number
        shutil.rmtree(folder)
        number += step
    assert number > COUNT
    trials.counted("F4 kill in commit", mode, number // step)


def outpaced(case: Case) -> None:
    """An owner that is stopped while somebody takes its store over; on a signal it does what costs it its lock."""

    def copied(*_) -> None:
        """As a backup by the owner itself: POSIX takes its lock from whoever opens the file anew and closes it."""
        case.lock.read_bytes()
        case.acknowledge("copied")

    signal.signal(signal.SIGUSR1, copied)
    store = open_store(case.file)
    store.submit(NewJob("job", "flow", "k", b"", ()))
    case.acknowledge("open")
    written = 0
    try:
        while True:
            store.write("job", [Entry("settled", written, b"%d" % written)])
            written += 1
            case.acknowledge("written", number=written)
            threading.Event().wait(0.005)  # Stopped within a commit it would keep the file locked.
    except FencedError:
        case.acknowledge("fenced", number=written)


def wait_for(case: Case, process: BaseProcess, what: str) -> None:
    """Returns when a process has said so."""
    while what not in [line["what"] for line in lines_of(case.acknowledged)]:
        process.join(0.005)
        assert process.exitcode is None, case.stacks.read_text()


def taken_over(case: Case, process: BaseProcess) -> Store:
    """The store of a stopped process, opened by another; whoever sleeps within a commit is woken up to end it."""
    while True:
        try:
            return open_store(case.file)
        except StoreBusyError:
            kill(process, group=False, number=signal.SIGCONT)
            process.join(0.01)
            kill(process, group=False, number=signal.SIGSTOP)


def test_who_is_stopped_and_wakes_up_writes_nothing_more(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routilux.stores.sqlite.file.BUSY_SECONDS", 0.1)

    def trial(chance: Random, folder: Path) -> None:
        case = Case(folder, "store")
        with started(case, outpaced) as process:
            wait_for(case, process, "open")
            process.join(chance.uniform(0, 0.1))
            with pytest.raises(StoreInUseError, match=f"process {process.pid} on"):
                open_store(case.file)
            kill(process, group=False, number=signal.SIGSTOP)
            with pytest.raises(StoreInUseError):
                open_store(case.file)
            kill(process, group=False, number=signal.SIGCONT)
            kill(process, group=False, number=signal.SIGUSR1)
            wait_for(case, process, "copied")
            kill(process, group=False, number=signal.SIGSTOP)
            with taken_over(case, process) as store:
                (job,) = store.jobs()
                before = job.entries
                store.write("job", [Entry("settled", 0, b"of the new owner")])
                kill(process, group=False, number=signal.SIGCONT)
                assert must_end(case, process, 20) == 0
                entries = [one.entry.body for one in store.entries("job")]
        lines = lines_of(case.acknowledged)
        assert [line["what"] for line in lines][-1] == "fenced"
        told = max((line["number"] for line in lines if line["what"] == "written"), default=0)
        assert before - told in (0, 1), "what was acknowledged is there, and one more at most"
        assert entries == [*(b"%d" % number for number in range(before)), b"of the new owner"]

    trials("F19 two openers", "store", trial, ci=20, nightly=300)
