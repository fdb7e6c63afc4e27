"""Workers that are killed while a job runs. `ROUTILUX_STRESS=full` for as many kills as before a release."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from routilux import Context, Continue, Flow, Skip, Stop, collect, routine
from routilux.errors import WorkerLostError
from routilux.facts import FailureKind
from tests.faults.nodes import offspring, runs
from tests.leftovers import children, nothing_left, ours

FULL = os.environ.get("ROUTILUX_STRESS") == "full"
KILLS = 100 if FULL else 15
KILLS_ON_CLUSTERS = 20 if FULL else 2
ITEMS = 2000
ITEMS_ON_CLUSTERS = 2000 if FULL else 400

SLOW = pytest.mark.skipif(not FULL, reason="Ray's agents look for their raylet for a minute before they end")

PATIENCE = 60


@routine
def numbers(n):
    yield from range(n)


@routine(fires=collect())
def everything(xs):
    return sorted(xs)


def squared(x):
    until = time.perf_counter() + 0.002
    while time.perf_counter() < until:
        pass
    return x * x


def wait_until(said: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits for what only another process can do."""
    until = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < until
        time.sleep(0.005)


def kill_one(victims: Callable[[], list[int]], chance: random.Random) -> None:
    """Kills one of the workers that there are, and waits until there are others."""
    wait_until(victims)
    os.kill(chance.choice(victims()), signal.SIGKILL)


def squaring(work, mode: str, **settings) -> Flow:
    """numbers -> squared -> everything; only the squares are made by workers."""
    flow = Flow("killed", error_strategy=Stop(), max_history_size=None, **settings)
    flow.add_routine(work, "squared", execution_mode=mode, crash_retries=KILLS)
    flow.chain(numbers, "squared", everything)
    return flow


