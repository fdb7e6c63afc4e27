"""The contract of stores, for PostgreSQL at both levels of durability, one of them with a key."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from routilux.stores.opening import open_store
from routilux.stores.port import Durability
from tests.postgres import Server
from tests.stores.compaction import *  # noqa: F403
from tests.stores.contract import *  # noqa: F403
from tests.stores.contract import OpenAgain
from tests.stores.keys import *  # noqa: F403
from tests.stores.keys import KEY, Execute, OpenKeyed
from tests.stores.retention import *  # noqa: F403

NUMBERS = itertools.count()


@pytest.fixture
def namespace() -> str:
    return f"contract_{next(NUMBERS)}"


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, server: Server, namespace: str) -> OpenAgain:
    key = KEY if request.param is Durability.PROCESS else None
    return partial(open_store, server.dsn(namespace), request.param, journal_key=key)


@pytest.fixture
def open_keyed(server: Server, namespace: str) -> OpenKeyed:
    return partial(open_store, server.dsn(namespace))


@pytest.fixture
def execute(server: Server, namespace: str) -> Execute:
    def executed(statement: str, values: tuple[object, ...]) -> None:
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(server.conninfo) as session:
            session.execute(f"SET search_path = {namespace}")
            session.execute(statement.replace("?", "%s"), values)

    return executed
