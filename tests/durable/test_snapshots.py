"""Jobs whose facts a snapshot stands for: they end, and show, what they would have without."""

import gc
from pathlib import Path

import pytest

from routilux import Context, Continue, Flow, Skip, collect, gather, keyed, routine
from routilux.durable.account import account_of
from routilux.durable.snapshot_records import SNAPSHOT
from routilux.durable.unowned import cancel, is_paused, job_in, pause
from routilux.stores.check import check
from routilux.stores.sqlite.store import open_store
from tests.durable.snapshots import snapshots_after
from tests.faults.flow import Running

MODES = ["sequential", "concurrent", "asyncio", "multiprocessing"]


def kinds(path):
    """The kinds of the entries of the one job in a store."""
    with open_store(path, read_only=True) as store:
        (stored,) = store.jobs()
        return [one.entry.kind for one in store.entries(stored.job_id)]


@routine
def numbers(count: int):
    yield from range(count)


@routine(retries=1, error_strategy=None)
def picky(number: int, ctx: Context):
    if number % 10 == 3 and ctx.attempt == 1:
        raise ConnectionError(f"{number} comes later")
    return number


@routine(error_strategy=Skip())
def skipping(number: int):
    if number % 10 == 5:
        raise ValueError(f"{number} is skipped")
    return number


@routine(error_strategy=Continue())
def going_on(number: int):
    if number % 10 == 7:
        raise LookupError(f"{number} is not there")
    return number


@routine
def even(number: int):
    return number if number % 2 == 0 else None


@routine(fires=keyed(lambda number: number))
def together(left: int, right: int):
    return left + right


@routine(fires=collect())
def largest(sums: list[int]):
    return max(sums)


def survey(path, **settings):
    flow = Flow("survey", store=path, durability="process", max_workers=3, **settings)
    for one in (numbers, picky, skipping, going_on, even, together, largest):
        flow.add_routine(one)
    flow.add_routine(Running(), "running")
    flow.chain("numbers", "picky", "skipping", "going_on", "even")
    flow.connect("going_on", "output", "running", "number")
    flow.connect("running", "output", "largest", "sums")
    flow.connect("going_on", "output", "together", "left")
    flow.connect("even", "output", "together", "right")
    return flow


def shown(job):
    return {
        "status": str(job.status),
        "results": {name: sorted(values) for name, values in job.results.items()},
        "counts": job.counts,
        "errors": sorted(failure.message for failure in job.errors),
        "error_count": job.error_count,
        "history": sorted((one["routine_id"], one["attempt"], str(one["status"])) for one in job.history),
        "stranded": sorted(job.stranded),
    }


def told(path):
    """What is said of the one job in a store without its flow."""
    with open_store(path, read_only=True) as store:
        (stored,) = store.jobs()
        account = account_of(store, stored)
    assert account.damage is None
    return {
        "tallies": account.tallies,
        "troubles": sorted((one.routine_id, one.message, one.decision) for one in account.troubles),
        "trouble_count": account.trouble_count,
        "results": {name: sorted(values) for name, values in account.results.items()},
        "rests": account.rests,
        "openings": len(account.openings),
    }


@pytest.mark.parametrize("mode", MODES)
def test_a_shortened_job_shows_what_it_would_have_shown(mode: str, tmp_path: Path) -> None:
    whole, shortened = tmp_path / "whole.db", tmp_path / "shortened.db"
    with survey(whole) as flow:
        expected = shown(flow.execute("numbers", {"count": 60}))
    with snapshots_after(40):
        with survey(shortened, execution_mode=mode) as flow:
            assert shown(flow.execute("numbers", {"count": 60}, key="once")) == expected
        assert kinds(shortened).count(SNAPSHOT) == 1
        assert len(kinds(shortened)) < len(kinds(whole)) / 2
        assert told(shortened) == told(whole)
        with survey(shortened, execution_mode=mode) as flow:
            assert shown(flow.execute("numbers", {"count": 60}, key="once")) == expected
    assert check(shortened).whole


@routine
def drain(items: list[int]):
    """Takes its items out of the list that it was given."""
    while items:
        yield items.pop(0)


BREAKS: set[int] = set()
"""At which numbers a program ends, each once."""


@routine
def fragile(number: int):
    if number in BREAKS:
        BREAKS.discard(number)
        raise SystemExit
    return number


