"""A stored job that failed goes on when it is asked to: what stopped it is tried again, and nothing that is done."""

import shutil
import threading

import pytest

from routilux import Context, Continue, Flow, Retry, collect, routine
from routilux.errors import JobOverError, RecoveryError, UnknownJobError, WorkerLostError
from routilux.facts import JobStatus
from routilux.stores.port import NewJob
from routilux.stores.sqlite.store import open_store

IN_THIS_PROCESS = pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])


@routine
def numbers(count: int):
    yield from range(count)


@routine(fires=collect())
def total(xs: list[int]) -> int:
    return sum(xs)


class Broken:
    """A service that refuses one number until it is mended, and notes who called it."""

    def __init__(self):
        self.calls = []
        self.refuses = 3

    def flow(self, path, *, strategy=None, **settings):
        @routine(error_strategy=strategy) if strategy else routine
        def work(x: int, ctx: Context) -> int:
            self.calls.append((x, ctx.attempt))
            if x == self.refuses:
                raise ConnectionError(f"no {x} today")
            return x

        flow = Flow("shop", store=path, **settings)
        for one in (numbers, work, total):
            flow.add_routine(one)
        flow.chain("numbers", "work", "total")
        return flow


def revived(flow, *job_ids):
    (job,) = flow.recover(job_ids or None, retry_failed=True)
    job.wait()
    return job


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@IN_THIS_PROCESS
def test_what_stopped_a_job_is_tried_again_and_what_is_done_is_not(mode, path):
    shop = Broken()
    with shop.flow(path, execution_mode=mode, max_workers=2) as flow:
        failed = flow.execute("numbers", {"count": 8})
        assert failed.status == JobStatus.FAILED
    before = set(shop.calls)
    shop.calls.clear()
    shop.refuses = None
    with shop.flow(path, execution_mode=mode, max_workers=2) as flow:
        assert flow.recover() == []
        job = revived(flow)
        assert (job.job_id, job.result) == (failed.job_id, 28)
    assert (3, 2) in shop.calls
    assert {x for x, _ in shop.calls} | {x for x, _ in before} == set(range(8))
    again = {x for x, _ in shop.calls} & {x for x, _ in before}
    assert again == {3}
    with shop.flow(path, execution_mode=mode) as flow, pytest.raises(RecoveryError, match="is completed, and nothing"):
        flow.recover([failed.job_id], retry_failed=True)


def test_each_revival_has_all_the_retries_again(path):
    shop = Broken()
    strategy = Retry(2, delay=0)
    with shop.flow(path, strategy=strategy) as flow:
        flow.execute("numbers", {"count": 5})
    for _ in range(2):
        with shop.flow(path, strategy=strategy) as flow:
            assert revived(flow).status == JobStatus.FAILED
    shop.refuses = None
    with shop.flow(path, strategy=strategy) as flow:
        job = revived(flow)
        assert (job.result, job.counts["work"].retried) == (10, 9)
    assert [attempt for x, attempt in shop.calls if x == 3] == list(range(1, 11))


def test_a_revived_job_that_crashes_goes_on_from_there(path, tmp_path):
    shop = Broken()
    with shop.flow(path) as flow:
        job = flow.execute("numbers", {"count": 5}, key="five")
    shop.refuses = 4
    with shop.flow(path) as flow:
        assert str(revived(flow).errors[0].error) == "no 4 today"
    entries, shop.refuses = flow_entries(path, job.job_id), None
    for count in range([entry.kind for entry in entries].index("revived") + 1, len(entries)):
        part = tmp_path / f"{count}.db"
        with open_store(part) as store:
            store.submit(NewJob(job.job_id, "shop", "five", b"", entries[:count]))
        shop.calls = []
        with shop.flow(part) as flow:
            (found,) = flow.recover()
            found.wait()
            assert found.result == 10
        assert {x for x, _ in shop.calls} == {3, 4}
    shop.calls = []
    with shop.flow(path) as flow:
        assert revived(flow).result == 10
        assert flow.execute("numbers", {"count": 5}, key="five").result == 10
    assert shop.calls == [(3, 2), (4, 2)]


def test_only_the_jobs_that_are_named_go_on(path):
    shop = Broken()
    with shop.flow(path) as flow:
        first, second = (flow.execute("numbers", {"count": 4 + n}) for n in range(2))
    shop.refuses = None
    with shop.flow(path) as flow:
        assert revived(flow, second.job_id).result == 10
        with pytest.raises(RecoveryError) as caught:
            flow.recover(["nobody", first.job_id])
        assert {job_id: type(error) for job_id, error in caught.value.errors.items()} == {
            "nobody": UnknownJobError,
            first.job_id: JobOverError,
        }
        assert "`retry_failed` has it try again" in str(caught.value)


def test_a_handler_that_may_have_been_killed_too_often_is_tried_again_when_that_is_asked(path, tmp_path):
    calls = []

    def flow():
        @routine(delivery="at_most_once")
        def pay(x: int) -> int:
            calls.append(x)
            return x

        made = Flow("pay", store=path)
        made.add_routine(pay)
        return made

    with flow() as one:
        one.execute("pay", {"x": 1})
    crashed_after_begun(path, tmp_path / "crashed.db")
    shutil.move(tmp_path / "crashed.db", path)
    with flow() as one:
        (job,) = one.recover()
        job.wait()
        with pytest.raises(WorkerLostError):
            job.raise_for_status()
    assert calls == [1]
    with flow() as one:
        assert revived(one).result == 1
    assert calls == [1, 1]


