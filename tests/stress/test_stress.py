"""Threads under load: exact counts, no hang, nothing left. `ROUTILUX_STRESS=full` for the sizes that take minutes."""

from __future__ import annotations

import os
import random
import sys
import time

import pytest

from routilux import Continue, Flow, Retry, Skip, Stop, collect, routine
from tests.leftovers import ours

FULL = os.environ.get("ROUTILUX_STRESS") == "full"
ITEMS, REPETITIONS, STEERED = (200_000, 20, 200) if FULL else (5_000, 2, 30)


@pytest.fixture(params=[None, 1e-5], ids=["as it is", "switching fast"])
def switching(request):
    """How often Python changes from one thread to another."""
    usual = sys.getswitchinterval()
    if request.param is not None:
        sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(usual)


@routine
def numbers(n):
    yield from range(n)


def bad(x: int) -> bool:
    """One in five, as if by chance, and always the same."""
    return random.Random(x).random() < 0.2


BAD = sum(map(bad, range(ITEMS)))


def sometimes(x):
    if bad(x):
        raise ValueError(x)
    return x


@routine(fires=collect())
def count(xs):
    return len(xs)


STRATEGIES = {
    "stop": Stop(),
    "continue": Continue(),
    "skip": Skip(),
    "retry": Retry(1, then=Skip()),
    "retry later": Retry(1, delay=0.001, then=Continue()),
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STRATEGIES)
def test_counts_are_exact_each_time_and_threads_go_back_to_the_number_before(name, switching):
    flow = Flow("stress", execution_mode="concurrent", max_workers=6, error_strategy=STRATEGIES[name])
    flow.chain(numbers, sometimes, count)
    before = ours()
    for _ in range(REPETITIONS):
        job = flow.execute("numbers", {"n": ITEMS})
        counts = job.counts["sometimes"]
        if name == "stop":
            assert job.status == "failed"
            assert job.error_count == counts.failed >= 1
            assert counts.executions < ITEMS
        else:
            assert job.status == "completed"
            assert job.result == ITEMS - BAD
            assert counts.completed == ITEMS - BAD
            assert counts.failed + counts.skipped == BAD == job.error_count
            assert counts.retried == (BAD if "retry" in name else 0)
            assert counts.executions == ITEMS
        assert ours() == before


@pytest.mark.timeout(3600)
def test_steered_at_random_no_job_hangs_and_nothing_is_lost(switching):
    chance = random.Random(20)
    seen: list[int] = []
    flow = Flow(
        "steered", execution_mode="concurrent", max_workers=4, error_strategy=Retry(1, delay=0.0005, then=Skip())
    )
    flow.add_routine(numbers)
    flow.add_routine(lambda x: seen.append(x) or x, "work")
    flow.chain("numbers", "work", sometimes, count)
    before = ours()
    ended = {"completed": 0, "cancelled": 0}
    for _ in range(STEERED):
        seen.clear()
        n = chance.choice([50, 500, 2000])
        job = flow.start("numbers", {"n": n})
        for _ in range(chance.randrange(8)):
            action = chance.choice(["pause", "resume", "resume", "let it run", "let it run", "let it run", "cancel"])
            if action == "let it run":
                time.sleep(chance.random() * 0.002)
            else:
                getattr(job, action)()
        job.resume()
        assert job.wait(60), job.waiting()
        ended[job.status] += 1
        assert len(seen) == len(set(seen))
        work = job.counts.get("work")
        assert (work.executions if work else 0) == len(seen)
        if job.status == "completed":
            assert len(seen) == n
            assert job.result == n - sum(map(bad, range(n)))
        assert ours() == before
    assert ended["completed"] > 0
    assert ended["cancelled"] > 0
