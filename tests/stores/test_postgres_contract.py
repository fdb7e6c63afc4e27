"""The contract of stores, for PostgreSQL at both levels of durability."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest

from routilux.stores.opening import open_store
from routilux.stores.port import Durability
from tests.postgres import Server
from tests.stores.contract import *  # noqa: F403
from tests.stores.contract import OpenAgain
from tests.stores.retention import *  # noqa: F403

NUMBERS = itertools.count()


@pytest.fixture
def namespace() -> str:
    return f"contract_{next(NUMBERS)}"


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, server: Server, namespace: str) -> OpenAgain:
    return partial(open_store, server.dsn(namespace), request.param)


@pytest.fixture
def damage(server: Server, namespace: str) -> Callable[[], None]:
    """Changes the row of job b."""

    def change() -> None:
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(server.conninfo) as session:
            session.execute(f"UPDATE {namespace}.jobs SET crc = crc + 1 WHERE job_id = 'b'")

    return change
