"""A flow whose store is on a server: it goes on whatever becomes of its connections."""

import threading

import pytest

from routilux import Context, Flow, collect, routine
from routilux.durable.snapshot_records import SNAPSHOT
from routilux.errors import StoreUnavailableError
from routilux.facts import JobStatus
from routilux.stores.opening import check, open_store
from tests.durable.snapshots import snapshots_after
from tests.postgres import running, why_not

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

MODES = ["sequential", "concurrent", "asyncio"]


@routine
def numbers(count: int):
    yield from range(count)


@routine(fires=collect())
def total(numbers: list[int]) -> int:
    return sum(numbers)


def build(handler, **settings):
    flow = Flow("numbers", **settings)
    flow.chain(numbers, flow.add_routine(routine(handler), "work"), total)
    return flow


def kinds(store):
    """The kinds of the entries of the one job in a store."""
    (job,) = store.jobs()
    return [one.entry.kind for one in store.entries(job.job_id)]


@pytest.mark.parametrize("distance", [15, 10_000])
@pytest.mark.parametrize("mode", MODES)
def test_a_job_goes_on_while_its_server_is_started_anew(mode, distance):
    restarting, restarts = threading.Lock(), []
    with running() as server, snapshots_after(distance):

        def work(number: int) -> int:
            if number in (20, 60):
                with restarting:
                    server.stop("fast" if number == 20 else "immediate")
                    server.start()
                restarts.append(number)
            return number

        dsn = server.dsn("restarted")
        with build(work, store=dsn, execution_mode=mode, max_workers=3) as flow:
            job = flow.execute("numbers", {"count": 100})
            assert (job.status, job.result) == (JobStatus.COMPLETED, sum(range(100)))
        assert sorted(restarts) == [20, 60]
        findings = check(dsn)
        assert (findings.whole, findings.jobs) == (True, 1)
        with open_store(dsn, read_only=True) as store:
            assert (SNAPSHOT in kinds(store)) is (distance == 15)


@pytest.mark.parametrize("mode", MODES)
def test_a_job_whose_server_is_gone_is_let_go_and_recovered_when_it_is_there_again(mode):
    gone = threading.Event()
    with running() as server:

        def work(number: int) -> int:
            if number == 20 and not gone.is_set():
                gone.set()
                server.stop("fast")
            return number

        dsn = server.dsn("gone")
        arguments = {"execution_mode": mode, "max_workers": 3}
        with open_store(dsn, store_grace=0.3) as store:
            flow = build(work, store=store, **arguments)
            with flow, pytest.raises(StoreUnavailableError):
                flow.execute("numbers", {"count": 100}).raise_for_status()
        server.start()
        with build(work, store=dsn, **arguments) as flow:
            (job,) = flow.recover()
            job.wait()
            assert (job.status, job.result) == (JobStatus.COMPLETED, sum(range(100)))


@pytest.mark.parametrize("mode", [*MODES, "multiprocessing"])
def test_what_handlers_write_is_there_once_though_their_server_is_started_anew(mode, tmp_path):
    restarts = tmp_path / "restarts"
    with running() as server:

        @routine
        def numbered(count: int, ctx: Context):
            with ctx.transaction() as sql:
                sql.execute("CREATE TABLE written (number bigint PRIMARY KEY, attempt integer)")
            yield from range(count)

        @routine(retries=2)
        def write(number: int, ctx: Context) -> int:
            with ctx.transaction() as sql:
                sql.execute("INSERT INTO written VALUES (%s, %s)", (number, ctx.attempt))
            if number % 7 == 3 and ctx.attempt == 1:
                raise ConnectionError("try again")
            if number in (20, 60):
                (restarts / str(number)).mkdir(parents=True)
            return number

        def restart() -> None:
            for number, how in ((20, "fast"), (60, "immediate")):
                while not (restarts / str(number)).exists():
                    ended.wait(0.005)
                server.stop(how)
                server.start()

        ended = threading.Event()
        restarting = threading.Thread(target=restart)
        flow = Flow("numbers", store=server.dsn("written"), execution_mode=mode, max_workers=3)
        flow.chain(numbered, write)
        restarting.start()
        with flow:
            job = flow.execute("numbered", {"count": 100})
        restarting.join()
        job.raise_for_status()
        with psycopg.connect(server.conninfo) as session:
            rows = session.execute("SELECT * FROM written ORDER BY number").fetchall()
        assert rows == [(number, 2 if number % 7 == 3 else 1) for number in range(100)]
        assert check(server.dsn("written")).whole


def test_large_payloads_are_kept_on_the_server(server):
    def work(number: int) -> bytes:
        return bytes([number]) * 400_000

    flow = Flow("large", store=server.dsn("large"), execution_mode="concurrent", max_workers=3)
    flow.chain(numbers, flow.add_routine(routine(work), "work"))
    with flow:
        job = flow.execute("numbers", {"count": 8}, key="once")
        assert sorted(job.results["work"]) == [bytes([number]) * 400_000 for number in range(8)]
    with flow:
        again = flow.execute("numbers", {"count": 8}, key="once")
        assert sorted(again.results["work"]) == sorted(job.results["work"])
    assert check(server.dsn("large")).whole