@pytest.mark.parametrize("distance", [1, 4, 9, 30])
def test_a_generator_begins_again_with_what_it_was_given(distance: int, tmp_path: Path) -> None:
    def flow():
        made = Flow("drain", store=tmp_path / "jobs.db", durability="process")
        for one in (drain, fragile):
            made.add_routine(one)
        made.chain("drain", "fragile")
        return made

    BREAKS.update({17, 18, 31, 55})
    items = list(range(60))
    with snapshots_after(distance):
        while BREAKS:
            with pytest.raises(SystemExit), flow() as one:
                one.execute("drain", {"items": list(items)}, key="once")
        with flow() as one:
            job = one.execute("drain", {"items": list(items)}, key="once")
        assert sorted(job.results["fragile"]) == items
        assert SNAPSHOT in kinds(tmp_path / "jobs.db")


@pytest.mark.parametrize("mode", MODES)
def test_a_long_stream_keeps_few_entries(mode: str, tmp_path: Path) -> None:
    settings = {"durability": "process", "execution_mode": mode, "max_workers": 2, "max_history_size": 10}
    flow = Flow("stream", store=tmp_path / "jobs.db", **settings)
    for one in (numbers, going_on):
        flow.add_routine(one)
    flow.add_routine(ignore, "ignore")
    flow.chain("numbers", "going_on", "ignore")
    with snapshots_after(100), flow:
        job = flow.execute("numbers", {"count": 1500})
        assert job.counts["ignore"].completed == 1350
    assert len(kinds(tmp_path / "jobs.db")) < 1500


@routine
def ignore(number: int) -> None:
    """Nothing comes of it."""


def test_what_fails_after_a_snapshot_is_tried_again(tmp_path: Path) -> None:
    mended = []

    def strict(number: int):
        if number == 50 and not mended:
            raise ValueError("it is broken")
        return number

    def flow():
        made = Flow("strict", store=tmp_path / "jobs.db", durability="process")
        made.add_routine(numbers)
        made.add_routine(routine(strict), "strict")
        made.chain("numbers", "strict")
        return made

    with snapshots_after(10):
        with flow() as one:
            assert one.execute("numbers", {"count": 80}).status == "failed"
        assert SNAPSHOT in kinds(tmp_path / "jobs.db")
        mended.append(True)
        with flow() as one:
            (job,) = one.recover(retry_failed=True)
            job.wait()
        assert sorted(job.results["strict"]) == list(range(80))


def test_what_nobody_runs_is_steered_from_its_snapshot_on(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    BREAKS.add(40)
    flow = Flow("broken", store=path, durability="process")
    for one in (numbers, fragile):
        flow.add_routine(one)
    flow.chain("numbers", "fragile")
    with snapshots_after(10), pytest.raises(SystemExit), flow:
        flow.execute("numbers", {"count": 60})
    gc.collect()
    with open_store(path) as store:
        (stored,) = store.jobs()
        assert not is_paused(store, stored)
        pause(store, stored.job_id, 0)
        assert is_paused(store, stored)
        assert account_of(store, job_in(store, stored.job_id)).status == "paused"
        cancel(store, stored.job_id, "nobody wants it", 0)
        assert job_in(store, stored.job_id).status == "cancelled"


def test_what_cannot_be_said_now_is_said_later(tmp_path: Path) -> None:
    """What a connection reads of a value may be of a kind that cannot be stored, and so may what a routine has."""

    opaque = object()

    def unfold(number: int):
        return {"number": number}

    flow = Flow("opaque", store=tmp_path / "jobs.db", durability="process")
    flow.add_routine(numbers)
    flow.add_routine(routine(unfold), "unfold")
    flow.add_routine(routine(lambda x, also=opaque: x), "last")
    flow.chain("numbers", "unfold", "last")
    with snapshots_after(5), flow:
        job = flow.execute("numbers", {"count": 40})
        assert len(job.results["last"]) == 40
    assert SNAPSHOT in kinds(tmp_path / "jobs.db")


def test_scopes_may_lie_in_each_other_as_deep_as_they_like(tmp_path: Path) -> None:
    deep = 700

    @routine
    def crawl(n: int):
        yield n + 1 if n < deep else None

    @routine
    def more(n: int) -> int | None:
        return n if n < deep else None

    flow = Flow("deep", store=tmp_path / "jobs.db", durability="process")
    flow.add_routine(crawl)
    flow.add_routine(more)
    flow.add_routine(routine(fires=gather("crawl"))(len), "done")
    flow.connect("crawl", "more")
    flow.connect("more", "crawl")
    flow.connect("crawl", "done")
    with snapshots_after(1000), flow:
        assert flow.execute("crawl", {"n": 0}).status == "completed"
    assert SNAPSHOT in kinds(tmp_path / "jobs.db")
