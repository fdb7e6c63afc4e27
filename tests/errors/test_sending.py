"""What is sent to other processes and clusters: each value works, or its error says why not and what to do instead."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import distributed
import pytest

from routilux import Continue, Flow, JobStatus, routine
from routilux.drivers.cluster import versions
from routilux.errors import (
    ClusterError,
    HandlerReturnError,
    MissingExtraError,
    RemoteError,
    SettingError,
    UnsendableError,
)
from tests.leftovers import ours

FULL = os.environ.get("ROUTILUX_STRESS") == "full"
LARGE = 500_000_000 if FULL else 100_000_000
AT_ONCE = 30
"""Seconds within which everything must work or say why not: this includes that workers start."""

WAY_OUT = "Emit plain data instead, open such things inside the handler, or keep the routine in this process with"


@pytest.fixture(scope="module")
def settings_of() -> Iterator[Mapping[str, Mapping[str, Any]]]:
    """By place: the settings with which a flow's handlers run there."""
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield {
            "processes": {"execution_mode": "multiprocessing", "max_workers": 1},
            "executor": {"execution_mode": "distributed", "executor": pool},
            "dask": {"execution_mode": "distributed", "cluster": client},
        }


@pytest.fixture(params=["processes", "executor", "dask"])
def place(settings_of, request: pytest.FixtureRequest) -> Mapping[str, Any]:
    return settings_of[request.param]


pytestmark = pytest.mark.timeout(AT_ONCE * (10 if FULL else 1))


def run(place: Mapping[str, Any], handler, value: Any = 1, **options: Any):
    """The finished job of a flow that is one routine, `work`."""
    flow = Flow("sending", **place)
    flow.add_routine(handler, "work", **options)
    job = flow.execute("work", {"x": value})
    assert ours() == []
    return job


def refusal(place: Mapping[str, Any], handler, value: Any = 1) -> str:
    """What the error says because of which nothing was sent."""
    job = run(place, handler, value)
    assert job.status is JobStatus.FAILED
    (failure,) = job.errors
    assert failure.kind == "input"
    assert isinstance(failure.error, UnsendableError)
    assert str(failure.error).startswith("Flow 'sending', routine 'work': ")
    assert "cannot be sent to another process, because " in str(failure.error)
    assert WAY_OUT in str(failure.error)
    return str(failure.error)


# --- values


def test_lambdas_and_closures_work_as_handlers_inputs_and_results(place):
    offset = 40

    def shifted(x):
        return lambda y: x(y) + offset

    returned = run(place, shifted, lambda y: 2 * y).result
    assert returned(1) == 42


def test_a_file_that_is_read_arrives_as_what_is_left_in_it(place, tmp_path: Path):
    (tmp_path / "text").write_text("one\ntwo\n")
    with (tmp_path / "text").open() as file:
        file.readline()
        assert run(place, lambda x: x.read(), file).result == "two\n"


def test_a_file_that_is_written_is_refused(place, tmp_path: Path):
    with (tmp_path / "text").open("w") as file:
        assert "its input 'x' is a _io.TextIOWrapper" in refusal(place, lambda x: x, file)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (threading.Lock, "its input 'x' is a _thread.lock"),
        (lambda: (n for n in range(3)), "its input 'x' is a builtins.generator"),
        (lambda: {"rows": [1, {"guard": threading.Lock()}]}, "its input 'x'['rows'][1]['guard'] is a _thread.lock"),
        (lambda: sys._getframe(), "its input 'x' is a builtins.frame"),
    ],
)
def test_what_cannot_be_pickled_is_refused_by_the_path_to_it(place, make, said):
    assert said in refusal(place, lambda x: x, make())


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (lambda x: threading.Lock(), "what it emitted on 'output' is a _thread.lock"),
        (lambda x: {"rows": [threading.Lock()]}, "what it emitted on 'output'['rows'][0] is a _thread.lock"),
        (lambda x: open(os.devnull, "w"), "what it emitted on 'output' is a _io.TextIOWrapper"),  # noqa: PTH123, SIM115
    ],
)
def test_results_that_cannot_be_pickled_are_refused_by_the_path_to_them(place, handler, said):
    assert said in refusal(place, handler)


def test_a_handler_that_holds_what_cannot_be_pickled_is_refused_by_the_name_of_its_variable(place):
    guard = threading.Lock()

    def work(x):
        with guard:
            return x

    assert "its handler's variable 'guard' is a _thread.lock" in refusal(place, work)


def test_an_error_comes_back_with_what_it_came_of(place):
    def work(x):
        try:
            try:
                return {}[x]
            except KeyError:
                raise UnpicklableError(threading.Lock()) from None
        except UnpicklableError as broken:
            try:
                raise ValueError("meant") from broken
            except ValueError:
                return 1 // 0

    error = run(place, work).errors[0].error
    assert isinstance(error, ZeroDivisionError)
    assert error.__cause__ is None
    meant = error.__context__
    assert (type(meant), str(meant)) == (ValueError, "meant")
    assert isinstance(meant.__cause__, RemoteError)
    assert meant.__cause__.__cause__ is None


