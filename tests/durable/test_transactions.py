"""What a handler writes in `ctx.transaction()` is there exactly if its outcome counts, in every mode."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import pytest

from routilux import Context, Continue, Flow, Routine, Skip, collect, routine
from routilux.errors import PayloadError, PayloadTooLargeError, SettingError, TransactionError
from routilux.stores.check import check
from routilux.stores.sqlite.store import open_store

MODES = ["sequential", "concurrent", "asyncio", "multiprocessing"]
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
HERE = pytest.mark.parametrize("mode", MODES[:3])
INSERT = "INSERT INTO orders VALUES (?, ?)"


@routine
def numbers(count: int, ctx: Context):
    with ctx.transaction() as sql:
        sql.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, attempt INTEGER)")
    yield from range(count)


def written(path: Path) -> list[tuple[int, int]]:
    """What somebody else sees."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT * FROM orders ORDER BY id").fetchall()


def build(path: Path, handler, mode: str, *further, options=None, **settings) -> Flow:
    workers = None if mode == "sequential" else 3
    flow = Flow("orders", store=path, execution_mode=mode, max_workers=workers, **settings)
    flow.chain(numbers, flow.add_routine(routine(**(options or {}))(handler), "save"), *further)
    return flow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@EVERY_MODE
@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_a_handler_writes_is_there_once_with_its_outcome(mode, durability, path):
    @routine(fires=collect())
    def total(saved: list[int]) -> int:
        return sum(saved)

    def save(number: int, ctx: Context) -> int:
        with ctx.transaction() as sql:
            sql.execute("INSERT INTO orders VALUES (?, ?)", (number, ctx.attempt))
        return number

    with build(path, save, mode, total, durability=durability) as flow:
        job = flow.execute("numbers", {"count": 60})
        job.raise_for_status()
        assert job.result == sum(range(60))
    assert written(path) == [(number, 1) for number in range(60)]
    assert check(path).whole


