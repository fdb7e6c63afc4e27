"""The driver of distributed mode on every kind of cluster, through its port."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest

from routilux import Context, Routine, routine
from routilux.clock import SystemClock
from routilux.drivers.cluster.choice import cluster_of
from routilux.drivers.cluster.driver import ClusterDriver
from routilux.drivers.cluster.executor import ExecutorCluster
from routilux.drivers.port import Stopping
from routilux.errors import (
    ClusterError,
    MissingExtraError,
    RemoteError,
    SettingError,
    UnsendableError,
    WorkerLostError,
)
from routilux.machine.plan import Station
from routilux.parcel import Parcel
from tests.drivers.host import Collector, station_of

pytestmark = pytest.mark.timeout(180)  # clusters of several processes start and end here, on machines however busy

ENGINES = ["dask", "ray", "processes", "threads"]
LARGE = 2_000_000
"""Bytes that are worth to be left where they are."""


class Host(Collector):
    """A collector that also starts what was lost again, as the machine does."""

    def start_again(self, station: Station, numbers: Mapping[Any, int], attempt: int) -> None:
        """The next attempt of activations, given by their arguments."""
        with self.changed:
            for argument, number in numbers.items():
                self._started += 1
                self._waiting.append((self.seat(station), (number, station, (argument,), 0, 0, attempt, None), 0))
            self._fill()


def open_executor(engine: str) -> Executor | None:
    match engine:
        case "processes":
            return ProcessPoolExecutor(2, mp_context=get_context("spawn"))
        case "threads":
            return ThreadPoolExecutor(2)
    return None


def open_driver(cluster: Any, **options: Any) -> Host:
    host = Host()
    chosen = cluster_of(None, cluster, 2, insecure_cluster=False, **options)
    host.driver = ClusterDriver(host, SystemClock(), chosen, "test")
    return host


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def offspring() -> set[int]:
    """The processes that came of this one, but for the one that `multiprocessing` keeps for itself."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if not any("resource_tracker" in part for part in child.cmdline())}


@pytest.fixture(scope="module")
def host(engine: str) -> Iterator[Host]:
    """One cluster for all tests, after which neither a process nor a thread nor a folder is left."""
    processes, threads, folders = offspring(), set(threading.enumerate()), session_folders()
    executor = open_executor(engine)
    host = open_driver(executor or engine)
    yield host
    host.driver.close()
    host.driver.close()
    if executor is not None:
        executor.shutdown()
    assert offspring() <= processes
    assert session_folders() <= folders
    # Dask keeps two threads for all clients of a process, for callbacks and for what is long to pickle.
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert left <= {"Dask-Callback-Thread_0", "Dask-Offload_0"}


def session_folders() -> set[Path]:
    """What Dask and Ray keep their files in while they run for us."""
    places = {Path(tempfile.gettempdir()), Path("/tmp")}
    return {
        folder
        for place in places
        for engine in ("dask", "ray")
        for folder in place.glob(f"routilux-{engine}-{os.getpid()}-*")
    }


@pytest.fixture
def needs(engine: str, request: pytest.FixtureRequest) -> None:
    """Skips where a test is about what this kind of cluster does not have."""
    if engine not in request.param:
        pytest.skip(f"not with {engine}")


only = lambda *engines: pytest.mark.parametrize("needs", [engines], indirect=True, ids=["+".join(engines)])  # noqa: E731


def test_a_thousand_activations_equal_the_plain_result(host):
    factor = 3

    def times(x):
        return x * factor

    assert host.values(station_of(times, "x"), range(1000)) == [x * 3 for x in range(1000)]


def test_every_attempt_is_settled_once_with_moments_that_make_sense(host):
    clock = SystemClock()
    before = clock.now()
    activations = host.start_all(station_of(lambda x: x, "x"), range(50))
    host.wait()
    for activation in activations:
        (outcome,) = host.outcomes[activation[0], 1]
        assert before < outcome.began <= outcome.ended <= clock.now()


def test_a_users_exception_keeps_its_type_its_text_and_where_it_was_raised(host):
    class OddError(Exception):
        pass

    def fail(x):
        if x:
            raise OddError("odd", x)
        return {}["missing"]

    odd, missing = host.values(station_of(fail, "x"), [7, 0])
    assert type(odd).__name__ == "OddError"
    assert odd.args == ("odd", 7)
    assert type(missing) is KeyError
    assert missing.args == ("missing",)
    frames = [outcomes[0].frames for outcomes in host.outcomes.values() if outcomes[0].error is odd]
    assert frames[0][-1][2] == "fail"


