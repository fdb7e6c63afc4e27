"""A flow whose store is on a server: it goes on whatever becomes of its connections."""

import threading

import pytest

from routilux import Flow, collect, routine
from routilux.errors import StoreUnavailableError
from routilux.facts import JobStatus
from routilux.stores.opening import check, open_store
from tests.postgres import running, why_not

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


@pytest.mark.parametrize("mode", MODES)
def test_a_job_goes_on_while_its_server_is_started_anew(mode):
    restarting, restarts = threading.Lock(), []
    with running() as server:

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
