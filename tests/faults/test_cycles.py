"""F21: a job that goes round for long keeps its file, its memory, its history (A9) and what it has open flat."""

from pathlib import Path

import psutil
import pytest

from routilux import Context, Flow, routine
from routilux.durable import shortening
from routilux.stores.check import check
from tests.durable.snapshots import snapshots_after
from tests.faults.trials import PATIENCE, SIZE, Trials

TURNS = {"tiny": 4_000, "ci": 100_000, "nightly": 1_000_000}[SIZE]
DISTANCE = 300 if SIZE == "tiny" else shortening.DISTANCE
KEPT = 1000

pytestmark = pytest.mark.timeout(PATIENCE)


def turn(item: dict, ctx: Context):
    """One more turn, or the end; halfway and at the end it looks at what the job takes up."""
    left = item["left"]
    if left in (0, item["halfway"]):
        process = psutil.Process()
        size = sum(one.stat().st_size for one in Path(item["folder"]).iterdir() if one.is_file())
        ctx.emit("seen", [size, process.memory_info().rss, process.num_fds()])
    if left:
        ctx.emit("again", item | {"left": left - 1})
    else:
        ctx.emit("output", "round")


def ring(path: Path, mode: str, limit: int | None, length: int = 1, **settings: int) -> Flow:
    """Routines that hand a number round until it is nothing."""
    flow = Flow("ring", store=path, execution_mode=mode, max_activations=limit, durability="process", **settings)
    names = [f"turn {number}" for number in range(length)]
    for name in names:
        flow.add_routine(routine(turn, events=["again", "output", "seen"]), name)
    for name, following in zip(names, [*names[1:], names[0]], strict=True):
        flow.connect(name, "again", following, "item")
    return flow


MODES = [("sequential", 1), ("sequential", 5), ("concurrent", 3), ("asyncio", 2), ("multiprocessing", 1)]


@pytest.mark.parametrize(("mode", "length"), MODES)
def test_a_cycle_keeps_its_file_and_its_memory_flat(mode: str, length: int, trials: Trials, tmp_path: Path) -> None:
    share = 10 if mode == "multiprocessing" else 1  # What passes between processes takes its time.
    turns, distance = max(TURNS // share, 2_400), max(DISTANCE // share, 300)
    kept = min(KEPT, distance // 3)
    item = {"left": turns, "halfway": turns // 2, "folder": str(tmp_path)}
    with snapshots_after(distance), ring(tmp_path / "jobs.db", mode, None, length, max_history_size=kept) as flow:
        job = flow.execute("turn 0", {"item": item})
        assert [last for name in job.results for last in job.results.of(name, "output")] == ["round"]
        halfway, end = sorted(seen for name in job.results for seen in job.results.of(name, "seen"))
        assert sum(one.completed for one in job.counts.values()) == turns + 1
        assert len(job.history) <= kept
    log = 1_000_000 if share > 1 or SIZE == "tiny" else 0  # Few turns may not have seen it at its largest.
    for before, after, more in zip(halfway, end, (log, 3_000_000, 1), strict=True):
        assert after <= 1.05 * before + more
    found = check(tmp_path / "jobs.db")
    assert found.whole
    assert found.entries < 2 * distance
    trials.counted("F21 cycle", mode, 1)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@pytest.mark.parametrize("distance", [7, shortening.DISTANCE])
def test_a_cycle_that_is_limited_ends_there_also_when_it_is_read_again(
    distance: int, mode: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with snapshots_after(distance), ring(tmp_path / "jobs.db", mode, 100, max_history_size=2) as flow:
            job = flow.execute("turn 0", {"item": {"left": 1000, "halfway": 1001, "folder": ""}}, key="once")
            assert job.status == "failed"
            assert job.counts["turn 0"].completed == 100
    assert check(tmp_path / "jobs.db").entries < min(2 * distance + 20, 110)