def test_what_cannot_be_sent_is_named_and_harms_nothing_else(host):
    lock = threading.Lock()
    (argument, fine) = host.values(station_of(lambda x: 1, "x"), [{"deep": [lock]}, 2])
    assert isinstance(argument, UnsendableError)
    assert "routine 'it': its input 'x' cannot be sent" in str(argument)
    assert "['deep'][0] is a _thread.lock" in str(argument)
    assert fine == 1

    def give_lock(x):
        return [threading.Lock()] if x else "fine"

    result, fine = host.values(station_of(give_lock, "x"), [1, 0])
    assert isinstance(result, UnsendableError)
    assert "what it emitted on 'output'[0] is a _thread.lock" in str(result)
    assert fine == "fine"

    (handler,) = host.values(station_of(lambda x: lock, "x"), [1])
    assert isinstance(handler, UnsendableError)
    assert "its handler" in str(handler)
    assert "its handler's variable 'lock' is a _thread.lock" in str(handler)


def test_an_exception_that_cannot_travel_is_told_by_another(host):
    class HoldsLockError(Exception):
        def __init__(self) -> None:
            super().__init__("held")
            self.lock = threading.Lock()

    def fail(x):
        raise HoldsLockError

    (error,) = host.values(station_of(fail, "x"), [1])
    assert isinstance(error, RemoteError)
    assert "HoldsLockError: held" in str(error)


def test_what_cannot_be_read_on_the_other_side_fails_alone(host):
    class Bad:
        def __reduce__(self):
            return int, ("no number",)

    broken, fine = host.values(station_of(lambda x: 1, "x"), [Bad(), 2])
    assert isinstance(broken, UnsendableError)
    assert "what it was given could not be read on the worker: ValueError" in str(broken)
    assert fine == 1


def test_a_handler_may_use_its_context_and_be_async_or_a_method(host):
    @routine(events=["odd", "even"])
    def sort(x, ctx: Context):
        ctx.emit("odd" if x % 2 else "even", x)

    async def later(x):
        return x + 1

    class Add(Routine):
        def __init__(self, amount: int) -> None:
            super().__init__()
            self.amount = amount
            self.define_slot("x", handler=self.add)
            self.define_event("output")

        def add(self, x):
            self.emit("output", x + self.amount)

    activations = host.start_all(station_of(sort, "x"), [1, 2])
    host.wait()
    assert [host.outcomes[one[0], 1][0].emissions for one in activations] == [[("odd", 1)], [("even", 2)]]
    assert host.values(station_of(later, "x"), range(3)) == [1, 2, 3]
    assert host.values(station_of(Add(10), "x"), range(3)) == [10, 11, 12]


def test_what_a_routine_keeps_follows_it_from_worker_to_worker(host):
    @routine(keeps_state=True)
    def count(x, ctx: Context):
        ctx.state["n"] = ctx.state.get("n", 0) + x
        return ctx.state["n"]

    station = station_of(count, "x")
    station.keeps_state = True
    assert [host.values(station, [2])[0] for _ in range(5)] == [2, 4, 6, 8, 10]
    assert host.seat(station).course.states["it"] == {"n": 10}
    host.seat(station).course.states.clear()


def test_generators_are_asked_here(host):
    here = os.getpid()

    def count(n):
        for number in range(n):
            yield number, os.getpid() == here

    station = station_of(count, "n")
    activation = host.start(station, 2)
    host.wait()
    for _ in range(2):
        host.start(station, 2, number=activation[0])
        host.wait()
    outcomes = host.outcomes[activation[0], 1]
    assert [outcome.emissions for outcome in outcomes] == [[("output", (0, True))], [("output", (1, True))], []]
    assert [outcome.more for outcome in outcomes] == [True, True, False]


def test_a_generator_sees_the_context_of_its_job(host):
    tenant = ContextVar("tenant", default="nobody")

    def name(n):
        yield tenant.get()

    station = station_of(name, "n")
    seat = host.seat(station)
    seat.context.run(tenant.set, "somebody")
    activation = host.start(station, 1)
    host.wait()
    assert host.outcomes[activation[0], 1][0].emissions == [("output", "somebody")]


def test_a_batch_that_takes_longer_than_thought_comes_back_and_the_rest_is_run_elsewhere(host):
    def wait(x):
        threading.Event().wait(x)
        return x

    station = station_of(wait, "x")
    assert host.values(station, [0] * 200) == [0] * 200
    assert host.values(station, [0.2] * 6) == [0.2] * 6


def test_what_has_not_left_can_be_taken_back(host):
    def wait(x):
        threading.Event().wait(x)

    station = station_of(wait, "x")
    host.start_all(station, [0.3] * 4)
    taken_back = host.start(station, 0.3)
    host.driver.start(host.seat(station), taken := (10_000_000 + taken_back[0], station, (0.3,), 0, 0, 1, None))
    assert host.driver.stop(host.seat(station), taken) is Stopping.NEVER_STARTED
    host.wait()
    assert (taken[0], 1) not in host.outcomes


