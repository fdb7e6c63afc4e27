"""F1, F2, F5, F10, F11: what handlers do to an engine that stores their jobs."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from routilux import Continue, Flow, Retry, Skip, Stop, routine
from routilux.errors import PayloadError
from routilux.facts import FailureKind, Settled
from routilux.stores.check import check
from tests.faults import hangs
from tests.faults.auditor import facts_of
from tests.faults.deaths import DEATHS, dying, items
from tests.faults.trials import PATIENCE, Trials

MODES = ["sequential", "concurrent", "asyncio", "multiprocessing", "distributed"]

pytestmark = pytest.mark.timeout(PATIENCE)


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class UnpicklableError(Exception):
    def __reduce__(self):
        raise TypeError("it does not travel")


class UnloadableError(Exception):
    def __init__(self, one, two):
        super().__init__(one)


class HoldingError(Exception):
    """Has something that is in no file."""

    def __init__(self):
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


class GreedyError(Exception):
    def __getattribute__(self, name):
        if name == "args":
            raise ValueError("nothing to see")
        return super().__getattribute__(name)


def chained():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise OSError(5, "second") from error


def cyclic():
    error = ValueError("its own cause")
    error.__cause__ = error
    raise error


def deep():
    return deep() + 1


KINDS = {
    "value": lambda: (_ for _ in ()).throw(ValueError("no")),
    "without text": lambda: _raise(UnprintableError()),
    "that does not travel": lambda: _raise(UnpicklableError("x")),
    "that does not arrive": lambda: _raise(UnloadableError(1, 2)),
    "with a lock": lambda: _raise(HoldingError()),
    "that hides": lambda: _raise(GreedyError("x")),
    "chained": chained,
    "its own cause": cyclic,
    "10 MB": lambda: _raise(ValueError("x" * 10_000_000)),
    "group": lambda: _raise(ExceptionGroup("two", [ValueError(1), ExceptionGroup("in it", [OSError(2)])])),
    "end of an iteration": lambda: _raise(StopIteration(1)),
    "end of an asynchronous iteration": lambda: _raise(StopAsyncIteration()),
    "recursion": deep,
    "memory": lambda: _raise(MemoryError()),
    "assertion": lambda: _raise(AssertionError()),
    "of the system": lambda: _raise(FileNotFoundError(2, "nowhere", "a\udcff")),
    "lone surrogate": lambda: _raise(ValueError("\ud800")),
    "decoding": lambda: b"\xff".decode(),
    "timeout": lambda: _raise(TimeoutError()),
    "of a class made here": lambda: _raise(type("Local", (Exception,), {})("x")),
}


def _raise(error):
    raise error


@routine
def kinds(names: list):
    yield from names


def raising(name: str):
    KINDS[name]()


def failing(mode: str, cluster: str | None, path: Path, strategy) -> Flow:
    settings = {"execution_mode": mode, "cluster": cluster, "max_workers": 2, "max_history_size": None}
    flow = Flow("failing", store=path, durability="process", **settings)
    flow.add_routine(kinds)
    flow.add_routine(raising, "raising", error_strategy=strategy)
    flow.connect("kinds", "raising")
    return flow


STRATEGIES = {"skip": Skip(), "continue": Continue(), "retry": Retry(2, delay=0.001, then=Skip())}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("named", STRATEGIES)
def test_whatever_a_handler_raises_is_one_failure_that_is_kept(
    named: str, mode: str, cluster: str | None, trials: Trials, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.db"
    with failing(mode, cluster, path, STRATEGIES[named]) as flow:
        job = flow.execute("kinds", {"names": list(KINDS)}, key="once")
        assert job.status == "completed"
        assert job.error_count == len(KINDS)
    with failing(mode, cluster, path, STRATEGIES[named]) as flow:
        again = flow.execute("kinds", {"names": list(KINDS)}, key="once")
        assert (again.status, again.error_count) == (job.status, job.error_count)
        assert {one.kind for one in again.errors} == {FailureKind.ERROR}
    facts = facts_of(path)[1]
    attempts = Counter(one.activation_id for one in facts if isinstance(one, Settled) and one.error is not None)
    assert set(attempts.values()) == {3 if named == "retry" else 1}
    assert check(path).whole
    assert path.stat().st_size + path.with_name("jobs.db-wal").stat().st_size < 8_000_000, "an error is bounded"
    trials.counted("F1 raises", mode, len(KINDS))


@pytest.mark.parametrize("mode", MODES)
def test_whatever_stops_a_job_is_raised_again_also_from_its_store(
    mode: str, cluster: str | None, trials: Trials, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.db"
    names = list(KINDS)[:5] if mode in ("multiprocessing", "distributed") else list(KINDS)
    for reads in (False, True):
        with failing(mode, cluster, path, Stop()) as flow:
            for name in names:
                job = flow.execute("kinds", {"names": [name]}, key=name)
                assert job.status == "failed", (name, reads)
                with pytest.raises(Exception):  # noqa: B017 - which one is what the kinds are about
                    job.raise_for_status()
    trials.counted("F1 raises", mode, len(names))


@pytest.mark.parametrize("mode", MODES)
def test_what_hangs_is_given_up_and_its_neighbours_go_on(mode: str, cluster: str | None, trials: Trials) -> None:
    processes, there = mode == "multiprocessing", mode == "distributed"

    def trial(chance: Random, folder: Path) -> None:
        count = 12
        unlucky = sorted(chance.sample(range(count), chance.randint(1, 2)))
        ways = hangs.HANGS.get(mode, hangs.ANY)
        kind = chance.choice(list(ways))
        # In a process the time counts from when it is told, and the first must load what it runs.
        timeout = 2 if processes else chance.uniform(0.3, 0.5)
        # What has the GIL for so long has its neighbours on other threads take too long as well.
        at_once = 1 if kind == "native" else 2 if processes else 4
        # In asyncio mode plain functions run on threads.
        workers = dict.fromkeys((mode, "concurrent"), at_once)

        def build() -> Flow:
            settings = {"durability": "process", "execution_mode": mode, "cluster": cluster}
            flow = Flow("hanging", store=folder / "jobs.db", max_workers=workers, **settings)
            flow.add_routine(hangs.items, "items")
            flow.add_routine(ways[kind], "slow", timeout=timeout, error_strategy=Skip())
            flow.connect("items", "slow")
            return flow

        for _ in range(2):
            with build() as flow:
                job = flow.execute("items", {"count": count, "unlucky": unlucky}, key="once")
                assert job.status == "completed"
                assert {one.kind for one in job.errors} == {FailureKind.TIMEOUT}, kind
                found = set(job.results["slow"])
                if there:  # Nothing is stopped: what a worker has before it behind what hangs may be late as well.
                    assert found <= set(range(count)) - set(unlucky), kind
                    assert job.error_count == count - len(found)
                else:
                    assert found == set(range(count)) - set(unlucky), kind
                    assert job.error_count == len(unlucky)

    trials("F2 hangs", mode, trial, ci=5 if there else 20, nightly=50 if there else 200)


@pytest.mark.parametrize("mode", ["multiprocessing", "distributed"])
def test_a_worker_that_dies_costs_only_what_it_ran(mode: str, cluster: str | None, trials: Trials) -> None:
    there = mode == "distributed"
    # A worker of Dask has threads of its own, which without memory end in ways of theirs.
    ways = [way for way in DEATHS if not there or way != "memory"]

    def trial(chance: Random, folder: Path) -> None:
        count, deaths = 20 if there else 40, chance.choice([1, 3, 9])
        asked = {
            "count": count,
            "unlucky": chance.randrange(count),
            "deaths": deaths,
            "how": chance.choice(ways),
        }
        with Flow("dying", store=folder / "jobs.db", durability="process", max_workers=2, cluster=cluster) as flow:
            flow.add_routine(items)
            flow.add_routine(dying, execution_mode=mode, error_strategy=Skip())
            flow.connect("items", "dying")
            job = flow.execute("items", asked, key="once")
            assert job.status == "completed"
            starves = asked["how"] == "memory"  # an error like any other: nobody died
            lost = {asked["unlucky"]} if deaths > 3 or starves else set()
            assert set(job.results["dying"]) == set(range(count)) - lost
        settled = [one for one in facts_of(folder / "jobs.db")[1] if isinstance(one, Settled) and not one.more]
        failed = Counter(one.activation_id for one in settled if one.error is not None)
        most = 1 if starves else min(deaths, 4)
        if there:  # It is not known how far a batch had got: what travelled along has run again, and is not given up.
            assert max(failed.values()) == most
        else:
            assert list(failed.values()) == [most], "a neighbour was blamed"

    trials("F5 worker dies", mode, trial, ci=10 if there else 100, nightly=100 if there else 2000)


def nested(depth: int):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


BAD = {
    "a lock": threading.Lock,
    "a lambda": lambda: lambda: 1,
    "deep": lambda: nested(100_000),
    "in it": lambda: {"rows": [1, {"conn": threading.Lock()}]},
    "itself": lambda: _itself(),
    "a class": lambda: UnprintableError,
}
GOOD = {
    "2^70": lambda: 2**70,
    "infinite": lambda: float("inf"),
    "bytes": lambda: bytes(range(256)),
    "set": lambda: {1, "a", (2, 3)},
    "keys": lambda: {1: "a", "$": {"$": 1}, (1, 2): 3},
    "empty": lambda: [[], {}, (), set(), "", b""],
}


def _itself():
    value: list = []
    value.append(value)
    return value


def making(name: str):
    return (BAD | GOOD)[name]()


@pytest.mark.parametrize("mode", MODES)
def test_a_value_is_stored_as_it_is_or_is_a_failure_that_names_it(
    mode: str, cluster: str | None, trials: Trials, tmp_path: Path
) -> None:
    def build() -> Flow:
        settings = {"execution_mode": mode, "cluster": cluster, "max_workers": 2, "error_strategy": Skip()}
        flow = Flow("values", store=tmp_path / "jobs.db", **settings)
        flow.add_routine(kinds)
        flow.add_routine(making, "making")
        flow.connect("kinds", "making")
        return flow

    for _ in range(2):
        with build() as flow:
            job = flow.execute("kinds", {"names": [*BAD, *GOOD]}, key="once")
        assert job.status == "completed"
        assert job.error_count == len(BAD)
        expected = [make() for make in GOOD.values()]
        found = job.results["making"]
        assert len(found) == len(expected)
        assert all(value in found for value in expected)
    trials.counted("F10 values", mode, len(BAD) + len(GOOD))


@pytest.mark.parametrize("mode", MODES)
def test_limits_of_large_values_are_exact(mode: str, cluster: str | None, trials: Trials, tmp_path: Path) -> None:
    most = 2_000_000
    sizes = [1, 256 * 1024 - 3, 256 * 1024, most - 2, most]

    def build() -> Flow:
        settings = {"execution_mode": mode, "cluster": cluster, "max_workers": 2, "error_strategy": Skip()}
        flow = Flow("large", store=tmp_path / "jobs.db", max_payload=most, **settings)
        flow.add_routine(kinds)
        flow.add_routine(large, "large")
        flow.connect("kinds", "large")
        return flow

    for _ in range(2):
        with build() as flow:
            job = flow.execute("kinds", {"names": sizes}, key="once")
        assert sorted(map(len, job.results["large"])) == sizes[:-1]
        assert [type(one.error) for one in job.errors if isinstance(one.error, PayloadError)] != []
    found = check(tmp_path / "jobs.db")
    assert found.whole
    assert found.orphaned_blobs == ()
    trials.counted("F11 large", mode, len(sizes))


def large(size: int):
    return "x" * size