def kill_while_it_runs(flow: Flow, victims: Callable[[], list[int]], kills: int, items: int):
    """Runs a job and kills workers at moments that are spread over it; gives the job."""
    chance = random.Random(7)
    job = flow.start("numbers", {"n": items})
    for number in range(kills):
        wait_until(lambda number=number: _completed(job) >= (number + 1) * items // (kills + 2))
        kill_one(victims, chance)
    assert job.wait(PATIENCE * 4), job.waiting()
    return job


def _completed(job) -> int:
    counts = job.counts.get("squared")
    return 0 if counts is None else counts.completed


def check_exact(job, items: int) -> None:
    """The results are those of a job in which nobody died, and each attempt was settled once."""
    assert job.status == "completed", job.errors
    assert job.result == [x * x for x in range(items)]
    assert job.late_outcomes == 0
    attempts = [(one["activation_id"], one["attempt"]) for one in job.history if one["routine_id"] == "squared"]
    assert len(attempts) == len(set(attempts))
    assert job.counts["squared"].completed == items
    retried = [one for one in job.history if one["status"] == "retried"]
    assert len(attempts) == items + len(retried)
    assert all("WorkerLostError" in one["error"] for one in retried)


# --- processes


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    with nothing_left():
        yield
        assert ours() == []


@pytest.fixture(scope="module", autouse=True)
def warmed_up() -> None:
    """What processes leave open for good, once for all, is there before anything is counted."""
    flow = Flow("warm", execution_mode="multiprocessing", max_workers=1)
    flow.add_routine(squared)
    assert flow.execute("squared", {"x": 3}).result == 9


@pytest.mark.timeout(900)
def test_workers_killed_at_random_leave_results_exact_and_nothing_behind(nothing_is_left):
    flow = squaring(squared, "multiprocessing", max_workers={"multiprocessing": 2})
    before = children()
    job = kill_while_it_runs(flow, lambda: [one for one in children() if one not in before], KILLS, ITEMS)
    check_exact(job, ITEMS)
    assert 1 <= job.counts["squared"].retried <= KILLS


def suicidal(x):
    if x % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def dying(strategy, *, items=4, **options):
    flow = Flow("dying", error_strategy=strategy, max_workers={"multiprocessing": 1}, max_history_size=None)
    flow.add_routine(suicidal, execution_mode="multiprocessing", **options)
    flow.chain(numbers, "suicidal")
    return flow.execute("numbers", {"n": items})


@pytest.mark.parametrize("strategy", [Skip(), Continue(), Stop()])
def test_a_handler_that_always_kills_its_worker_is_left_to_the_strategy_after_three_more_attempts(
    nothing_is_left, strategy
):
    job = dying(strategy, items=3)
    lost = [one for one in job.history if one["routine_id"] == "suicidal" and one["error"]]
    assert [one["attempt"] for one in lost] == [1, 2, 3, 4]
    assert [str(one["status"]) for one in lost[:3]] == ["retried"] * 3
    (failure,) = job.errors
    assert failure.kind is FailureKind.LOST
    assert failure.kind == "lost"
    assert isinstance(failure.error, WorkerLostError)
    assert "Flow 'dying', routine 'suicidal'" in failure.message
    assert "SIGKILL" in failure.message
    if isinstance(strategy, Stop):
        assert job.status == "failed"
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            job.raise_for_status()
    else:
        assert job.status == "completed"
        assert job.results["suicidal"] == [1, 2]
        counts = job.counts["suicidal"]
        assert (counts.skipped, counts.failed) == ((0, 1) if isinstance(strategy, Continue) else (1, 0))


def test_without_crash_retries_one_death_is_enough(nothing_is_left):
    job = dying(Skip(), items=3, crash_retries=0)
    assert job.counts["suicidal"].retried == 0
    assert [failure.attempt for failure in job.errors] == [1]


def dies_then_raises(ctx: Context, x):
    if ctx.attempt % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError(ctx.attempt)


def test_attempts_whose_workers_died_are_counted_apart_from_those_that_failed(nothing_is_left):
    flow = Flow("both", max_workers={"multiprocessing": 1})
    flow.add_routine(
        dies_then_raises,
        execution_mode="multiprocessing",
        retries=2,
        crash_retries=3,
        error_strategy=Skip(),
    )
    job = flow.execute("dies_then_raises", {"x": 1})
    (failure,) = job.errors
    assert failure.message == "ValueError: 6"
    assert job.counts["dies_then_raises"].retried == 5


def test_a_worker_that_dies_takes_only_what_it_was_running(nothing_is_left):
    flow = Flow("neighbours", max_workers={"multiprocessing": 2}, max_history_size=None)
    flow.add_routine(suicidal, execution_mode="multiprocessing", crash_retries=0, error_strategy=Skip())
    flow.chain(numbers, "suicidal")
    job = flow.execute("numbers", {"n": 12})
    assert sorted(job.results["suicidal"]) == [x for x in range(12) if x % 3]
    assert {failure.kind for failure in job.errors} == {FailureKind.LOST}
    assert job.counts["suicidal"].skipped == 4
    assert job.counts["suicidal"].retried == 0


# --- clusters


@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_workers_of_a_cluster_killed_at_random_leave_results_exact_and_nothing_behind(engine, tmp_path: Path):
    before = {one.pid for one in offspring()}

    def signed(x):
        (tmp_path / str(os.getpid())).touch()
        return squared(x)

    def victims() -> list[int]:
        """The workers that have run something: Dask replaces none that dies before it is up."""
        signatures = {int(path.name) for path in tmp_path.iterdir()}
        return [one.pid for one in offspring() if one.pid in signatures and runs(one)]

    flow = squaring(signed, "distributed", cluster=engine, max_workers={"distributed": 2})
    with flow:
        job = kill_while_it_runs(flow, victims, KILLS_ON_CLUSTERS, ITEMS_ON_CLUSTERS)
    check_exact(job, ITEMS_ON_CLUSTERS)
    wait_until(lambda: {one.pid for one in offspring()} <= before)
    assert ours() == []


# --- the program itself

PROGRAM = """
    import sys, time
    from routilux import Flow

    def work(x):
        time.sleep(600)

    if __name__ == "__main__":
        mode, *cluster = sys.argv[1:]
        flow = Flow("orphans", execution_mode=mode, max_workers=2, cluster=cluster[0] if cluster else None)
        flow.add_routine(work)
        job = flow.start("work", {"x": 1})
        print("started", flush=True)
        job.wait()
"""


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        pytest.param(["multiprocessing"], 5, id="processes"),
        pytest.param(["distributed", "dask"], 20, id="dask"),
        pytest.param(["distributed", "ray"], 90, id="ray", marks=SLOW),
    ],
)
def test_when_the_program_is_killed_its_workers_end(tmp_path: Path, arguments, seconds):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    program = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "started\n"
        of_program = psutil.Process(program.pid)
        least = {"multiprocessing": 1, "dask": 3, "ray": 4}[arguments[-1]]
        wait_until(lambda: len(of_program.children(recursive=True)) >= least)
        time.sleep(1)
        started = of_program.children(recursive=True)
        program.kill()
        _, alive = psutil.wait_procs(started, timeout=seconds)
        for one in alive:
            one.kill()
        assert alive == []
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