def test_what_runs_is_stopped_where_that_can_be_done(host, engine, tmp_path):
    fifo = tmp_path / "begun"
    os.mkfifo(fifo)
    long = 60 if engine == "ray" else 0.5

    def run(path):
        with Path(path).open("w") as begun:
            begun.write("yes")
        threading.Event().wait(long)

    station = station_of(run, "path")
    activation = host.start(station, str(fifo))
    assert fifo.read_text() == "yes"
    assert host.stop(station, activation) is (Stopping.ASKED if engine == "ray" else Stopping.RUNS_ON)
    host.wait()
    assert len(host.outcomes[activation[0], 1]) == 1


@only("dask", "ray")
def test_a_killed_worker_costs_what_it_had_and_nothing_else(host, needs, tmp_path):
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)

    def work(x):
        if x == 7:
            with Path(fifo).open("w") as pid:
                pid.write(str(os.getpid()))
        threading.Event().wait(0.02)
        return x

    station = station_of(work, "x")
    activations = host.start_all(station, range(40))
    os.kill(int(fifo.read_text()), signal.SIGKILL)
    host.wait()
    values = [host.value(one) for one in activations]
    lost = [x for x, value in enumerate(values) if isinstance(value, WorkerLostError)]
    assert [value for x, value in enumerate(values) if x not in lost] == [x for x in range(40) if x not in lost]
    assert 1 <= len(lost) < 20
    assert "Flow 'test', routine 'it'" in str(values[lost[0]])
    assert host.values(station, [x + 100 for x in lost]) == [x + 100 for x in lost]


@only("dask", "ray")
def test_a_handler_that_kills_its_worker_takes_no_other_along_for_long(host, needs):
    def work(x):
        if x == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    station = station_of(work, "x")
    numbers = {x: host.start(station, x)[0] for x in range(8)}
    for attempt in (1, 2, 3):
        host.wait()
        numbers = {x: n for x, n in numbers.items() if isinstance(host.outcomes[n, attempt][0].error, WorkerLostError)}
        assert 3 in numbers
        if attempt < 3:
            host.start_again(station, numbers, attempt + 1)
    assert list(numbers) == [3]


@only("dask", "ray")
def test_large_values_stay_on_the_cluster_and_are_passed_on(host, needs):
    make = station_of(lambda x: bytes([x]) * LARGE, "x")
    make.stays = frozenset({"output"})
    parcels = host.values(make, [1, 2, 3])
    assert all(isinstance(parcel, Parcel) for parcel in parcels)

    def measure(data):
        several = data if isinstance(data, list) else [data]
        return [(one[0], len(one)) for one in several]

    look = station_of(measure, "data")
    assert host.values(look, [parcels[0], parcels[1:]]) == [[(1, LARGE)], [(2, LARGE), (3, LARGE)]]
    assert parcels[2].open() == b"\3" * LARGE


@only("dask", "ray")
def test_small_values_and_those_that_others_read_come_back(host, needs):
    small = station_of(lambda x: b"x", "x")
    small.stays = frozenset({"output"})
    assert host.values(small, [1]) == [b"x"]
    assert host.values(station_of(lambda x: b"x" * LARGE, "x"), [1]) == [b"x" * LARGE]


@only("ray")
def test_flows_share_the_one_ray_of_a_process(host, needs):
    other = open_driver("ray")
    assert other.values(station_of(lambda x: x, "x"), [1]) == [1]
    other.driver.close()
    assert host.values(station_of(lambda x: x, "x"), [1]) == [1]

    elsewhere = open_driver("ray://127.0.0.1:1")
    (error,) = elsewhere.values(station_of(lambda x: x, "x"), [1])
    assert isinstance(error, ClusterError)
    assert "only once in a process" in str(error)
    elsewhere.driver.close()


def test_large_arguments_and_handlers_arrive(host):
    ballast = os.urandom(LARGE)

    def check(x):
        return len(x), len(ballast)

    assert host.values(station_of(check, "x"), [os.urandom(3 * LARGE)] * 3) == [(3 * LARGE, LARGE)] * 3


def test_a_forgotten_job_is_kept_by_nobody(engine):
    if engine != "threads":
        pytest.skip("is the same for all")
    with ThreadPoolExecutor(1) as executor:
        host = open_driver(executor)
        host.values(station_of(lambda x: x, "x"), range(10))
        seat = weakref.ref(host._seats["job"].course)
        host.driver.forget(host._seats.pop("job"))
        host.outcomes.clear()
        gc.collect()
        assert seat() is None
        host.driver.close()