@EVERY_MODE
def test_an_attempt_that_fails_writes_nothing(mode, path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute("INSERT INTO orders VALUES (?, ?)", (number, ctx.attempt))
        if number % 3 == 1 and ctx.attempt == 1:
            raise ConnectionError("try again")
        if number % 3 == 2:
            raise ValueError("never")

    options = {"retries": 1}
    with build(path, save, mode, options=options, error_strategy=Continue()) as flow:
        job = flow.execute("numbers", {"count": 30})
        assert job.error_count == 10
    assert written(path) == [(number, 1 + number % 3) for number in range(30) if number % 3 != 2]


@EVERY_MODE
def test_a_statement_that_is_refused_fails_that_attempt_and_its_strategy_decides(mode, path):
    def save(number: int, ctx: Context) -> int:
        with ctx.transaction() as sql:
            sql.execute("INSERT INTO orders VALUES (?, ?)", (1000 + number, ctx.attempt))
            again = number % 2 and ctx.attempt == 1
            sql.execute("INSERT INTO orders VALUES (?, ?)", (1000 + number if again or number == 9 else number, 0))
        return number

    options = {"retries": 1}
    with build(path, save, mode, options=options, error_strategy=Skip()) as flow:
        job = flow.execute("numbers", {"count": 20})
        assert str(job.status) == "completed"
        (failure,) = job.errors
        assert (failure.attempt, type(failure.error)) == (2, TransactionError)
        assert failure.message.startswith("TransactionError: Flow 'orders', routine 'save': what it wrote in ctx.trans")
        assert "UNIQUE constraint failed: orders.id" in failure.message
        assert "INSERT INTO orders VALUES (?, ?)" in failure.message
        assert job.job_id in failure.message
        left = sorted(job.results["save"])
    ids = [one for one, _ in written(path)]
    assert len(left) == 19
    assert sorted(one - 1000 for one in ids if one >= 1000) == left
    assert sum(one < 1000 for one in ids) == 19


@EVERY_MODE
def test_a_refused_statement_stops_a_job_whose_strategy_says_so(mode, path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute("INSERT INTO nowhere VALUES (?)", (number,))

    with build(path, save, mode) as flow:
        job = flow.execute("numbers", {"count": 1})
        with pytest.raises(TransactionError, match="no such table: nowhere"):
            job.raise_for_status()
    with build(path, save, mode) as flow:
        (again,) = flow.recover([job.job_id], retry_failed=True)
        again.wait()
        assert "no such table: nowhere" in str(again.errors[0])


@HERE
def test_a_timed_out_attempt_writes_nothing(mode, path):
    goes_on = threading.Event()

    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(INSERT, (number, ctx.attempt))
        if ctx.attempt == 1:
            if mode == "asyncio":
                return  # what waits on the loop is cancelled: see the next test
            goes_on.wait(0.3)

    options = {"timeout": 0.1, "retries": 1}
    with build(path, save, mode, options=options) as flow:
        flow.execute("numbers", {"count": 2}).raise_for_status()
    assert written(path) == [(number, 1 if mode == "asyncio" else 2) for number in range(2)]


def test_a_cancelled_coroutine_writes_nothing(path):
    async def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(INSERT, (number, ctx.attempt))
        if ctx.attempt == 1:
            await asyncio.sleep(20)

    with build(path, save, "asyncio", options={"timeout": 0.05, "retries": 1}) as flow:
        flow.execute("numbers", {"count": 5}).raise_for_status()
    assert written(path) == [(number, 2) for number in range(5)]


@HERE
def test_what_ends_after_its_job_was_cancelled_writes_nothing(mode, path):
    begun, goes_on = threading.Event(), threading.Event()

    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(INSERT, (number, ctx.attempt))
        if number == 1:
            begun.set()
            goes_on.wait(20)

    with build(path, save, mode) as flow:
        job = flow.start("numbers", {"count": 2})
        begun.wait(20)
        threading.Timer(0.1, goes_on.set).start()
        job.cancel("enough")
        job.wait()
        assert str(job.status) == "cancelled"
    assert written(path) in ([], [(0, 1)])


def test_what_ends_after_its_job_has_failed_writes_nothing_until_the_job_is_revived(path):
    begun, failed, broken = threading.Event(), threading.Event(), {"is": True}

    def save(number: int, ctx: Context) -> int:
        with ctx.transaction() as sql:
            sql.execute(INSERT, (number, ctx.attempt))
        if broken["is"] and number == 0:
            begun.set()
            failed.wait(20)
        if broken["is"] and number == 1:
            begun.wait(20)
            raise ValueError("stops the job")
        return number

    with build(path, save, "concurrent") as flow:
        job = flow.start("numbers", {"count": 2})
        while not job.error_count:
            time.sleep(0.001)
        failed.set()
        job.wait()
        assert str(job.status) == "failed"
        assert any("its job had failed before" in str(one) for one in job.errors)
    assert written(path) == []
    broken["is"] = False
    with build(path, save, "concurrent") as flow:
        (again,) = flow.recover([job.job_id], retry_failed=True)
        again.wait()
        again.raise_for_status()
        assert sorted(again.results["save"]) == [0, 1]
    assert [one for one, _ in written(path)] == [0, 1]


def test_nothing_is_written_after_what_stops_the_job(path):
    together = threading.Barrier(2)

    @routine
    def saves(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(INSERT, (ctx.job_id, ctx.attempt))
        together.wait(20)

    @routine
    def stops(number: int):
        together.wait(20)
        raise ValueError("stops the job")

    @routine
    def both(number: int, ctx: Context) -> int:
        with ctx.transaction() as sql:
            sql.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT, attempt INTEGER)")
        return number

    flow = Flow("orders", store=path, execution_mode="concurrent", max_workers=2)
    for one in (both, saves, stops):
        flow.add_routine(one)
    flow.connect("both", "saves")
    flow.connect("both", "stops")
    with flow:
        jobs = [flow.execute("both", {"number": number}) for number in range(60)]
    assert {str(job.status) for job in jobs} == {"failed"}
    rows = Counter(job_id for job_id, _ in written(path))
    with open_store(path, read_only=True) as store:
        for job in jobs:
            bodies = [one.entry.body for one in store.entries(job.job_id)]
            wrote = [at for at, body in enumerate(bodies) if b'"q":1' in body and b'"r":"saves"' in body]
            stop = next(at for at, body in enumerate(bodies) if b"stops the job" in body)
            assert rows[job.job_id] == len(wrote)
            assert all(at < stop for at in wrote)


@EVERY_MODE
def test_a_generator_writes_with_each_value_and_passes_over_what_it_wrote(mode, path, tmp_path):
    log = tmp_path / "log"

    def save(number: int, ctx: Context):
        for part in range(5):
            with ctx.transaction() as sql:
                sql.execute("INSERT INTO orders VALUES (?, ?)", (number * 10 + part, ctx.attempt))
            if part == 3 and ctx.attempt == 1:
                raise ConnectionError("try again")
            yield part
        with log.open("a") as lines:
            lines.write("end\n")
        with ctx.transaction() as sql:
            sql.execute("INSERT INTO orders VALUES (?, ?)", (number * 10 + 5, ctx.attempt))

    with build(path, save, mode, options={"retries": 1}) as flow:
        job = flow.execute("numbers", {"count": 4})
        job.raise_for_status()
        assert Counter(job.results["save"]) == Counter(dict.fromkeys(range(5), 4))
    wanted = [(number * 10 + part, 1 if part < 3 else 2) for number in range(4) for part in range(6)]
    assert written(path) == wanted


@EVERY_MODE
def test_a_class_writes_through_its_context(mode, path):
    class Save(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("number", handler=self.save)

        def save(self, number: int):
            self.state["sum"] = self.state.get("sum", 0) + number
            with self.context.transaction() as sql:
                sql.execute("INSERT INTO orders VALUES (?, ?)", (number, self.state["sum"]))

    flow = Flow("orders", store=path, execution_mode=mode, max_workers=None if mode == "sequential" else 3)
    flow.chain(numbers, flow.add_routine(Save(), "save"))
    with flow:
        flow.execute("numbers", {"count": 10}).raise_for_status()
    assert max(total for _, total in written(path)) == sum(range(10))


def test_what_runs_on_a_cluster_writes_as_anything_else(path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute("INSERT INTO orders VALUES (?, ?)", (number, ctx.attempt))
        if ctx.attempt == 1:
            raise ConnectionError("try again")

    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        flow = Flow("orders", store=path, execution_mode="distributed", executor=executor)
        flow.chain(numbers, flow.add_routine(routine(retries=1)(save), "save"))
        with flow:
            flow.execute("numbers", {"count": 20}).raise_for_status()
    assert written(path) == [(number, 2) for number in range(20)]


def test_many_rows_at_once_and_a_block_that_is_left_by_an_exception(path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.executemany("INSERT INTO orders VALUES (:id, :attempt)", ({"id": n, "attempt": 0} for n in range(500)))
            sql.executemany("INSERT INTO orders VALUES (?, ?)", [])
        try:
            with ctx.transaction() as sql:
                sql.execute(INSERT, (1000, 0))
                raise LookupError
        except LookupError:
            pass

    with build(path, save, "sequential") as flow:
        flow.execute("numbers", {"count": 1}).raise_for_status()
    assert [one for one, _ in written(path)] == list(range(500))


def test_a_key_is_submitted_once_and_writes_once(path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(INSERT, (number, 0))

    for _ in range(2):
        with build(path, save, "sequential") as flow:
            flow.execute("numbers", {"count": 3}, key="once").raise_for_status()
    assert [one for one, _ in written(path)] == [0, 1, 2]


@EVERY_MODE
def test_without_a_store_there_is_no_transaction(mode):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(INSERT, (number, 0))

    flow = Flow("plain", execution_mode=mode, max_workers=None if mode == "sequential" else 2)
    flow.add_routine(routine(save), "save")
    with flow:
        job = flow.execute("save", {"number": 1})
    with pytest.raises(SettingError, match=r"Flow 'plain', routine 'save': ctx.transaction\(\) .* store=\"jobs.db\""):
        job.raise_for_status()


def test_a_job_of_a_flow_with_a_store_may_have_none(path):
    def save(number: int, ctx: Context):
        ctx.transaction()

    with build(path, save, "sequential") as flow:
        job = flow.execute("numbers", {"count": 1}, store=None)
        assert isinstance(job.errors[0].error, SettingError)


@pytest.mark.parametrize(
    ("statement", "parameters", "kind", "says"),
    [
        (INSERT, (1, Decimal(1)), PayloadError, "parameter 1: a decimal.Decimal cannot be written"),
        (INSERT, (2**63, 1), PayloadError, "parameter 0: a whole number of more than 64 bits"),
        (INSERT, (float("nan"), 1), PayloadError, "parameter 0: nan is no value of SQL"),
        (INSERT, ("\ud800", 1), PayloadError, "parameter 0: it is no text of Unicode"),
        (INSERT, {"a": []}, PayloadError, "parameter 'a': a builtins.list cannot be written"),
        (INSERT, {1: 1}, PayloadError, "parameters are named by texts"),
        (INSERT, "ab", PayloadError, "parameters are a tuple, a list or a mapping, not str"),
        (INSERT, 7, PayloadError, "parameters are a tuple, a list or a mapping, not int"),
        (INSERT, (1, "x" * 2000), PayloadTooLargeError, "more bytes than max_payload"),
        (None, (), TransactionError, "a statement is a text, not NoneType"),
        ("", (), TransactionError, "'' cannot be executed with an outcome"),
        ("SELECT 1", (), TransactionError, "cannot be executed with an outcome"),
        ("-- INSERT\nPRAGMA x", (), TransactionError, "cannot be executed with an outcome"),
        ("COMMIT", (), TransactionError, "cannot be executed with an outcome"),
        ("CREATE TEMP TABLE x (y)", (), TransactionError, "cannot be executed with an outcome"),
        ("CREATE TRIGGER x AFTER INSERT ON y BEGIN SELECT 1; END", (), TransactionError, "one statement at a time"),
        ("INSERT INTO a VALUES (1); DROP TABLE a", (), TransactionError, "one statement at a time"),
    ],
)
def test_what_cannot_be_written_is_an_error_in_the_handler(statement, parameters, kind, says, path):
    seen = []

    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            try:
                sql.execute(statement, parameters)
            except kind as error:
                seen.append(str(error))
                raise

    with build(path, save, "sequential", max_payload=1000) as flow:
        job = flow.execute("numbers", {"count": 1})
        assert type(job.errors[0].error) is kind
    assert seen[0].startswith("Flow 'orders', routine 'save'")
    assert says in seen[0]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into orders values (1, 'a;b')",
        "INSERT INTO orders VALUES (1, 2) ;  -- one; two",
        '/* ; */ WITH x AS (SELECT 1) INSERT INTO orders SELECT 1, 2 FROM "x"',
        "  Create\n unique  Index i ON orders (id)",
    ],
)
def test_what_is_one_statement_is_taken(statement, path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.execute(statement)

    with build(path, save, "sequential") as flow:
        flow.execute("numbers", {"count": 1}).raise_for_status()


def test_a_transaction_is_a_block_within_its_handler(path):
    kept = []

    def save(number: int, ctx: Context):
        sql = ctx.transaction()
        with pytest.raises(TransactionError, match="inside its block"):
            sql.execute(INSERT, (1, 1))
        with ctx.transaction() as done:
            pass
        with pytest.raises(TransactionError, match="inside its block"):
            done.execute(INSERT, (1, 1))
        late = ctx.transaction()
        kept.append(late.__enter__())
        kept[0].execute(INSERT, (1, 1))

    with build(path, save, "sequential") as flow:
        flow.execute("numbers", {"count": 1}).raise_for_status()
        with pytest.raises(TransactionError, match="ended after the handler had"):
            kept[0].__exit__(None, None, None)
    assert written(path) == []


def test_an_outcome_says_how_much_was_written_with_it(path):
    def save(number: int, ctx: Context):
        with ctx.transaction() as sql:
            sql.executemany(INSERT, [(number * 10 + row, 0) for row in range(3)])

    with build(path, save, "sequential") as flow:
        flow.execute("numbers", {"count": 2}).raise_for_status()
    with open_store(path, read_only=True) as store:
        (job,) = store.jobs()
        bodies = [one.entry.body for one in store.entries(job.job_id)]
    assert sum(b'"q":3' in body for body in bodies) == 2


PROGRAM = """
import sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from tests.durable.test_transactions import build, INSERT
from routilux import Context

def save(number: int, ctx: Context):
    with ctx.transaction() as sql:
        sql.execute(INSERT, (number, ctx.attempt))
    time.sleep(0.0005)

if __name__ == "__main__":
    with build(Path(sys.argv[2]), save, sys.argv[3], options={"crash_retries": 50}) as flow:
        print("ready", flush=True)
        flow.execute("numbers", {"count": 200}, key="once").raise_for_status()
"""


@HERE
def test_kills_at_any_moment_write_nothing_twice_and_lose_nothing(mode, path, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = str(Path(__file__).parents[2])
    for kill in range(5):
        command = [sys.executable, str(program), root, str(path), mode]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(60 if kill == 4 else 0.02 + 0.03 * kill)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == 0
    assert [one for one, _ in written(path)] == list(range(200))
    assert check(path).whole
