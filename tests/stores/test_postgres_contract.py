"""The contract of stores, for PostgreSQL at both levels of durability."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from routilux.stores.opening import open_store
from routilux.stores.port import Durability
from tests.postgres import Server, running, why_not
from tests.stores.contract import *  # noqa: F403
from tests.stores.contract import OpenAgain

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, server: Server) -> OpenAgain:
    return partial(open_store, server.dsn(f"contract_{next(NUMBERS)}"), request.param)
