"""F6 and F7: a disk without room for more, and a file that somebody else has locked."""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from routilux.errors import StoreBusyError, StoreError, StoreFullError
from routilux.stores.check import check
from routilux.stores.port import Durability, Entry, NewJob
from routilux.stores.sqlite.store import open_store
from tests.faults.auditor import audited
from tests.faults.flow import build
from tests.faults.program import KEY, WORKERS, Case
from tests.faults.runner import left_in_peace
from tests.faults.trials import PATIENCE, Trials

MODES = ["sequential", "concurrent", "asyncio", "multiprocessing"]

pytestmark = pytest.mark.timeout(PATIENCE)


def made(path: Path) -> int:
    """Makes a store, and says how many pages it has."""
    with open_store(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    return pages


@contextmanager
def room_for(pages: int) -> Iterator[None]:
    """Files that are opened meanwhile have so many pages at most."""
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def limited(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    sqlite3.connect = limited  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = connect


def held_against(path: Path, answers: list[StoreError | None], refused: type[StoreError]) -> None:
    """What was acknowledged is what is there: all up to one, and then nothing."""
    done = answers.count(None)
    assert [type(answer) for answer in answers[done:]] == [refused] * (len(answers) - done)
    with open_store(path) as store:
        assert [one.entry.at for one in store.entries("job")] == list(range(done))
        store.write("job", [Entry("settled", done, b"there is room again")])
    assert check(path).whole


def test_a_store_without_room_keeps_what_it_acknowledged(trials: Trials) -> None:
    def trial(chance: Random, folder: Path) -> None:
        path = folder / "jobs.db"
        answers: list[StoreError | None] = []
        with room_for(made(path) + chance.randrange(5, 60)), open_store(path, store_grace=0.05) as store:
            store.submit(NewJob("job", "flow", "k", b"", ()))
            number = 0
            while StoreFullError not in map(type, answers):
                body = chance.randbytes(chance.choice([20, 500, 9000]))
                store.append("job", [Entry("settled", number, body)], answers.append)
                number += 1
                if chance.random() < 0.3:
                    with suppress(StoreFullError):
                        store.flush()
            with pytest.raises(StoreFullError):
                store.submit(NewJob("another", "flow", "another", b"", ()))
        held_against(path, answers, StoreFullError)

    trials("F6 disk full", "store", trial, ci=30, nightly=500)


def without_room(pages: int, case: Case) -> None:
    """Runs a case until its file may not grow, and ends there."""
    with (
        room_for(pages),
        suppress(StoreFullError),
        open_store(case.file, Durability(case.durability), store_grace=0.05) as store,
        build(store=store, execution_mode=case.mode, max_workers=WORKERS) as flow,
    ):
        job = flow.start("numbers", case.params, key=KEY)
        case.acknowledge("submitted", status=job.status)
        job.wait()
        job.raise_for_status()
        case.acknowledge("over", status=job.status, result=job.results.get("last"))


@pytest.mark.parametrize("mode", MODES)
def test_a_job_without_room_is_let_go_and_goes_on_when_there_is_some(mode: str, trials: Trials) -> None:
    def trial(chance: Random, folder: Path) -> None:
        case = Case(folder, mode)
        left_in_peace(case, functools.partial(without_room, made(case.file) + chance.randrange(5, 40)))
        left_in_peace(case)
        assert audited(case, kills=1).status == "completed"

    trials("F6 disk full", mode, trial, ci=5, nightly=100)


def test_a_store_that_is_locked_goes_on_or_says_so(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routilux.stores.sqlite.file.BUSY_SECONDS", 0.02)

    def trial(chance: Random, folder: Path) -> None:
        path = folder / "jobs.db"
        answers: list[StoreError | None] = []
        with (
            open_store(path, store_grace=0.3) as store,
            open_store(path, read_only=True) as reader,
            closing(sqlite3.connect(path, isolation_level=None)) as foreign,
        ):
            store.submit(NewJob("job", "flow", "k", b"", ()))
            for number in range(chance.randrange(1, 4)):
                foreign.execute("BEGIN IMMEDIATE")
                store.append("job", [Entry("settled", number, b"")], answers.append)
                threading.Event().wait(chance.choice([0.01, 0.1, 0.6]))
                assert len(list(reader.entries("job"))) == answers.count(None)
                foreign.execute("ROLLBACK")
                with suppress(StoreBusyError):
                    store.flush()
        held_against(path, answers, StoreBusyError)

    trials("F7 locked", "store", trial, ci=20, nightly=200)
