"""What Dask does by itself with calls whose workers die, and what we have it not do."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import distributed
import psutil
import pytest

from routilux.clock import SystemClock
from routilux.drivers.cluster.dask import DaskCluster, _Submitted
from routilux.drivers.cluster.driver import ClusterDriver
from routilux.drivers.cluster.port import Call
from routilux.errors import WorkerLostError
from tests.drivers.host import Collector, station_of
from tests.old_pythons import threads_at_the_end

PATIENCE = 50
pytestmark = pytest.mark.timeout(120)


def sign(path: str) -> tuple[str]:
    """Says that it ran, and where."""
    with Path(path).open("a") as signatures:
        signatures.write(f"{os.getpid()}\n")
    return (path,)


def sign_and_die(path: str, deaths: int) -> tuple[str]:
    sign(path)
    if len(Path(path).read_text().splitlines()) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return (path,)


def wait_until_noticed(call: Call) -> None:
    """Waits until the cluster knows that it has lost a reply."""
    assert isinstance(call, _Submitted)
    until = time.monotonic() + PATIENCE
    while call.reply.status == "finished":
        assert time.monotonic() < until
        time.sleep(0.005)


def wait_until_forgotten(cluster: DaskCluster) -> None:
    """Waits until the cluster has heard that nobody wants the replies any more, which takes it some milliseconds."""
    assert cluster._client is not None
    until = time.monotonic() + PATIENCE
    while any(cluster._client.has_what().values()):
        assert time.monotonic() < until


@pytest.fixture(scope="module")
def dask() -> Iterator[DaskCluster]:
    """Somebody's cluster, which tries again what died with a worker, as Dask does unless it is told not to."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=60
    ) as cluster:
        dask = DaskCluster(cluster, 2)
        dask.connect()
        yield dask
        dask.close()


def test_what_was_settled_is_not_run_again_when_its_workers_die(
    tmp_path: Path,
) -> None:
    def signed(number):
        with (tmp_path / "signatures").open("a") as signatures:
            signatures.write(f"{number} {os.getpid()}\n")
        return number

    host, cluster = Collector(), DaskCluster(None, 2)
    host.driver = ClusterDriver(host, SystemClock(), cluster, "test")
    gc.disable()
    try:
        assert host.values(station_of(signed, "number"), range(100)) == list(range(100))
        wait_until_forgotten(cluster)
        for pid in {line.split()[1] for line in (tmp_path / "signatures").read_text().splitlines()}:
            os.kill(int(pid), signal.SIGKILL)
        while host.values(station_of(signed, "number"), range(100, 200)) != list(range(100, 200)):
            pass  # some went to workers that were dead already
    finally:
        gc.enable()
        host.driver.close()
    numbers = [int(line.split()[0]) for line in (tmp_path / "signatures").read_text().splitlines()]
    assert all(numbers.count(number) == 1 for number in range(100))


def test_a_cluster_that_is_killed_while_it_starts_is_started_again() -> None:
    killed: list[int] = []

    def kill_the_first() -> None:
        while not killed:
            for one in psutil.Process().children():
                if "-c" in one.cmdline() and any("dask_local" in part for part in one.cmdline()):
                    os.killpg(one.pid, signal.SIGKILL)
                    killed.append(one.pid)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    host = Collector()
    host.driver = ClusterDriver(host, SystemClock(), DaskCluster(None, 1), "test")
    assert host.values(station_of(abs, "number"), [-1, -2]) == [1, 2]
    host.driver.close()
    killer.join()
    assert len(killed) == 1


@threads_at_the_end
def test_a_program_that_has_come_to_its_end_waits_for_its_job() -> None:
    """Nothing that needs an executor works any more by then."""
    program = """
        import sys
        from routilux import Flow, routine

        @routine
        def numbers():
            yield from range(20)

        def last(number):
            sys.stdout.write(f"{number}\\n")

        flow = Flow("end", execution_mode="distributed", cluster="dask", max_workers=2)
        flow.add_routine(numbers)
        flow.add_routine(abs, "there")
        flow.add_routine(last, execution_mode="concurrent")
        flow.chain("numbers", "there", "last")
        flow.start("numbers")
    """
    asked = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert sorted(map(int, done.stdout.split())) == list(range(20))


@pytest.mark.parametrize("once", [True, False])
def test_a_reply_that_died_with_its_worker_is_made_again_only_of_what_may_run_twice(
    once: bool, dask: DaskCluster, tmp_path: Path
) -> None:
    path, ended = tmp_path / "signatures", threading.Event()
    call = dask.submit(sign, [str(path)], 0, ended.set, once=once)
    assert ended.wait(PATIENCE)
    os.kill(int(path.read_text()), signal.SIGKILL)
    wait_until_noticed(call)
    (reply,) = dask.fetch([call])
    if once:
        assert isinstance(reply, WorkerLostError)
        assert len(path.read_text().splitlines()) == 1
    else:
        assert reply == str(path)
        assert len(path.read_text().splitlines()) == 2


def test_what_may_not_run_twice_is_lost_with_the_first_worker_that_dies_of_it(
    dask: DaskCluster, tmp_path: Path
) -> None:
    path, ended = tmp_path / "signatures", threading.Event()
    call = dask.submit(sign_and_die, [str(path), 1], 0, ended.set, once=True)
    assert ended.wait(PATIENCE)
    (reply,) = dask.fetch([call])
    assert isinstance(reply, WorkerLostError)
    assert len(path.read_text().splitlines()) == 1
