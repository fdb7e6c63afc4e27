"""Damage to the files of a store is seen: what is read is what was written, its beginning, or an error."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from routilux.errors import StoreDamagedError, StoreError
from routilux.stores.changes import Addition, Removal, Submission
from routilux.stores.check import check, repair
from routilux.stores.doctor import doctor, has_wal_reset_bug
from routilux.stores.port import Durability, Entry, NewJob, StoredEntry, StoredJob
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.store import open_store
from tests.stores.contract import kept, new_job, numbered

TRIALS = 100
REPAIRS = 20
JOBS = 4
COMPACTED = "job 1"
AFTER = 70
"""The number of the last entry that it had before."""

CRASHING = f"""
import os, sys
from routilux.stores.port import Entry, NewJob
from routilux.stores.sqlite.store import open_store

def fill(store, first, last):
    for number in range(first, last):
        for job in range({JOBS}):
            store.append(f"job {{job}}", [Entry("settled", number, b"%d " % number * 20)], lambda error: None)
        if number == {AFTER}:
            store.compact("{COMPACTED}", Entry("snapshot", number, b"what they come to"))
    store.flush()

with open_store(sys.argv[1]) as store:
    for job in range({JOBS}):
        store.submit(NewJob(f"job {{job}}", "flow", f"key {{job}}", b"request" * 30))
    fill(store, 0, 60)
