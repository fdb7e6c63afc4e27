"""What every store does with the statements that are to be executed with entries.

A file of tests takes these in, and has the fixtures `open_again` and `database`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from routilux.errors import FencedError, StoreError, TransactionError, UnknownJobError
from routilux.stores.port import Store
from tests.stores.contract import OpenAgain, kept, new_job, numbered


class Database(NamedTuple):
    """Where the statements of a test go."""

    mark: str
    """What stands for a parameter."""
    rows: Callable[[str], list[tuple[Any, ...]]]
    """What somebody else sees, who asks a question."""
    own: str
    """How a handler would name the table of jobs of the store."""

    @property
    def insert(self) -> str:
        return f"INSERT INTO orders VALUES ({self.mark}, {self.mark})"

    @property
    def ids(self) -> list[int]:
        return [one for (one,) in self.rows("SELECT id FROM orders ORDER BY id")]


TABLE = ("CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, what text)", [()])


def ready(store: Store) -> None:
    """A store with a job, and a table that is not its own."""
    store.submit(new_job())
    store.write("job", numbered(1), [TABLE])


def test_what_is_executed_with_entries_is_there_with_them(open_again: OpenAgain, database: Database) -> None:
    with open_again() as store:
        ready(store)
        assert database.ids == []
        store.write("job", numbered(1, 1), [(database.insert, [(1, "one"), (2, None)]), (database.insert, [(3, "ü")])])
        assert database.rows("SELECT * FROM orders ORDER BY id") == [(1, "one"), (2, None), (3, "ü")]
        assert kept(store)[1:] == numbered(2)
    with open_again() as store:
        assert kept(store)[1:] == numbered(2)
        assert database.ids == [1, 2, 3]


def test_parameters_may_be_named_and_of_every_plain_kind(open_again: OpenAgain, database: Database) -> None:
    with open_again() as store:
        ready(store)
        kinds = "CREATE TABLE kinds (whole bigint, real double precision, raw " + (
            "bytea)" if database.mark == "%s" else "blob)"
        )
        place = "%({})s" if database.mark == "%s" else ":{}"
        named = f"INSERT INTO kinds VALUES ({', '.join(map(place.format, ('whole', 'real', 'raw')))})"
        values = {"whole": 2**62, "real": 0.5, "raw": b"\0\xff"}
        store.write("job", numbered(1, 1), [(kinds, [()]), (named, [values])])
        assert [(one[0], one[1], bytes(one[2])) for one in database.rows("SELECT * FROM kinds")] == [
            (2**62, 0.5, b"\0\xff")
        ]


def test_what_is_refused_takes_its_entries_along_and_nothing_else(open_again: OpenAgain, database: Database) -> None:
    answers: list[StoreError | None] = []
    with open_again() as store:
        ready(store)
        store.submit(new_job("other"))
        for number in range(60):
            wrong = number % 3 == 1
            written = [(database.insert, [(number, "")]), (database.insert, [(number if wrong else -1 - number, "")])]
            store.append(("job", "other")[number % 2], numbered(1, 1 + number), answers.append, written)
        store.flush()
        whole = [number for number in range(60) if number % 3 != 1]
        assert [number for number, error in enumerate(answers) if error is None] == whole
        refused = [error for error in answers if error is not None]
        assert {type(error) for error in refused} == {TransactionError}
        assert "INSERT INTO orders" in str(refused[0])
        assert str(refused[0]).startswith(("Job job:", "Job other:"))
        assert refused[0].__cause__ is not None
        assert database.ids == sorted([*whole, *(-1 - number for number in whole)])
        assert kept(store)[2:] == [numbered(1, 1 + number)[0] for number in whole if number % 2 == 0]
        assert kept(store, "other")[1:] == [numbered(1, 1 + number)[0] for number in whole if number % 2 == 1]
        store.write("job", numbered(1, 100))
    with open_again() as store:
        assert kept(store)[-1:] == numbered(1, 100)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO nowhere VALUES (1)",
        "INSERT INTO orders VALUES (1, 2, 3)",
        "INSERT INTO orders (id) SELECT x",
        "nonsense",
        "COMMIT; BEGIN",
        "INSERT INTO orders (id) VALUES (1); INSERT INTO orders (id) VALUES (2)",
        "INSERT INTO orders (id, what) VALUES (1, {mark}",
        "INSERT INTO orders (id, what) VALUES ({mark}, {mark})",
        "DELETE FROM {own}",
        "UPDATE {own} SET status = 'completed'",
        "INSERT INTO orders (id) SELECT number FROM {own}",
        "ALTER TABLE {own} RENAME TO mine",
        "DROP TABLE {own}",
        "CREATE INDEX mine ON {own} (status)",
    ],
)
def test_what_is_no_good_statement_harms_nobody(open_again: OpenAgain, database: Database, statement: str) -> None:
    statement = statement.format(mark=database.mark, own=database.own)
    with open_again() as store:
        ready(store)
        for parameters in ((), (7,)):
            with pytest.raises(TransactionError):
                store.write("job", numbered(1, 1), [(database.insert, [(9, "")]), (statement, [parameters])])
        store.write("job", numbered(1, 1), [(database.insert, [(3, "")])])
        assert database.ids == [3]
        assert kept(store)[1:] == numbered(2)


def test_a_job_that_is_not_there_has_nothing_executed(open_again: OpenAgain, database: Database) -> None:
    with open_again() as store:
        ready(store)
        with pytest.raises(UnknownJobError):
            store.write("nobody", numbered(1), [(database.insert, [(1, "")])])
        assert database.ids == []


def test_statements_see_what_was_executed_before_them(open_again: OpenAgain, database: Database) -> None:
    with open_again() as store:
        ready(store)
        store.write("job", numbered(1, 1), [(database.insert, [(0, "")])])
        more = "UPDATE orders SET id = id + 1"
        done = threading.Event()
        for number in range(100):
            store.append("job", numbered(1, 2 + number), lambda error: done.set(), [(more, [()])])
        store.flush()
        assert database.ids == [100]


def test_tables_that_are_not_the_stores_survive_what_is_done_to_jobs(open_again: OpenAgain, database: Database) -> None:
    with open_again() as store:
        ready(store)
        store.write("job", numbered(1, 1), [(database.insert, [(1, "")])])
        store.set_status("job", "completed")
        store.purge("job")
        assert database.ids == [1]
    with open_again() as store:
        store.submit(new_job("again"))
        store.write("again", numbered(1), [(database.insert, [(2, "")])])
        assert database.ids == [1, 2]


def test_who_was_overtaken_executes_nothing(
    open_again: OpenAgain, database: Database, overtake: Callable[[], object]
) -> None:
    with open_again() as store:
        ready(store)
        overtake()
        with pytest.raises(FencedError):
            store.write("job", numbered(1, 1), [(database.insert, [(1, "")])])
    assert database.ids == []