class UnpicklableError(Exception):
    pass


async def awaited(x):
    return x


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (lambda x: (n for n in range(3)), "returned a generator that nobody runs"),
        (lambda x: awaited(x), "returned a coroutine that nobody awaits"),
    ],
)
def test_what_was_not_run_is_a_mistake_there_as_anywhere(place, handler, said):
    (failure,) = run(place, handler).errors
    assert isinstance(failure.error, HandlerReturnError)
    assert f"Flow 'sending', routine 'work': its handler {said}" in failure.message


def test_values_that_contain_themselves_work_or_are_refused_by_a_short_path(place):
    ring: list[Any] = [1]
    ring.append(ring)
    found = run(place, lambda x: (x[1] is x, x), ring).result
    assert found[0]
    assert found[1][1] is found[1]
    knot: dict[str, Any] = {}
    knot.update(again=knot, guard=threading.Lock())
    assert "because its input 'x'['guard'] is a _thread.lock" in refusal(place, lambda x: x, knot)


def test_a_value_that_is_too_deep_is_refused_and_not_a_crash(place):
    deep: Any = None
    for _ in range(100_000):
        deep = [deep]
    job = run(place, lambda x: x, deep)
    assert job.status is JobStatus.FAILED
    assert "recursion" in job.errors[0].message
    while deep is not None:
        deep = deep[0]


@pytest.mark.timeout(300)
def test_a_large_value_arrives_and_comes_back_whole(place):
    data = bytes(1000) + b"x" * (LARGE - 2000) + bytes(1000)
    length, back = run(place, lambda x: (len(x), x), data).result
    assert length == LARGE
    assert back == data


def test_what_fails_to_be_sent_leaves_by_the_error_event_like_any_failure(place):
    caught = []
    flow = Flow("sending", **place)
    flow.add_routine(routine(lambda n: (yield from (1, threading.Lock(), 3))), "source", execution_mode="concurrent")
    flow.add_routine(lambda x: x, "work", error_strategy=Continue())
    flow.add_routine(lambda failure: caught.append(failure.kind), "caught", execution_mode="concurrent")
    flow.connect("source", "work")
    flow.connect("work", "error", "caught", "failure")
    job = flow.execute("source", {"n": 1})
    assert sorted(job.results["work"]) == [1, 3]
    assert caught == ["input"]


class FussyError(Exception):
    """Survives pickling, but not being read back."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def test_an_exception_that_cannot_come_back_is_stood_in_for(place):
    def work(x):
        raise FussyError(1, 2)

    (failure,) = run(place, work).errors
    assert isinstance(failure.error, RemoteError)
    assert "FussyError: 1 and 2 (a stand-in, because" in str(failure.error)
    assert failure.frames[-1][2] == "work"


# --- handlers that no module has


def python(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], input=given, capture_output=True, text=True, timeout=AT_ONCE, check=False
    )


HANDLERS = """
    from routilux import Flow, Routine, routine

    FACTOR = 3

    def helper(x):
        return FACTOR * x

    @routine
    def numbers(n):
        yield from range(n)

    @routine
    def tripled(x):
        return helper(x)

    class Sum(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=self.add)
            self.define_event("output")

        def add(self, x):
            self.state["sum"] = self.state.get("sum", 0) + x
            return self.state["sum"]
"""

EXECUTION = """
    flow = Flow("main", execution_mode="multiprocessing", max_workers=1)
    flow.chain(numbers, tripled, Sum())
    job = flow.execute("numbers", {"n": 4})
    print(job.status, sorted(job.results["Sum"]), [failure.message for failure in job.errors])
"""
EXPECTED = "completed [0, 3, 9, 18] []\n"


def test_handlers_of_a_script_need_no_guard(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(HANDLERS) + textwrap.dedent(EXECUTION))
    run = python(str(script))
    assert (run.stdout, run.stderr, run.returncode) == (EXPECTED, "", 0)


def test_handlers_of_a_program_from_standard_input_work():
    run = python("-", given=textwrap.dedent(HANDLERS) + textwrap.dedent(EXECUTION))
    assert (run.stdout, run.stderr, run.returncode) == (EXPECTED, "", 0)


def test_handlers_of_a_notebook_cell_work_and_can_be_defined_again():
    cells = [
        HANDLERS,
        EXECUTION,
        "FACTOR = 10",
        EXECUTION,
        "def helper(x):\n    return FACTOR * x + 1",
        EXECUTION,
    ]
    notebook = f"""
        import code, sys
        shell = code.InteractiveInterpreter(vars(sys.modules["__main__"]))
        for number, cell in enumerate({[textwrap.dedent(cell) for cell in cells]!r}):
            shell.runcode(compile(cell, f"<cell {{number}}>", "exec"))
    """
    run = python("-c", textwrap.dedent(notebook))
    assert run.stderr == ""
    assert run.stdout == EXPECTED + "completed [0, 10, 30, 60] []\n" + "completed [1, 12, 33, 64] []\n"


def test_a_global_of_a_script_that_cannot_be_sent_is_named(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import threading
            from routilux import Flow

            GUARD = threading.Lock()

            def work(x):
                with GUARD:
                    return x

            flow = Flow("main", execution_mode="multiprocessing", max_workers=1)
            flow.add_routine(work)
            print(flow.execute("work", {"x": 1}).errors[0].message)
        """)
    )
    run = python(str(script))
    assert run.stderr == ""
    assert "Flow 'main', routine 'work': its handler cannot be sent" in run.stdout
    assert "its handler's variable 'GUARD' is a _thread.lock" in run.stdout
    assert WAY_OUT in run.stdout


