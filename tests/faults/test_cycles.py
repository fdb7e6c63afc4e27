"""F21: a job that goes round for long keeps its memory, its history (A9) and what it has open flat."""

from pathlib import Path

import psutil
import pytest

from routilux import Context, Flow, routine
from tests.faults.trials import PATIENCE, SIZE, Trials

TURNS = {"tiny": 2_000, "ci": 20_000, "nightly": 1_000_000}[SIZE]
KEPT = 1000

pytestmark = pytest.mark.timeout(PATIENCE)


@routine(events=["again", "output"])
def turn(left: int, ctx: Context):
    if left:
        ctx.emit("again", left - 1)
    else:
        ctx.emit("output", "round")


def ring(path: Path, mode: str, limit: int | None) -> Flow:
    settings = {"execution_mode": mode, "max_activations": limit, "durability": "process"}
    flow = Flow("ring", store=path, **settings)
    flow.add_routine(turn)
    flow.connect("turn", "again", "turn", "left")
    return flow


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])
def test_a_cycle_keeps_its_memory_flat(mode: str, trials: Trials, tmp_path: Path) -> None:
    process = psutil.Process()
    with ring(tmp_path / "jobs.db", mode, None) as flow:
        flow.execute("turn", {"left": TURNS // 4})
        before, files = process.memory_info().rss, process.num_fds()
        job = flow.execute("turn", {"left": TURNS})
        assert job.result == "round"
        assert process.memory_info().rss < 1.05 * before + 3_000_000
        assert process.num_fds() <= files
        assert len(job.history) <= KEPT
    sizes = sum(one.stat().st_size for one in tmp_path.iterdir() if one.is_file())
    assert sizes < 1200 * TURNS, "what is kept of a turn is not small"
    trials.counted("F21 cycle", mode, 1)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_cycle_that_is_limited_ends_there_also_when_it_is_read_again(mode: str, tmp_path: Path) -> None:
    for _ in range(2):
        with ring(tmp_path / "jobs.db", mode, 100) as flow:
            job = flow.execute("turn", {"left": 1000}, key="once")
            assert job.status == "failed"
            assert job.counts["turn"].completed == 100
