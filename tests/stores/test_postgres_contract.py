"""The contract of stores, for PostgreSQL at both levels of durability."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from routilux.stores.opening import open_store
from routilux.stores.port import Durability
from tests.postgres import Server
from tests.stores.contract import *  # noqa: F403
from tests.stores.contract import OpenAgain

NUMBERS = itertools.count()


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, server: Server) -> OpenAgain:
    return partial(open_store, server.dsn(f"contract_{next(NUMBERS)}"), request.param)
