"""The contract of stores, for SQLite at both levels of durability, one of them with a key."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from routilux.stores.port import Durability
from routilux.stores.sqlite.store import open_store
from tests.stores.compaction import *  # noqa: F403
from tests.stores.contract import *  # noqa: F403
from tests.stores.contract import OpenAgain
from tests.stores.keys import *  # noqa: F403
from tests.stores.keys import KEY, Execute, OpenKeyed
from tests.stores.retention import *  # noqa: F403
from tests.stores.retention import DAY, PATIENCE, put


@pytest.fixture(params=list(Durability))
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> OpenAgain:
    key = KEY if request.param is Durability.PROCESS else None
    return partial(open_store, tmp_path / "jobs.db", request.param, journal_key=key)


@pytest.fixture
def open_keyed(tmp_path: Path) -> OpenKeyed:
    return partial(open_store, tmp_path / "jobs.db")


@pytest.fixture
def execute(tmp_path: Path) -> Execute:
    def executed(statement: str, values: tuple[object, ...]) -> None:
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            connection.execute(statement, values)
            connection.commit()

    return executed


def test_large_values_go_with_the_last_job_that_names_them(tmp_path: Path) -> None:
    now = time.time_ns()
    with open_store(tmp_path / "jobs.db") as store:
        names = [store.save(b"%d" % number * 9) for number in range(3)]
        put(store, "old", "completed", now - 2 * DAY * 10**9, name=f"{names[0]} {names[1]}")
        put(store, "live", "pending", now - 2 * DAY * 10**9, name=names[1])
    folder = tmp_path / "jobs.db.blobs"
    for name in names:
        os.utime(folder / name, (now / 1e9 - DAY, now / 1e9 - DAY))
    with open_store(tmp_path / "jobs.db", retention=DAY) as store:
        patience = time.monotonic() + PATIENCE
        while len(list(folder.iterdir())) > 1 and time.monotonic() < patience:
            threading.Event().wait(0.005)
        assert [one.name for one in folder.iterdir()] == [names[1]]
        assert store.load(names[1]) == b"111111111"
