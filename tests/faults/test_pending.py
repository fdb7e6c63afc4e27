"""F12: a job with very many activations open is killed, and goes on without having all of them in memory."""

import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import psutil
import pytest

from routilux import Context, Flow, routine
from routilux.durable import shortening
from routilux.facts import Settled
from routilux.stores.check import check
from tests.faults.auditor import IN_FLIGHT, facts_of, lines_of
from tests.faults.flow import append
from tests.faults.program import KEY, Case
from tests.faults.runner import kill, left_in_peace, started
from tests.faults.trials import PATIENCE, SIZE, Trials

COUNT = {"tiny": 3_000, "ci": 100_000, "nightly": 1_000_000}[SIZE]
PORTION = 1000
MODES = ["sequential", "concurrent", "asyncio", "multiprocessing"]
ROOM = 50e6
"""Bytes that a process may take until the first of them begins."""

BEGUN: set[int] = set()
"""The processes in which one has."""

pytestmark = pytest.mark.timeout(PATIENCE)


@routine(execution_mode="sequential")
def portions(count: int, folder: str, ctx: Context):
    for first in range(0, count, PORTION):
        ctx.emit("output", {"numbers": range(first, min(first + PORTION, count)), "folder": folder})
    ctx.emit("output", {"numbers": range(0), "folder": folder})


@routine(execution_mode="sequential")
def burst(portion: dict, ctx: Context):
    """None of the workers that wait to be killed is needed for it; the last one says that all there is is open."""
    for number in portion["numbers"]:
        ctx.emit("output", [number, portion["folder"]])
    if not portion["numbers"]:
        append(Path(portion["folder"], "emitted"), "[]")


@routine
def work(item: list):
    """While there is a file that says so, it waits to be killed; the first of a process says what that takes up."""
    _, folder = item
    if os.getpid() not in BEGUN:
        BEGUN.add(os.getpid())
        append(Path(folder, "first"), f"[{psutil.Process().memory_info().rss}]")
    if Path(folder, "hold").exists():
        append(Path(folder, "held"), "[]")
        time.sleep(PATIENCE)


def run(case: Case) -> None:
    """Runs the job, or goes on with it, and says how it ended."""
    settings = {"execution_mode": case.mode, "max_workers": case.workers if case.mode != "sequential" else None}
    flow = Flow("pending", store=case.store, durability="process", max_history_size=0, **settings)
    flow.chain(portions, burst, work)
    before = psutil.Process().memory_info().rss
    with flow:
        job = flow.execute("portions", {"count": case.count, "folder": str(case.folder)}, key=KEY)
    completed = job.counts["work"].completed
    case.acknowledge("over", status=job.status, completed=completed, before=before)


@pytest.mark.parametrize("mode", MODES)
def test_a_job_with_very_many_activations_open_is_killed_and_goes_on(mode: str, trials: Trials) -> None:
    def trial(_: Random, folder: Path) -> None:
        case = Case(folder, mode, count=COUNT, distance=shortening.DISTANCE)
        hold, held, emitted = folder / "hold", folder / "held", folder / "emitted"
        hold.touch()
        with started(case, run) as process:
            while process.exitcode is None and not (held.exists() and emitted.exists()):
                process.join(0.01)
            kill(process)
        hold.unlink()
        left_in_peace(case, run, within=PATIENCE)
        (over,) = lines_of(case.acknowledged)
        assert (over["status"], over["completed"]) == ("completed", COUNT)
        if mode != "multiprocessing":  # There the handler's process is another.
            assert lines_of(folder / "first")[-1][0] < over["before"] + ROOM
        facts = [one for one in facts_of(case.file)[1] if isinstance(one, Settled)]
        assert {*Counter((one.activation_id, one.attempt) for one in facts).values()} <= {1}
        assert check(case.file).whole
        assert len(lines_of(held)) <= IN_FLIGHT[mode]

    trials("F12 very many open", mode, trial, ci=1, nightly=2 if mode == "multiprocessing" else 5)