store = open_store(sys.argv[1])
fill(store, 60, 120)
store.set_status("job 0", "running")
store.flush()
os._exit(0)
"""


class View(NamedTuple):
    """All that is in a store."""

    jobs: dict[str, StoredJob]
    entries: dict[str, list[StoredEntry]]
    damaged: bool


def seen_in(path: Path) -> View:
    jobs: dict[str, StoredJob] = {}
    entries: dict[str, list[StoredEntry]] = {}
    damaged = False
    try:
        with open_store(path, read_only=True) as records:
            for number in range(JOBS):
                found: list[StoredEntry] = []
                entries[f"job {number}"] = found
                try:
                    found.extend(records.entries(f"job {number}"))
                    job = records.job(f"job {number}")
                    jobs |= {} if job is None else {job.job_id: job}
                except StoreError:
                    damaged = True
            jobs |= {job.job_id: job for job in records.jobs()}
    except StoreError:
        damaged = True
    return View(jobs, entries, damaged)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store half of which is in its file, and half in the log that a crash left."""
    path = tmp_path_factory.mktemp("crashed") / "jobs.db"
    subprocess.run([sys.executable, "-c", CRASHING, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def original(crashed: Path, tmp_path_factory: pytest.TempPathFactory) -> View:
    view = seen_in(copied(crashed, tmp_path_factory.mktemp("original")))
    assert not view.damaged
    assert [len(view.entries[f"job {number}"]) for number in range(JOBS)] == [120, 51, 120, 120]
    return view


def copied(path: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for one in path.parent.glob(f"{path.name}*"):
        if one.is_file() and not one.name.endswith("-shm"):
            shutil.copy(one, folder)
    return folder / path.name


def flipped(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def is_a_beginning(entries: list[StoredEntry], job_id: str, original: View) -> bool:
    """Of all that was written to a job; what one had before it was compacted is what the others still have."""
    wholes = [original.entries[job_id]]
    if job_id == COMPACTED:
        wholes.append(original.entries["job 0"][: AFTER + 1])
    return any(entries == whole[: len(entries)] for whole in wholes)


@pytest.mark.parametrize("part", ["", "-wal"])
@pytest.mark.parametrize("harm", [flipped, cut])
def test_nothing_else_is_ever_read_than_what_was_written(
    crashed: Path, original: View, tmp_path: Path, part: str, harm: object, record_property: Callable[..., None]
) -> None:
    chance = random.Random(f"{part} {harm}")
    for _ in range(TRIALS):
        path = copied(crashed, tmp_path / "harmed")
        (flipped if harm is flipped else cut)(path.with_name(path.name + part), chance)
        seen = seen_in(path)
        for job_id, entries in seen.entries.items():
            assert is_a_beginning(entries, job_id, original)
        for job_id, job in seen.jobs.items():
            told = original.jobs[job_id]
            assert job == told._replace(entries=job.entries, changed_at=job.changed_at, status=job.status)
            assert job.status in ("pending", told.status)
        if part == "" and seen != original:
            assert seen.damaged or not check(path).whole
    record_property("trials", ("F8 damage", "store", TRIALS))


def test_a_repaired_store_has_the_whole_beginning_of_each_job(
    crashed: Path, original: View, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    chance = random.Random("repair")
    repaired = 0
    for _ in range(REPAIRS):
        path = copied(crashed, tmp_path / "harmed")
        flipped(path, chance)
        before = path.read_bytes()
        try:
            repair(path, tmp_path / "harmed" / "mended.db")
        except StoreError:
            continue
        assert path.read_bytes() == before
        repaired += 1
        mended = seen_in(tmp_path / "harmed" / "mended.db")
        assert not mended.damaged
        assert check(tmp_path / "harmed" / "mended.db").whole
        for job_id, entries in mended.entries.items():
            assert is_a_beginning(entries, job_id, original)
        with open_store(tmp_path / "harmed" / "mended.db") as store:
            for job_id, entries in mended.entries.items():
                if entries:
                    store.write(job_id, numbered(1))
                    assert [one.entry for one in entries] + numbered(1) == kept(store, job_id)
    assert repaired > REPAIRS // 2
    record_property("trials", ("F8 damage, repaired", "store", repaired))


def changed(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    with open_store(path) as store:
        for name in ("a", "b"):
            store.submit(new_job(name))
            store.write(name, numbered(9))
    return path


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE facts SET body = x'00' WHERE job = 1 AND seq = 5", 5),
        ("UPDATE facts SET kind = 'yielded' WHERE job = 1 AND seq = 5", 5),
        ("UPDATE facts SET at = at + 1 WHERE job = 1 AND seq = 5", 5),
        ("UPDATE facts SET epoch = epoch + 1 WHERE job = 1 AND seq = 5", 5),
        ("UPDATE facts SET chain = zeroblob(32) WHERE job = 1 AND seq = 5", 5),
        ("DELETE FROM facts WHERE job = 1 AND seq = 5", 5),
        ("DELETE FROM facts WHERE job = 1 AND seq >= 9", 9),
        ("UPDATE facts SET job = 3 - job WHERE seq = 0", 0),
        ("UPDATE facts SET body = x'00' WHERE job = 1 AND seq = 0", 0),
        ("DELETE FROM facts WHERE job = 1", 0),
        ("UPDATE jobs SET status = 'completed' WHERE number = 1", 0),
        ("UPDATE jobs SET flow_id = 'another' WHERE number = 1", 0),
    ],
)
def test_the_first_bad_entry_is_named(filled: Path, tmp_path: Path, statement: str, seq: int) -> None:
    if "3 - job" in statement:
        changed(filled, "UPDATE facts SET job = 9 WHERE job = 1 AND seq = 0")
        changed(filled, "UPDATE facts SET job = 1 WHERE job = 2 AND seq = 0")
    else:
        changed(filled, statement)
    with open_store(filled, read_only=True) as records, pytest.raises(StoreDamagedError) as raised:
        list(records.entries("a"))
    assert (raised.value.job_id, raised.value.seq) == ("a", seq)
    findings = check(filled)
    assert not findings.whole
    assert ("a", seq) in {(damage.job_id, damage.seq) for damage in findings.damages}
    mended = tmp_path / "mended.db"
    report = repair(filled, mended)
    assert "a" in {damage.job_id for damage in report.affected}
    assert check(mended).whole


def test_a_log_that_is_lost_is_noticed_when_the_store_is_opened(filled: Path, tmp_path: Path) -> None:
    ledger = Ledger(filled, Durability.POWER, "here", 1, 0)
    ledger.commit([Addition("a", numbered(5))])
    assert ledger.tend(0) == 1_000_000_000
    assert ledger.tend(1_000_000_000) is None
    copy = copied(filled, tmp_path / "copy")
    copy.with_name(copy.name + "-wal").unlink()
    with pytest.raises(StoreDamagedError, match="lost what was written last: entry 15 of job a") as raised:
        open_store(copy)
    assert (raised.value.job_id, raised.value.seq) == ("a", 15)
    assert not check(copy).whole
    with open_store(copy, read_only=True) as records:
        assert len(list(records.entries("a"))) == 10
    ledger.close()
    with open_store(filled) as store:
        assert len(kept(store, "a")) == 15


def test_a_loss_that_a_level_allows_is_not_reported(filled: Path, tmp_path: Path) -> None:
    ledger = Ledger(filled, Durability.PROCESS, "here", 1, 0)
    ledger.commit([Addition("a", numbered(5))])
    ledger.tend(0)
    ledger.tend(1_000_000_000)
    copy = copied(filled, tmp_path / "copy")
    copy.with_name(copy.name + "-wal").unlink()
    with open_store(copy) as store:
        assert len(kept(store, "a")) == 10
    ledger.close()


def test_a_job_that_was_removed_last_is_no_loss(filled: Path) -> None:
    ledger = Ledger(filled, Durability.POWER, "here", 1, 0)
    ledger.commit([Addition("a", numbered(5))])
    ledger.tend(0)
    ledger.tend(1_000_000_000)
    note = filled.with_name("jobs.db.head").read_bytes()
    ledger.commit([Removal("a")])
    ledger.close()
    # As if the process had died before it could write the note anew.
    filled.with_name("jobs.db.head").write_bytes(note)
    with open_store(filled) as store:
        assert store.job("a") is None


def test_a_list_of_changes_that_is_given_again_is_not_written_twice(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "jobs.db", Durability.POWER, "here", 1, 0)
    ledger.commit([Submission(NewJob("a", "f", None, b""), 0)])
    changes = [Addition("a", numbered(2)), Submission(NewJob("b", "f", "k", b"", numbered(1)), 0)]
    executed = ledger._connection

    class Dying:
        """A connection whose process is interrupted right after a commit."""

        def __getattr__(self, name: str) -> object:
            return getattr(executed, name)

        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            cursor = executed.execute(statement, *values)
            if statement == "COMMIT":
                raise KeyboardInterrupt
            return cursor

    ledger._connection = Dying()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        ledger.commit(changes)
    ledger._connection = executed
    answers = ledger.commit(changes)
    assert answers[0] is None
    assert isinstance(answers[1], StoredJob)
    ledger.close()
    with open_store(tmp_path / "jobs.db", read_only=True) as records:
        assert [one.entry for one in records.entries("a")] == numbered(2)
        assert [one.entry for one in records.entries("b")] == numbered(1)


def test_large_values_are_checked_and_swept(filled: Path) -> None:
    with open_store(filled) as store:
        names = [store.save(b"%d" % number * 1000) for number in range(4)]
        for name, job_id in zip(names, ("a", "b", "b", None), strict=True):
            if job_id is not None:
                store.write(job_id, [Entry("settled", 50, b'{"blob": "%s"}' % name.encode())])
        store.write("a", [Entry("settled", 51, names[1].encode())])
        folder = filled.with_name("jobs.db.blobs")
        (folder / names[2]).unlink()
        findings = check(filled)
        assert (findings.missing_blobs, findings.orphaned_blobs) == ((names[2],), (names[3],))
        assert not findings.whole
        for one in folder.iterdir():
            os.utime(one, (0, 0))
        young = store.save(b"not named yet")
        (folder / "new-left-by-a-crash").touch()
        store.purge("b")
        assert {one.name for one in folder.iterdir()} == {names[0], names[1], young, "new-left-by-a-crash"}
        (folder / names[1]).write_bytes(b"another")
        with pytest.raises(StoreDamagedError, match="its hash is another"):
            store.load(names[1])


def test_a_doctor_sees_the_surroundings(filled: Path) -> None:
    diagnosis = doctor(filled)
    assert diagnosis.sqlite_version == sqlite3.sqlite_version
    assert diagnosis.flush_seconds > 0
    assert diagnosis.owner is None
    assert diagnosis.sizes["jobs.db"] == filled.stat().st_size
    assert diagnosis.open_to_others == ()
    with open_store(filled) as store:
        store.write("a", numbered(1))
        seen = doctor(filled)
        assert seen.owner is not None
        assert seen.owner.pid == os.getpid()
        assert seen.open_to_others == ()
    filled.chmod(0o644)
    assert doctor(filled).open_to_others == ("jobs.db",)


def test_the_releases_with_the_bug_are_known() -> None:
    bad = [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 50, 6), (3, 51, 2)]
    good = [(3, 6, 23), (3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 54, 1)]
    assert [has_wal_reset_bug(version) for version in bad] == [True] * len(bad)
    assert [has_wal_reset_bug(version) for version in good] == [False] * len(good)
