"""F22 and F23: a disk that fails, and power that goes, below the store as it is."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from routilux.errors import StoreError, StoreUnavailableError
from routilux.facts import Statement
from routilux.stores.changes import Addition, Submission
from routilux.stores.check import check
from routilux.stores.port import Durability, Entry, NewJob
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.store import open_store
from tests.faults.auditor import rows_of
from tests.faults.trials import PATIENCE, Trials

apsw = pytest.importorskip("apsw")
disks = pytest.importorskip("tests.faults.disk")

pytestmark = pytest.mark.timeout(PATIENCE)


def written(at: int) -> list[Statement]:
    """What is executed with an entry."""
    table = "CREATE TABLE IF NOT EXISTS done (at INTEGER, attempt INTEGER, more TEXT)"
    return [(table, [()]), ("INSERT INTO done VALUES (?, ?, ?)", [(at, 1, "x" * (at % 7) * 100)])]


def ledger_on(disk, path: Path, durability: Durability, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """What writes to a store, over a disk; whatever else opens the file does so as ever."""
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda where, **options: disks.Connection(where, disk))
        return Ledger(path, durability, "here", 1, 0)


@pytest.mark.parametrize("durability", list(Durability))
def test_what_was_acknowledged_outlives_the_power(durability, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(chance: Random, folder: Path) -> None:
        path, after = folder / "jobs.db", folder / "after" / "jobs.db"
        after.parent.mkdir()
        with open_store(path):
            pass
        disk = disks.Disk(str(folder))
        ledger = ledger_on(disk, path, durability, monkeypatch)
        monkeypatch.setattr("routilux.stores.sqlite.ledger.CHECKPOINT_BYTES", 60_000)
        ledger.commit([Submission(NewJob("job", "flow", "k", b"", ()), 0)])
        acknowledged, wrote = 0, []
        for number in range(chance.randrange(1, 120)):
            body = chance.randbytes(chance.choice([20, 200, 3000]))
            entries = [Entry("settled", acknowledged + at, body) for at in range(chance.choice([1, 1, 1, 5]))]
            ledger.commit([Addition("job", entries, written(acknowledged) if acknowledged % 2 else ())])
            wrote += [acknowledged] if acknowledged % 2 else []
            acknowledged += len(entries)
            if chance.random() < 0.2:
                ledger.tend(number * 10**9)
        for suffix in ("", "-wal"):
            data = disk.after_the_power_went(f"{path}{suffix}", chance)
            after.with_name(f"jobs.db{suffix}").write_bytes(data)
        with suppress(sqlite3.Error, StoreError):
            ledger.close()
        # At level "process" the newest may be lost, submission and all, but there is no gap and nothing else.
        head = path.with_name("jobs.db.head")
        if head.exists() and durability is Durability.POWER:
            after.with_name("jobs.db.head").write_bytes(head.read_bytes())
        with open_store(after) as store:
            found = [one.entry.at for job in store.jobs() for one in store.entries(job.job_id)]
            assert found == list(range(len(found)))
            if durability is Durability.POWER:
                assert len(found) == acknowledged
            assert [at for at, _, _ in rows_of(after)] == [at for at in wrote if at < len(found)]
        assert check(after).whole

    trials(f"F23 power ({durability})", "store", trial, ci=150, nightly=5000, tiny=5)


def test_a_disk_that_fails_loses_and_doubles_nothing(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(chance: Random, folder: Path) -> None:
        path = folder / "jobs.db"
        with open_store(path):
            pass
        left = [10**9]

        def fails(what: str) -> bool:
            left[0] -= 1
            return left[0] == 0

        disk = disks.Disk(str(folder), fails)
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda where, **options: disks.Connection(where, disk))
            ledger = Ledger(path, Durability.POWER, "here", 1, 0)
            ledger.commit([Submission(NewJob("job", "flow", "k", b"", ()), 0)])
            failures = 0
            for number in range(30):
                if number % 3 == 0:
                    left[0] = chance.randrange(1, 7)
                entry = Entry("settled", number, chance.randbytes(chance.choice([20, 5000])))
                changes = [Addition("job", [entry], written(number) if number % 2 else ())]
                answers = None
                while answers is None:
                    try:
                        answers = ledger.commit(changes)
                    except StoreUnavailableError:
                        failures += 1
                        assert failures < 50
                assert answers == [None]
            left[0] = 10**9
            ledger.close()
        assert failures > 0
        with open_store(path) as store:
            assert [one.entry.at for one in store.entries("job")] == list(range(30))
            assert [at for at, _, _ in rows_of(path)] == list(range(1, 30, 2))
        assert check(path).whole

    trials("F22 EIO, failing fsync", "store", trial, ci=100, nightly=3000, tiny=5)