def crashed_after_begun(path, part):
    with open_store(path, read_only=True) as store:
        (stored,) = store.jobs()
        entries = [one.entry for one in store.entries(stored.job_id)]
    last = max(index for index, entry in enumerate(entries) if entry.kind == "begun")
    with open_store(part) as store:
        store.submit(NewJob(*stored[:4], entries[: last + 1]))
    path.unlink()
    for one in path.parent.glob(f"{path.name}-*"):
        one.unlink()
    path.with_name(f"{path.name}.head").unlink(missing_ok=True)


def test_a_failure_that_no_handler_had_is_named_and_leaves_the_job_as_it_is(path):
    with Flow("shop", store=path, max_activations=3) as flow:
        flow.add_routine(numbers)
        flow.add_routine(total)
        flow.add_routine(lambda x: x, "same")
        flow.chain("numbers", "same", "total")
        job = flow.execute("numbers", {"count": 10})
        entries = flow_entries(path, job.job_id)
        with pytest.raises(RecoveryError, match="cannot be tried again: ActivationLimitError"):
            flow.recover(retry_failed=True)
        assert flow_entries(path, job.job_id) == entries
        assert flow.recover() == []


def flow_entries(path, job_id):
    with open_store(path, read_only=True) as store:
        return [one.entry for one in store.entries(job_id)]


def test_a_message_that_no_handler_could_take_is_no_attempt_that_could_be_made_again(path):
    @routine
    def pair(left: int, right: int) -> int:
        return left + right

    with Flow("pairs", store=path) as flow:
        flow.add_routine(lambda x: {"only": x}, "make")
        flow.add_routine(pair)
        flow.connect("make", "output", "pair", "left", field="missing")
        flow.connect("make", "output", "pair", "right", field="only")
        assert flow.execute("make", {"x": 1}).status == JobStatus.FAILED
        with pytest.raises(RecoveryError, match="cannot be tried again: HandlerInputError"):
            flow.recover(retry_failed=True)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_timeout_that_stopped_a_job_is_forgiven(mode, path):
    goes_on, slow = threading.Event(), [True]

    def build():
        @routine(timeout=0.05)
        def work(x: int) -> int:
            if slow:
                goes_on.wait(0.2)
            return x

        flow = Flow("slow", store=path, execution_mode=mode)
        flow.add_routine(work)
        return flow

    with build() as flow:
        assert flow.execute("work", {"x": 7}).status == JobStatus.FAILED
    slow.clear()
    with build() as flow:
        assert revived(flow).result == 7


def test_what_ended_after_the_stop_counts_when_the_job_is_revived(path):
    """Its outcome is in the store, so its handler need not run again."""
    both, failed, calls = threading.Barrier(2), threading.Event(), []

    def build(*, broken):
        @routine
        def work(x: int) -> int:
            calls.append(x)
            if broken:
                both.wait(20)
                if x == 0:
                    failed.set()
                    raise ConnectionError("no")
                failed.wait(20)
                while not job_has_failed():
                    pass
            return x + 1

        flow = Flow("two", store=path, execution_mode="concurrent", max_workers=2)
        for one in (numbers, work, total):
            flow.add_routine(one)
        flow.chain("numbers", "work", "total")
        return flow

    def job_has_failed():
        with open_store(path, read_only=True) as store:
            (stored,) = store.jobs()
            return any(b'"v":"stop"' in one.entry.body for one in store.entries(stored.job_id))

    with build(broken=True) as flow:
        assert flow.execute("numbers", {"count": 2}).status == JobStatus.FAILED
    assert sorted(calls) == [0, 1]
    with build(broken=False) as flow:
        assert revived(flow).result == 3
    assert sorted(calls) == [0, 0, 1]


def test_a_failed_job_that_is_looked_up_by_its_key_stays_as_it_is(path):
    shop = Broken()
    with shop.flow(path) as flow:
        job = flow.execute("numbers", {"count": 8}, key="k")
    entries = flow_entries(path, job.job_id)
    with shop.flow(path) as flow:
        assert flow.execute("numbers", {"count": 8}, key="k").status == JobStatus.FAILED
    assert flow_entries(path, job.job_id) == entries


def test_a_handler_that_timed_out_before_the_crash_is_not_what_the_crash_ended(path, tmp_path):
    goes_on = threading.Event()

    def build(where, *, copies=None):
        @routine(delivery="at_most_once", timeout=0.05, error_strategy=Continue())
        def pay(x: int) -> int:
            goes_on.wait(20)
            return x

        @routine
        def after(x) -> str:
            if copies is not None:
                copies.mkdir()
                for part in ("", "-wal"):
                    shutil.copy(f"{where}{part}", copies / f"{where.name}{part}")
            return "went on"

        flow = Flow("pay", store=where, execution_mode="concurrent")
        flow.add_routine(pay)
        flow.add_routine(after)
        flow.connect("pay", "error", "after", "x")
        return flow

    with build(path, copies=tmp_path / "copies") as flow:
        assert flow.execute("pay", {"x": 1}).result == "went on"
        goes_on.set()
    with build(tmp_path / "copies" / path.name) as flow:
        (job,) = flow.recover()
        job.wait()
        assert job.result == "went on"
