"""The contract of stores, for SQLite at both levels of durability."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from routilux.stores.port import Durability
from routilux.stores.sqlite.store import open_store
from tests.stores.contract import *  # noqa: F403
from tests.stores.contract import OpenAgain


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> OpenAgain:
    return partial(open_store, tmp_path / "jobs.db", request.param)