# --- what is missing, and who cannot be reached

WITHOUT = """
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {packages!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
    from routilux import Flow
    from routilux.errors import MissingExtraError

    flow = Flow("missing", execution_mode={mode!r}, cluster={cluster!r})
    flow.add_routine(lambda x: x, "work")
    try:
        if {progress!r}:
            list(flow.map("work", [{{"x": 1}}], progress=True))
        else:
            job = flow.execute("work", {{"x": 1}})
            job.raise_for_status()
    except MissingExtraError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("packages", "mode", "cluster", "said"),
    [
        (["distributed"], "distributed", "dask", "'distributed', which is not installed. .* 'routilux[dask]'"),
        (["ray"], "distributed", "ray", "'ray', which is not installed. .* 'routilux[ray]'"),
        (["distributed", "ray"], "distributed", "tcp://127.0.0.1:1", "'routilux[dask]'"),
        (["rich"], "sequential", None, "progress=True needs the package 'rich'.* 'routilux[cli]'"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_to_install(packages, mode, cluster, said):
    code = WITHOUT.format(packages=packages, mode=mode, cluster=cluster, progress=packages == ["rich"])
    run = python("-c", textwrap.dedent(code))
    assert run.stderr == ""
    for part in said.split(".*"):
        assert part in run.stdout
    assert "Install it with: pip install 'routilux[" in run.stdout


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ("tcp://127.0.0.1:1", "The Dask cluster at tcp://127.0.0.1:1 cannot be reached: .*refused"),
        ("ray://127.0.0.1:1", "The Ray cluster at ray://127.0.0.1:1 cannot be reached: .*refused"),
    ],
)
def test_a_cluster_that_cannot_be_reached_says_so_within_seconds(cluster, said):
    job = run({"execution_mode": "distributed", "cluster": cluster}, lambda x: x)
    assert job.status is JobStatus.FAILED
    with pytest.raises(ClusterError, match=said) as caught:
        job.raise_for_status()
    assert "Is it running, and is the address right?" in str(caught.value)
    assert "Flow 'sending', routine 'work'" in str(caught.value)


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ("tcp://10.1.2.3:8786", "Start it with TLS and use 'tls://...'"),
        ("tcp://scheduler:8786", "Start it with TLS"),
        ("ray://10.1.2.3:10001", "Set RAY_AUTH_MODE=token on both sides"),
    ],
)
def test_a_cluster_beyond_this_machine_that_is_not_protected_is_refused(cluster, said):
    with pytest.raises(ClusterError, match="is beyond this machine and not protected") as caught:
        run({"execution_mode": "distributed", "cluster": cluster}, lambda x: x)
    assert said in str(caught.value)
    assert "insecure_cluster=True" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cluster": "somewhere"}, "cluster='somewhere' does not say what it is: use 'tcp://host:port' for Dask"),
        ({"cluster": 3}, "cluster must be an address, a Dask client or cluster, or an executor, not 3"),
        ({"executor": 3}, "executor"),
        ({"cluster": "dask", "executor": 3}, "give one of them"),
    ],
)
def test_what_is_no_cluster_is_refused(settings, said):
    with pytest.raises(SettingError, match=said):
        run({"execution_mode": "distributed", **settings}, lambda x: x)


def test_workers_with_another_version_are_refused(settings_of, monkeypatch):
    monkeypatch.setattr(versions, "python_version", lambda: "3.9.1")
    job = run(settings_of["dask"], lambda x: x)
    with pytest.raises(
        ClusterError, match="The Dask workers do not fit this program: python 3.* on the workers, 3.9.1"
    ):
        job.raise_for_status()
    assert "Flow 'sending', routine 'work'" in job.errors[0].message
    assert "install the same versions on both sides" in job.errors[0].message


def test_missing_extras_and_clusters_are_errors_of_their_own():
    assert issubclass(MissingExtraError, ImportError)
    assert not issubclass(ClusterError, MissingExtraError)
