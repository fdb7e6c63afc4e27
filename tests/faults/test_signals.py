"""F13, F14 and F15: signals, forks and ends of the program, at moments that nobody chose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from routilux.errors import ForkedError
from tests.faults.auditor import audited, facts_of, lines_of
from tests.faults.program import KEY, Case, flow_of
from tests.faults.runner import LATEST, kill, left_in_peace, must_end, started
from tests.faults.trials import PATIENCE, Trials
from tests.old_pythons import threads_at_the_end

MODES = ["sequential", "concurrent", "asyncio", "multiprocessing"]
WITH_CLUSTERS = [*MODES, "distributed"]

SIGNALS = {"sequential": 40, "distributed": 2}

GRACE = 15
"""Seconds after a signal, or the end of a program, within which its process ends."""

pytestmark = pytest.mark.timeout(PATIENCE)


@pytest.mark.parametrize("mode", WITH_CLUSTERS)
def test_an_interrupted_job_is_whole_and_goes_on(mode: str, case_of: Callable[..., Case], trials: Trials) -> None:
    def trial(chance: Random, folder: Path) -> None:
        case = case_of(folder)
        number, twice = chance.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM]), chance.random() < 0.5
        with started(case) as process:
            process.join(chance.uniform(0.02, LATEST[mode]))
            kill(process, group=False, number=number)
            if twice:
                process.join(chance.uniform(0, 0.05))
                kill(process, group=False, number=number)
            must_end(case, process, GRACE)
        left_in_peace(case)
        assert audited(case, kills=1).status == "completed"
        if number == signal.SIGINT and not twice:
            unharmed = [line for line in lines_of(case.effects) if line[0] == "work" and line[1] % 7 != 3]
            assert all(line[3] == 1 for line in unharmed), "an interruption has spent an attempt"

    trials("F13 SIGINT, SIGTERM", mode, trial, ci=SIGNALS.get(mode, 20), nightly=20 if mode == "distributed" else 300)


def forks(case: Case) -> None:
    """The job of a case, in whose process the user's code forks while it runs; the child says what it may do."""
    with flow_of(case) as flow:
        job = flow.start("numbers", case.params, key=KEY)
        case.acknowledge("submitted", status=job.status)
        time.sleep(Random(case.seed).uniform(0, 0.1))
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (flow.recover, lambda: flow.execute("numbers", case.params, key="child")):
                try:
                    call()
                except ForkedError:
                    refused += 1
            case.acknowledge("forked", refused=refused)
            os._exit(0)
        os.waitpid(child, 0)
        job.wait()
        case.acknowledge("over", status=job.status, result=job.results.get("last"))


@pytest.mark.parametrize("mode", MODES)
def test_a_child_that_was_forked_is_refused_and_harms_nothing(mode: str, trials: Trials) -> None:
    def trial(chance: Random, folder: Path) -> None:
        case = Case(folder, mode, seed=str(chance.random()))
        left_in_peace(case, forks, within=20)
        assert audited(case).status == "completed"
        assert [line["refused"] for line in lines_of(case.acknowledged) if line["what"] == "forked"] == [2]

    trials("F14 fork", mode, trial, ci=10, nightly=100)


ENDS = ["return", "exit", "raise", "return in a block"]


def program(case: Case, how: str) -> int:
    """The exit code of a program that starts the job of a case and ends so; one that does not end says where it is."""
    asked = str(case.folder), case.mode, how, str(case.count)
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.faults.program", *asked]
    with (
        case.stacks.open("w") as said,
        subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True) as process,
    ):
        try:
            return process.wait(2 * GRACE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait(5)
            raise AssertionError(f"A10: it hangs.\n{case.stacks.read_text()}") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("mode", [*MODES, pytest.param("distributed", marks=threads_at_the_end)])
def test_a_program_that_ends_leaves_a_job_that_goes_on(mode: str, trials: Trials) -> None:
    few = mode == "distributed"

    def trial(chance: Random, folder: Path) -> None:
        case = Case(folder, mode, count=30 if few else 90)  # On a cluster of its own.
        how = chance.choice(ENDS)
        code = program(case, how)
        assert code == (1 if how == "raise" else 0), case.stacks.read_text()
        left_in_peace(case)
        assert facts_of(case.store, KEY)[0].status == "completed"
        if how != "return in a block":  # Two jobs would write to the same log of effects.
            audited(case, kills=1)

    trials("F15 end of the program", mode, trial, ci=2 if few else 20, nightly=20 if few else 200)
