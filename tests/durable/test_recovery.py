"""Whatever part of a stored job's past has reached the disk, the job goes on from there to the same end."""

import asyncio
import sqlite3
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import Context, Flow, Skip, routine
from routilux.errors import ClusterUnavailableError, RecoveryError, StoreDamagedError, WorkerLostError
from routilux.facts import FailureKind, JobStatus
from routilux.stores.port import NewJob
from routilux.stores.sqlite.store import open_store
from tests.durable.snapshots import snapshots_after, without_begun
from tests.properties.test_random_flows import HASTY, Calls, Place, build, has_delay, multiset, shapes

PATIENCE = 30


def past_of(path):
    """The one job of a store, with its entries."""
    with open_store(path, read_only=True) as store:
        (stored,) = store.jobs()
        return stored, [one.entry for one in store.entries(stored.job_id)]


def broken_off(path, stored, entries):
    """A store in which a job has had only these entries."""
    with open_store(path) as store:
        store.submit(NewJob(stored.job_id, stored.flow_id, stored.key, stored.request, entries))


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@settings(max_examples=40, deadline=None)
@given(shape=shapes(), share=st.floats(0, 1), again=st.floats(0, 1), distance=st.sampled_from([1, 3, 7, 20, 10_000]))
def test_a_job_goes_on_from_any_part_of_its_past(mode, shape, share, again, distance):
    places, number = shape
    if mode == "concurrent" and any(has_delay(place) for place in places):
        return
    expected = build(places, Calls()).execute("entry", {"x": ((), number)})
    with tempfile.TemporaryDirectory() as folder, snapshots_after(distance):
        whole, first, second = (Path(folder) / name for name in ("whole.db", "first.db", "second.db"))
        arguments = {"execution_mode": mode, "max_workers": 3, "durability": "process"}
        with build(places, Calls(), store=whole, **arguments) as flow:
            job = flow.execute("entry", {"x": ((), number)})
            assert multiset(job) == multiset(expected)
        stored, entries = past_of(whole)
        broken_off(first, stored, entries[: 2 + int(share * (len(entries) - 2))])
        gone_on(first, places, arguments, expected)
        stored, entries = past_of(first)
        # Whom a crash is blamed on would count among the attempts, which these handlers look at.
        entries = [without_begun(entry) for entry in entries if entry.kind != "begun"]
        broken_off(second, stored, entries[: 2 + int(again * (len(entries) - 2))])
        gone_on(second, places, arguments, expected)


def gone_on(path, places, arguments, expected):
    """The job of a store is recovered and gives what was expected."""
    with build(places, Calls(), store=path, **arguments) as flow:
        for job in flow.recover():
            job.wait()
            assert job.status == expected.status == JobStatus.COMPLETED
            assert multiset(job) == multiset(expected)
            assert sorted(job.stranded) == sorted(expected.stranded)


@pytest.mark.parametrize("kind", sorted(set(HASTY) - {"stopping"}))
def test_what_comes_first_is_kept_as_it_came(kind, tmp_path):
    """A flow that pairs by arrival goes on with the pairs that it had made."""
    places = [Place("entry", "spread", "", 0, scopes=("entry",))]
    options = {"of": "entry"} if kind == "first" else {}
    places.append(Place(f"{kind}1", kind, "entry", 2, options))
    path = tmp_path / "jobs.db"
    with build(places, Calls(), store=path) as flow:
        job = flow.execute("entry", {"x": ((), 6)})
    stored, entries = past_of(path)
    for count in range(2, len(entries) + 1):
        part = tmp_path / f"{count}.db"
        broken_off(part, stored, entries[:count])
        with build(places, Calls(), store=part) as flow:
            for found in flow.recover():
                found.wait()
                assert multiset(found) == multiset(job)


def crashed_in(kind, path, folder, count):
    """A copy of a store whose process died right after the last entry of a kind."""
    stored, entries = past_of(path)
    last = max(index for index, entry in enumerate(entries) if entry.kind == kind)
    part = folder / f"{count}.db"
    broken_off(part, stored, entries[: last + 1])
    return part


def deadly(path, calls, **options):
    @routine(**options)
    def work(x: int) -> int:
        calls.append(x)
        return x

    flow = Flow("deadly", store=path)
    flow.add_routine(work)
    return flow


@pytest.mark.parametrize("options", [{"delivery": "at_most_once"}, {"crash_retries": 0}])
def test_what_may_run_at_most_once_does_not_run_again(options, tmp_path):
    path, calls = tmp_path / "jobs.db", []
    with deadly(path, calls, **options) as flow:
        flow.execute("work", {"x": 1})
    with deadly(crashed_in("begun", path, tmp_path, 1), calls, **options) as flow:
        (job,) = flow.recover()
        job.wait()
        assert job.status == JobStatus.FAILED
        assert [failure.kind for failure in job.errors] == [FailureKind.LOST]
        with pytest.raises(WorkerLostError, match="Flow 'deadly', routine 'work': the process that ran activation 1"):
            job.raise_for_status()
    assert calls == [1]