@pytest.mark.parametrize("engine", ["dask", "ray", "threads"])
def test_a_program_needs_no_guard_and_its_own_functions_travel(engine, tmp_path):
    script = tmp_path / "script.py"
    cluster = "ThreadPoolExecutor(2)" if engine == "threads" else repr(engine)
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from concurrent.futures import ThreadPoolExecutor
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from host import Collector, station_of
        from routilux.clock import SystemClock
        from routilux.drivers.cluster.choice import cluster_of
        from routilux.drivers.cluster.driver import ClusterDriver

        class Point:
            def __init__(self, x):
                self.x = x

        def move(point):
            return Point(point.x + 1)

        host = Collector()
        cluster = cluster_of(None, {cluster}, 2, insecure_cluster=False)
        host.driver = ClusterDriver(host, SystemClock(), cluster, "script")
        moved = host.values(station_of(move, "point"), [Point(x) for x in range(3)])
        print([type(point) is Point and point.x for point in moved])
        host.driver.close()
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "[1, 2, 3]\n", done.stderr
    assert done.stderr == ""


def test_a_client_that_was_given_is_left_alone():
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        for given in (client, cluster):
            host = open_driver(given)
            assert host.values(station_of(lambda x: x + 1, "x"), range(5)) == [1, 2, 3, 4, 5]
            host.driver.close()
        assert client.submit(int, "3").result() == 3


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_nobody_answers_for_fails_what_was_meant_for_it(address):
    host = open_driver(address)
    errors = host.values(station_of(lambda x: x, "x"), range(3))
    assert all(isinstance(error, ClusterError) for error in errors)
    assert f"cluster at {address} cannot be reached" in str(errors[0])
    assert "Flow 'test', routine 'it'" in str(errors[0])
    host.driver.close()


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "ray://cluster.example:10001"])
def test_an_unprotected_address_beyond_this_machine_is_refused(address):
    with pytest.raises(ClusterError, match="not protected.*insecure_cluster=True"):
        cluster_of(None, address, None, insecure_cluster=False)
    assert cluster_of(None, address, None, insecure_cluster=True).engine.lower() == (
        "dask" if address[0] == "t" else "ray"
    )
    assert cluster_of(None, "tls://10.0.0.1:8786", None, insecure_cluster=False).engine == "Dask"


def test_what_is_no_cluster_is_refused():
    for engine, cluster in [(None, 3), ("spark", None), (None, "10.0.0.1:8786")]:
        with pytest.raises(SettingError, match="dask|Dask"):
            cluster_of(engine, cluster, None, insecure_cluster=False)


def test_a_cluster_that_can_only_be_awaited_is_refused():
    async def give() -> None:
        nobody = {"n_workers": 0, "processes": False, "dashboard_address": None}
        async with distributed.LocalCluster(**nobody, asynchronous=True) as cluster:
            with pytest.raises(SettingError, match="asynchronous=True"):
                cluster_of(None, cluster, None, insecure_cluster=False)

    asyncio.run(give())


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from routilux.drivers.cluster.choice import cluster_of\n"
        "cluster_of('dask', None, 2, insecure_cluster=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert f"{MissingExtraError.__name__}: execution_mode='distributed' on Dask needs the package" in done.stderr
    assert "pip install 'routilux[dask]'" in done.stderr


class OldWorkers(ExecutorCluster):
    """An executor whose workers have another version of something."""

    def versions(self) -> Mapping[str, str | None]:
        return {**super().versions(), "cloudpickle": "1.0", "routilux": None}


def test_workers_of_another_version_are_refused():
    with ThreadPoolExecutor(1) as executor:
        host = Collector()
        host.driver = ClusterDriver(host, SystemClock(), OldWorkers(executor, 1), "test")
        (error,) = host.values(station_of(lambda x: x, "x"), [1])
        assert isinstance(error, ClusterError)
        assert "cloudpickle 1.0 on the workers" in str(error)
        assert "routilux missing on the workers" in str(error)
        host.driver.close()


def test_an_executor_that_is_shut_down_or_broken_says_so():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    host = open_driver(executor)
    (error,) = host.values(station_of(lambda x: x, "x"), [1])
    assert isinstance(error, ClusterError)
    assert "takes no calls any more" in str(error)
    host.driver.close()

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        host = open_driver(pool)
        (error,) = host.values(station_of(lambda x: os.kill(os.getpid(), signal.SIGKILL), "x"), [1])
        assert isinstance(error, WorkerLostError)
        (error,) = host.values(station_of(lambda x: x, "x"), [1])
        assert isinstance(error, ClusterError)
        host.driver.close()


def test_anything_that_submits_will_do():
    class Inline:
        def submit(self, function, /, *arguments):
            future: Future[Any] = Future()
            future.set_result(function(*arguments))
            return future

    host = open_driver(Inline())
    assert host.values(station_of(lambda x: x + 1, "x"), range(5)) == [1, 2, 3, 4, 5]
    host.driver.close()
