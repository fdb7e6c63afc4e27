"""F9: a wall clock that jumps and a clock that stands still change neither the order of a stored job nor its waits."""

import random
from pathlib import Path

import pytest

from routilux import Context, Flow, collect, routine
from routilux.testing import ManualClock

HOUR, YEAR = 3600 * 10**9, 365 * 24 * 3600 * 10**9
JUMPS = (0, HOUR, -HOUR, 10 * YEAR, -10 * YEAR)
DELAY, COUNT = 30.0, 12


class JumpingClock(ManualClock):
    """Whoever asks what time it is may be told another year; it moves on only when all that is left is to wait."""

    def __init__(self, seed: object) -> None:
        super().__init__()
        self._chance = random.Random(str(seed))

    def epoch(self) -> int:
        return super().epoch() + self._chance.choice(JUMPS)


@routine
def numbers(count: int):
    yield from range(count)


@routine(fires=collect())
def last(found: list[int]) -> list[int]:
    return found


def flow_with(path: Path, clock: ManualClock, log: list[tuple[int, int, int]], *, breaks_at: int | None = None) -> Flow:
    """Every third number fails twice; at one of them the program is interrupted."""

    @routine(retries=2, retry_delay=DELAY)
    def work(number: int, ctx: Context) -> int:
        if number == breaks_at:
            raise KeyboardInterrupt
        log.append((number, ctx.attempt, clock.now()))
        if number % 3 == 0 and ctx.attempt < 3:
            raise ConnectionError("try again")
        return number

    flow = Flow("clocks", store=path, durability="process", clock=clock, history_ttl_seconds=2 * DELAY)
    flow.chain(numbers, work, last)
    return flow


def holds(log: list[tuple[int, int, int]]) -> None:
    """No attempt began before it was due (A7)."""
    at = {(number, attempt): moment for number, attempt, moment in log}
    for (number, attempt), moment in at.items():
        before = at.get((number, attempt - 1))
        assert before is None or moment - before >= DELAY * 1e9


@pytest.mark.parametrize("seed", range(20))
def test_a_wall_clock_that_jumps_changes_nothing(seed: int, tmp_path: Path) -> None:
    found = []
    for name, clock in (("steady", ManualClock()), ("jumping", JumpingClock(seed))):
        log: list[tuple[int, int, int]] = []
        with flow_with(tmp_path / f"{name}.db", clock, log) as flow:
            job = flow.execute("numbers", {"count": COUNT}, key="once")
        holds(log)
        found.append((log, job.result, [one["activation_id"] for one in job.history]))
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", range(20))
def test_a_job_goes_on_whatever_the_wall_clock_shows_then(seed: int, tmp_path: Path) -> None:
    path, clock = tmp_path / "jobs.db", JumpingClock(f"before {seed}")
    breaks_at = random.Random(seed).randrange(COUNT)
    before: list[tuple[int, int, int]] = []
    with pytest.raises(KeyboardInterrupt), flow_with(path, clock, before, breaks_at=breaks_at) as flow:
        flow.execute("numbers", {"count": COUNT}, key="once")
    holds(before)
    after: list[tuple[int, int, int]] = []
    with flow_with(path, JumpingClock(f"after {seed}"), after) as flow:
        job = flow.execute("numbers", {"count": COUNT}, key="once")
    holds(after)
    assert sorted(job.result) == list(range(COUNT))
    done = [number for number, attempt, _ in [*before, *after] if number % 3 or attempt == 3]
    assert sorted(done) == list(range(COUNT))
