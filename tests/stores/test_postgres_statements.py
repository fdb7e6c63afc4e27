"""Statements with entries, in a namespace of a server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from routilux.stores.opening import check, open_store
from routilux.stores.port import Durability, Store
from tests.postgres import Server, why_not
from tests.stores.contract import OpenAgain, kept, numbered
from tests.stores.statements import *  # noqa: F403
from tests.stores.statements import TABLE, Database, ready

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NUMBERS = itertools.count()


@pytest.fixture
def namespace() -> str:
    return f"statements_{next(NUMBERS)}"


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, server: Server, namespace: str) -> OpenAgain:
    return partial(open_store, server.dsn(namespace), request.param)


@pytest.fixture
def foreign(server: Server) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Another client of the database; the tables that a test made are gone at its end."""
    with psycopg.connect(server.conninfo, autocommit=True) as session:

        def asked(question: str) -> list[tuple[object, ...]]:
            cursor = session.execute(question)
            return cursor.fetchall() if cursor.description else []

        yield asked
        session.execute("DROP SCHEMA IF EXISTS public, postgres CASCADE; CREATE SCHEMA public")


@pytest.fixture
def database(namespace: str, foreign: Callable[[str], list[tuple[object, ...]]]) -> Database:
    return Database("%s", foreign, f"{namespace}.jobs")


@pytest.fixture
def overtake(namespace: str, foreign: Callable[[str], list[tuple[object, ...]]]) -> Callable[[], object]:
    return lambda: foreign(f"UPDATE {namespace}.owner SET epoch = epoch + 1")


def test_tables_of_a_user_may_be_called_as_those_of_the_store(
    open_again: OpenAgain, database: Database, namespace: str
) -> None:
    with open_again() as store:
        ready(store)
        made = ("CREATE TABLE jobs (facts text)", [()]), ("INSERT INTO jobs VALUES (%s)", [("mine",)])
        store.write("job", numbered(1, 1), made)
        assert database.rows("SELECT * FROM public.jobs") == [("mine",)]
        store.write("job", numbered(1, 2))
        assert kept(store)[1:] == numbered(3)


def test_a_namespace_that_everybody_looks_in_is_not_the_users(server: Server, database: Database) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as session:
        session.execute("CREATE SCHEMA postgres")  # named as the user, so it comes first in the path of each client
    with open_store(server.dsn("postgres")) as store:
        ready(store)
        store.write("job", numbered(1, 1), [("CREATE TABLE facts (id bigint)", [()])])
        store.write("job", numbered(1, 2), [("INSERT INTO facts VALUES (%s)", [(7,)])])
        assert database.rows("SELECT * FROM public.facts") == [(7,)]
        assert kept(store)[1:] == numbered(3)
    assert check(server.dsn("postgres")).whole


def test_what_is_checked_at_the_end_of_a_transaction_is_checked_for_each(
    open_again: OpenAgain, database: Database
) -> None:
    parts = "CREATE TABLE parts (whole bigint REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"
    answers: list[bool] = []
    with open_again() as store:
        ready(store)
        store.write("job", numbered(1, 1), [(parts, [()])])
        for number in range(30):
            owner = number if number % 3 else -1
            written = [("INSERT INTO parts VALUES (%s)", [(owner,)]), (database.insert, [(number, "")])]
            store.append("job", numbered(1, 2 + number), lambda error: answers.append(error is None), written)
        store.flush()
    assert answers == [number % 3 > 0 for number in range(30)]
    assert database.ids == [number for number in range(30) if number % 3]


def test_a_row_that_somebody_else_has_locked_is_that_statements_trouble(
    open_again: OpenAgain, database: Database, server: Server
) -> None:
    answers: list[object] = []

    def lock(store: Store) -> None:
        with psycopg.connect(server.conninfo) as session:
            session.execute("UPDATE orders SET what = 'mine'")
            update = ("UPDATE orders SET what = 'ours'", [()])
            store.append("job", numbered(1, 2), answers.append, [update])
            store.append("job", numbered(1, 3), answers.append)
            store.flush()

    with open_again() as store:
        ready(store)
        store.write("job", numbered(1, 1), [(database.insert, [(1, "")])])
        lock(store)
        assert [error is None for error in answers] == [False, True]
        assert "lock timeout" in str(answers[0])
        store.write("job", numbered(1, 4), [TABLE, ("UPDATE orders SET what = 'ours'", [()])])
        assert database.rows("SELECT * FROM orders") == [(1, "ours")]


def test_a_session_that_is_ended_between_statements_and_commit_writes_once(
    open_again: OpenAgain, database: Database
) -> None:
    with open_again() as store:
        ready(store)
        for number in range(20):
            ends = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            store.append("job", numbered(1, 1 + number), lambda error: None, [(database.insert, [(number, "")])])
            if number % 5 == 0:
                database.rows(ends)
        store.flush()
        assert database.ids == list(range(20))
        assert kept(store)[1:] == numbered(21)