@pytest.mark.parametrize("mode", ["concurrent", "asyncio"])
def test_what_is_noted_before_it_begins_takes_a_worker_like_anything_else(mode, tmp_path):
    inside, most = [], []

    @routine
    def numbers(count: int):
        yield from range(count)

    @contextmanager
    def counted(number: int):
        inside.append(number)
        most.append(len(inside))
        try:
            yield
        finally:
            inside.remove(number)

    def block(number: int):
        with counted(number):
            time.sleep(0.005)

    async def wait(number: int):
        with counted(number):
            await asyncio.sleep(0.005)

    work = routine(wait if mode == "asyncio" else block, delivery="at_most_once")
    flow = Flow("noted", store=tmp_path / "jobs.db", execution_mode=mode, max_workers=2)
    flow.chain(numbers, work)
    with flow:
        job = flow.execute("numbers", {"count": 30})
    assert (len(most), job.status) == (30, JobStatus.COMPLETED)
    assert max(most) == 2


@pytest.mark.parametrize("mode", ["concurrent", "asyncio"])
def test_what_was_being_noted_when_its_job_was_cancelled_does_not_begin(mode, tmp_path):
    ran, jobs = [], []
    started = threading.Event()

    @routine
    def numbers(ctx: Context):
        for number in range(5):
            ctx.emit("output", number)

    def cancel(number: int):
        assert started.wait(PATIENCE)
        ran.append(number)
        jobs[0].cancel("enough")

    async def cancel_there(number: int):
        cancel(number)

    work = routine(cancel_there if mode == "asyncio" else cancel, delivery="at_most_once")
    flow = Flow("noted", store=tmp_path / "jobs.db", execution_mode=mode, max_workers=1)
    flow.chain(numbers, work)
    with flow:
        jobs.append(flow.start("numbers"))
        started.set()
        assert jobs[0].wait(PATIENCE)
    assert (ran, jobs[0].status) == ([0], JobStatus.CANCELLED)


def test_what_kills_its_process_again_and_again_is_given_up(tmp_path):
    path, calls = tmp_path / "jobs.db", []
    with deadly(path, calls, error_strategy=Skip()) as flow:
        flow.execute("work", {"x": 1})
    path = crashed_in("started", path, tmp_path, "unknown")
    statuses = []
    for count in range(5):
        with deadly(path, calls, error_strategy=Skip()) as flow:
            (job,) = flow.recover()
            job.wait()
            statuses.append(job.counts["work"].skipped)
        if not statuses[-1]:
            path = crashed_in("begun", path, tmp_path, count)
    # The first run, one for the crash that nobody could be blamed for, and three that were counted.
    assert calls == [1] * 5
    assert statuses == [0, 0, 0, 0, 1]


def test_a_job_that_is_damaged_keeps_no_other_from_going_on(tmp_path):
    path, given = tmp_path / "jobs.db", []
    with Flow("flow", store=path) as flow:
        flow.add_routine(given.append, "step")
        whole = [flow.execute("step", {"object": number}).job_id for number in range(3)]
    pasts = {}
    with open_store(path, read_only=True) as store:
        for job in store.jobs():
            pasts[job.job_id] = job, [one.entry for one in store.entries(job.job_id)]
    part = tmp_path / "part.db"
    for job_id in whole:
        stored, entries = pasts[job_id]
        broken_off(part, stored, entries[:2])
    with closing(sqlite3.connect(part)) as connection, connection:
        connection.execute("UPDATE jobs SET created_at = 7 WHERE job_id = ?", (whole[1],))
    given.clear()
    with Flow("flow", store=part) as flow:
        flow.add_routine(given.append, "step")
        with pytest.raises(RecoveryError) as raised:
            flow.recover()
        for job in raised.value.jobs:
            job.wait()
    assert sorted(given) == [0, 2]
    assert {job_id: type(error) for job_id, error in raised.value.errors.items()} == {whole[1]: StoreDamagedError}


@routine
def spread(n):
    yield from range(n)


@routine(execution_mode="distributed")
def far(x):
    return 10 * x


@routine
def near(x):
    return x


@pytest.mark.parametrize("distance", [3, 10_000])
@pytest.mark.parametrize("options", [{}, {"crash_retries": 0}, {"delivery": "at_most_once"}])
def test_a_job_whose_cluster_is_not_there_waits_in_its_store_until_it_is(options, distance, tmp_path):
    def build(executor, **settings):
        flow = Flow("far", store=tmp_path / "jobs.db", executor=executor, max_workers=2, **settings)
        flow.add_routine(spread)
        flow.add_routine(near)
        flow.add_routine(far, **options)
        flow.connect("spread", "near")
        flow.connect("spread", "far")
        return flow

    gone = ThreadPoolExecutor(1)
    gone.shutdown()
    with snapshots_after(distance), build(gone) as flow:
        with pytest.raises(ClusterUnavailableError, match="Flow 'far', routine 'far': .* takes no calls any more"):
            flow.execute("spread", {"n": 5})
        (job,) = flow.recover()
        job.wait()
        with pytest.raises(ClusterUnavailableError):
            job.raise_for_status()
    with snapshots_after(distance), ThreadPoolExecutor(2) as executor, build(executor) as flow:
        (job,) = flow.recover()
        assert job.wait()
        assert job.status == "completed"
        assert sorted(job.results["far"]) == [0, 10, 20, 30, 40]
        assert sorted(job.results["near"]) == [0, 1, 2, 3, 4]
        assert {counts.failed for counts in job.counts.values()} == {0}
    with build(gone, error_strategy=Skip()) as flow:
        job = flow.execute("spread", {"n": 5})
        assert (job.status, job.error_count) == ("completed", 5)
