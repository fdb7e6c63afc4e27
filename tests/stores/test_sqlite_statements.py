"""Statements with entries, in the file of a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from routilux.errors import TransactionError
from routilux.stores.check import check
from routilux.stores.port import Durability
from routilux.stores.sqlite.store import open_store
from tests.stores.contract import OpenAgain, kept, new_job, numbered
from tests.stores.statements import *  # noqa: F403
from tests.stores.statements import Database, ready


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> OpenAgain:
    return partial(open_store, tmp_path / "jobs.db", request.param)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    def rows(question: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{tmp_path}/jobs.db?mode=ro", uri=True)) as connection:
            return connection.execute(question).fetchall()

    return Database("?", rows, "jobs")


@pytest.fixture
def overtake(tmp_path: Path) -> Callable[[], object]:
    def overtake() -> None:
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            connection.execute("UPDATE owner SET epoch = epoch + 1")

    return overtake


def test_a_conflict_that_takes_back_the_whole_transaction_takes_back_its_own_part_only(
    open_again: OpenAgain, database: Database
) -> None:
    answers: list[bool] = []
    with open_again() as store:
        ready(store)
        for number in range(40):
            text = "INSERT OR ROLLBACK INTO orders VALUES (?, ?)"
            rows = [(number, ""), (number if number % 5 == 2 else -1 - number, "")]
            store.append("job", numbered(1, 1 + number), lambda error: answers.append(error is None), [(text, rows)])
        store.flush()
        whole = [number for number in range(40) if number % 5 != 2]
        assert [number for number, written in enumerate(answers) if written] == whole
        assert database.ids == sorted([*whole, *(-1 - number for number in whole)])
        assert kept(store)[2:] == [numbered(1, 1 + number)[0] for number in whole]


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA synchronous = OFF",
        "PRAGMA writable_schema = ON",
        "ATTACH 'other.db' AS other",
        "SAVEPOINT mine",
        "ROLLBACK TO theirs",
        "END",
        "CREATE TEMP TABLE jobs (number int)",
        "DELETE FROM sqlite_schema",
        "DROP INDEX keys",
        "CREATE TRIGGER mine AFTER INSERT ON facts BEGIN DELETE FROM orders; END",
    ],
)
def test_only_tables_of_this_file_that_are_not_the_stores_can_be_changed(
    open_again: OpenAgain, database: Database, statement: str
) -> None:
    with open_again() as store:
        ready(store)
        with pytest.raises(TransactionError):
            store.write("job", numbered(1, 1), [(statement, [()])])
        store.write("job", numbered(1, 1), [(database.insert, [(3, "")])])
        assert (database.ids, kept(store)[1:]) == ([3], numbered(2))


def test_a_column_may_be_called_as_a_table_of_the_store(open_again: OpenAgain, database: Database) -> None:
    with open_again() as store:
        ready(store)
        table = "CREATE TABLE mine (owner text, jobs int, facts text, keys text)"
        written = [(table, [()]), ("INSERT INTO mine VALUES ('me', 1, '', '')", [()])]
        store.write("job", numbered(1, 1), [*written, ("UPDATE mine SET jobs = jobs + 1 WHERE owner = 'me'", [()])])
        store.write("job", numbered(1, 2), [("ALTER TABLE mine RENAME TO yours", [()])])
        assert database.rows("SELECT jobs FROM yours") == [(2,)]


def test_a_store_with_other_tables_is_whole_and_its_log_is_worked_in(open_again: OpenAgain, tmp_path: Path) -> None:
    with open_again() as store:
        ready(store)
        for number in range(30):
            written = ("INSERT INTO orders VALUES (?, ?)", [(number * 100 + row, "x" * 5000) for row in range(100)])
            store.write("job", numbered(1, 1 + number), [written])
        assert (tmp_path / "jobs.db-wal").stat().st_size < 12_000_000
        store.submit(new_job("other"))
    assert check(tmp_path / "jobs.db").whole
