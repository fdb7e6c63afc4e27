"""What only happens to a store in a file: no room, locks of others, second openers, forks, kills and interruptions."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from routilux.errors import (
    FencedError,
    ForkedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreInUseError,
    StoreUnavailableError,
    StoreVersionError,
)
from routilux.stores.changes import Addition, Submission
from routilux.stores.check import check
from routilux.stores.port import Durability, Entry, Store
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.store import open_store
from tests.faults.trials import SIZE
from tests.stores.contract import PATIENCE, kept, new_job, numbered
from tests.stores.interrupted import interrupt_writes

if sys.platform != "win32":
    import resource

KILLS = 5 if SIZE == "tiny" else 20

WRITER = """
import sys
from routilux.stores.port import Durability, Entry, NewJob
from routilux.stores.sqlite.store import open_store

store = open_store(sys.argv[1], Durability(sys.argv[2]))
number = store.submit(NewJob("job", "flow", "k", b"")).entries
print("open", flush=True)

def then(number, error):
    if error is None:
        print(number, flush=True)

while True:
    number += 1
    entries = [Entry("settled", number, b"%d" % number)]
    if number % 3:
        store.append("job", entries, lambda error, number=number: then(number, error))
    else:
        store.write("job", entries)
        then(number, None)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, path: Path) -> Iterator[Store]:
    """A store whose grace is short, and whose file cannot grow by much."""
    with open_store(path) as store:
        store.submit(new_job())
    with closing(sqlite3.connect(path)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    opened = sqlite3.connect

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = opened(*arguments, **options)  # type: ignore[arg-type]
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        store = open_store(path, store_grace=0.2)
    with store:
        yield store


def test_a_full_disk_is_an_error_and_nothing_that_was_acknowledged_is_lost(path: Path, limited: Store) -> None:
    answers: list[StoreError | None] = []
    with pytest.raises(StoreFullError, match="no room"):
        for number in range(40):
            limited.append("job", [Entry("settled", number, b"x" * 4000)], answers.append)
            limited.flush()
    for _ in range(3):
        limited.append("job", numbered(1), answers.append)
    with pytest.raises(StoreFullError):
        limited.write("job", numbered(1))
    with pytest.raises(StoreFullError):
        limited.submit(new_job("another"))
    limited.close()
    done = answers.count(None)
    assert done > 0
    assert [error is None for error in answers] == [True] * done + [False] * 4
    with open_store(path) as store:
        assert len(kept(store)) == 1 + done
        store.write("job", numbered(1))
    assert check(path).whole


def test_a_submission_does_not_wait_for_room(limited: Store) -> None:
    with pytest.raises(StoreFullError):
        limited.submit(new_job("large", request=b"x" * 1_000_000))
    limited.write("job", numbered(1))
    assert len(kept(limited)) == 2
    assert limited.job("large") is None


def test_entries_wait_while_a_foreign_program_has_the_file_locked(path: Path) -> None:
    answered = threading.Event()
    with open_store(path) as store:
        store.submit(new_job())
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            store.append("job", numbered(1), lambda error: answered.set())
            assert len(kept(store)) == 1
            assert not answered.is_set()
            foreign.execute("ROLLBACK")
        assert answered.wait(PATIENCE)
        assert kept(store)[1:] == numbered(1)


def test_a_lock_that_lasts_is_an_error(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr("routilux.stores.sqlite.file.BUSY_SECONDS", 0.05)
    with open_store(path, store_grace=0.1) as store:
        store.submit(new_job())
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusyError, match="locked"):
                store.write("job", numbered(1))
        with pytest.raises(StoreBusyError):
            store.write("job", numbered(1))
    with open_store(path, read_only=True) as records:
        assert len(list(records.entries("job"))) == 1


def test_a_store_whose_lock_cannot_be_written_is_read_all_the_same(path: Path) -> None:
    with open_store(path) as store:
        store.submit(new_job())
    lock = path.with_name(path.name + ".lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(StoreUnavailableError, match="cannot be opened for writing: .*read_only=True"):
        open_store(path)
    with open_store(path, read_only=True) as store:
        assert len(list(store.jobs())) == 1


def test_a_second_opener_is_told_who_has_the_store(path: Path) -> None:
    with open_store(path):
        with pytest.raises(StoreInUseError, match=f"in use by process {os.getpid()} on .* since 20"):
            open_store(path)
        command = [sys.executable, "-c", WRITER, str(path), "power"]
        other = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
        assert f"StoreInUseError: The store {path} is in use by process {os.getpid()}" in other.stderr
        with pytest.raises(StoreInUseError):
            open_store(path)
    with open_store(path):
        pass


def test_a_store_may_be_read_while_another_process_writes_to_it(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path), "power"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if line == b"20\n":
                break
        with open_store(path, read_only=True) as records:
            assert len(list(records.entries("job"))) >= 20
            with pytest.raises(StoreInUseError, match=f"process {writer.pid} on"):
                open_store(path)
        writer.kill()


@pytest.mark.parametrize("count", [1, 2])
def test_who_was_overtaken_writes_nothing_more(path: Path, count: int) -> None:
    answers: list[StoreError | None] = []
    with open_store(path) as store:
        store.submit(new_job())
        taker = Ledger(path, Durability.POWER, "elsewhere", 1, 0)
        with pytest.raises(FencedError, match="opened by somebody else"):
            store.write("job", numbered(count))
        store.append("job", numbered(1), answers.append)
        store.set_status("job", "running")
        with pytest.raises(FencedError):
            store.submit(new_job("another"))
        taker.close()
    assert [type(answer) for answer in answers] == [FencedError]
    with open_store(path) as store:
        assert [(job.job_id, job.status, job.entries) for job in store.jobs()] == [("job", "pending", 1)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_was_forked_must_not_use_the_store_and_does_not_harm_it(path: Path) -> None:
    with open_store(path) as store:
        store.submit(new_job())
        child = os.fork()
        if child == 0:
            refused = 0
            calls = [
                lambda: store.submit(new_job("child")),
                lambda: store.append("job", [], lambda error: None),
                lambda: store.write("job", []),
                lambda: store.set_status("job", "running"),
                store.flush,
                lambda: store.job("job"),
                lambda: store.jobs(),
                lambda: store.entries("job"),
                lambda: store.save(b""),
                lambda: store.load(""),
                lambda: store.purge("job"),
                lambda: store.purge_finished(0),
                store.close,
            ]
            for call in calls:
                try:
                    call()
                except ForkedError:
                    refused += 1
            try:
                open_store(path)
            except StoreInUseError:
                refused += 1
            os._exit(0 if refused == len(calls) + 1 else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0
        store.write("job", numbered(3))
        assert kept(store)[1:] == numbered(3)
    assert check(path).whole


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_lives_on_does_not_keep_the_store_from_being_opened(path: Path) -> None:
    theirs, ours = os.pipe()
    store = open_store(path)
    store.submit(new_job())
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.read(theirs, 1)
        os._exit(0)
    os.close(theirs)
    store.close()
    with open_store(path) as store:
        store.write("job", numbered(1))
    os.close(ours)
    os.waitpid(child, 0)


ORPHANING = """
import os, sys
from routilux.stores.port import NewJob
from routilux.stores.sqlite.store import open_store

store = open_store(sys.argv[1])
store.submit(NewJob("job", "flow", None, b""))
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("forked", flush=True)
os._exit(9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_outlives_a_dead_owner_does_not_keep_the_store(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ORPHANING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"forked\n"
        assert owner.wait(PATIENCE) == 9
        with open_store(path) as store:
            store.write("job", numbered(1))
            assert kept(store) == numbered(1)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit on the size of files")
def test_a_disk_that_fails_for_a_while_loses_and_doubles_nothing(path: Path) -> None:
    ledger = Ledger(path, Durability.POWER, "here", 1, 0)
    ledger.commit([Submission(new_job(), 0)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failures = 0
    for number in range(40):
        changes = [Addition("job", [Entry("settled", number, b"x" * 5000)]), Addition("job", numbered(1, number))]
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("jobs.db-wal").stat().st_size + 9000, hard))
            answers = ledger.commit(changes)
        except StoreUnavailableError:
            failures += 1
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            answers = ledger.commit(changes)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert answers == [None, None]
    ledger.close()
    assert failures > 10
    with open_store(path, read_only=True) as records:
        assert [one.entry.at for one in records.entries("job")][1::2] == list(range(40))
    assert check(path).whole


@pytest.mark.parametrize("durability", list(Durability))
def test_a_killed_writer_loses_nothing_that_it_was_told_of(
    path: Path, durability: Durability, record_property: Callable[..., None]
) -> None:
    chance = random.Random(f"kill {durability}")
    acknowledged = 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(path), durability]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "open\n"
            for _ in range(chance.randrange(200)):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            acknowledged = max([acknowledged, *map(int, told)])
        with open_store(path, read_only=True) as records:
            found = [int(one.entry.body) for one in records.entries("job")]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= acknowledged
    findings = check(path)
    assert findings.whole
    assert findings.entries == len(found)
    record_property("trials", ("F4 kill of a writer", "store", KILLS))


def test_a_write_that_is_interrupted_is_made_whole_or_not_at_all_and_the_next_goes_on(path: Path) -> None:
    interrupt_writes(str(path), 100)
    assert check(path).whole


def test_who_raises_when_told_harms_nobody_who_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda info: raised.append(info.exc_value))
    answers: list[StoreError | None] = []

    def fails(error: StoreError | None) -> None:
        raise LookupError("on purpose")

    with open_store(path) as store:
        store.submit(new_job())
        store.append("job", numbered(1), fails)
        store.append("job", numbered(1, 1), answers.append)
        with pytest.raises(StoreError):
            while True:
                store.write("job", numbered(1, 2))
    assert [type(error) for error in raised] == [LookupError]
    assert len(answers) == 1


def test_what_is_no_store_of_ours_is_left_alone(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match="no store of Routilux"):
        open_store(path)
    with pytest.raises(StoreVersionError):
        open_store(path, read_only=True)
    assert path.read_bytes() == before
    with open_store(tmp_path / "new.db"):
        pass
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreVersionError, match="version 99"):
        open_store(tmp_path / "new.db")
    with pytest.raises(StoreError, match="There is no store"):
        open_store(tmp_path / "none.db", read_only=True)


def test_a_store_of_the_version_before_is_read_and_becomes_one_of_this(path: Path) -> None:
    with open_store(path) as store:
        store.submit(new_job())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with open_store(path, read_only=True) as records:
        assert records.job("job") is not None
    with open_store(path) as store:
        store.write("job", numbered(1))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_store_whose_making_was_cut_short_is_made(path: Path) -> None:
    path.touch()
    with open_store(path) as store:
        store.submit(new_job())
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("VACUUM")
    assert path.stat().st_size > 0
    with open_store(path) as store:
        assert list(store.jobs()) == []


def test_what_is_left_beside_a_file_that_was_removed_does_not_come_back(path: Path, tmp_path: Path) -> None:
    with open_store(path) as store:
        store.submit(new_job())
        store.write("job", numbered(3))
        left = {one: one.read_bytes() for one in tmp_path.iterdir() if one.name.endswith("-wal")}
    assert left
    path.unlink()
    for one, data in left.items():
        one.write_bytes(data)
    with open_store(path) as store:
        assert list(store.jobs()) == []
        store.submit(new_job())
    assert check(path).whole
