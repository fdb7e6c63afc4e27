"""What only happens to a store on a server: restarts, lost sessions, second openers, kills, strangers, damage."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from routilux.errors import (
    FencedError,
    ForkedError,
    StoreDamagedError,
    StoreError,
    StoreInUseError,
    StoreUnavailableError,
    StoreVersionError,
)
from routilux.stores.opening import check, open_store
from routilux.stores.port import Durability, Entry, Store
from tests.faults.trials import SIZE
from tests.postgres import Server, running
from tests.stores.compaction import FIRST, SNAPSHOT
from tests.stores.contract import PATIENCE, kept, new_job, numbered
from tests.stores.interrupted import interrupt_writes

psycopg = pytest.importorskip("psycopg")
ledger = pytest.importorskip("routilux.stores.postgres.ledger")

NUMBERS = itertools.count()
RESTARTS = 2 if SIZE == "tiny" else 4
KILLS = 3 if SIZE == "tiny" else 10
CUTS = 25

WRITER = """
import sys
from routilux.stores.opening import open_store
from routilux.stores.port import Durability, Entry, NewJob

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

ORPHANING = """
import os, sys
from routilux.stores.opening import open_store
from routilux.stores.port import NewJob

store = open_store(sys.argv[1])
store.submit(NewJob("job", "flow", None, b""))
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("forked", flush=True)
os._exit(9)
"""


@pytest.fixture
def dsn(server: Server) -> str:
    return server.dsn(f"faults_{next(NUMBERS)}")


@pytest.fixture
def foreign(server: Server) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(server.conninfo, autocommit=True)) as connection:
        yield connection


def schema(dsn: str) -> str:
    return dsn.rpartition("namespace=")[2]


def end_sessions(foreign: psycopg.Connection) -> int:
    """Ends the sessions that write to stores, as an administrator would."""
    query = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    return foreign.execute(query).fetchone()[0]


class Appending:
    """Appends numbered entries as fast as they are acknowledged, a few at once, until it is stopped or one fails."""

    def __init__(self, store: Store) -> None:
        self.acknowledged: list[int] = []
        self.errors: list[StoreError] = []
        self._store = store
        self._stopped = False
        self._next = itertools.count()
        for _ in range(8):
            self._append()

    def stop(self) -> None:
        self._stopped = True
        self._store.flush()

    def _append(self) -> None:
        number = next(self._next)
        self._store.append("job", numbered(1, number), lambda error: self._then(number, error))

    def _then(self, number: int, error: StoreError | None) -> None:
        if error is not None:
            self.errors.append(error)
        else:
            self.acknowledged.append(number)
            if not self._stopped and not self.errors:
                self._append()


def until(appending: Appending, count: int) -> None:
    """Returns when so many more are acknowledged."""
    wanted = len(appending.acknowledged) + count
    tick = threading.Event()
    for _ in range(PATIENCE * 1000):
        if len(appending.acknowledged) >= wanted or appending.errors:
            return
        tick.wait(0.001)
    raise AssertionError("nothing more is acknowledged")


def test_sessions_that_are_ended_while_entries_are_written_lose_and_double_nothing(
    dsn: str, foreign: psycopg.Connection, record_property: Callable[..., None]
) -> None:
    ended = 0
    with open_store(dsn) as store:
        store.submit(new_job())
        appending = Appending(store)
        for _ in range(CUTS):
            until(appending, 40)
            ended += end_sessions(foreign)
        until(appending, 40)
        appending.stop()
        assert appending.errors == []
        assert kept(store)[1:] == numbered(len(appending.acknowledged))
    assert ended >= CUTS // 2
    assert check(dsn).whole
    record_property("trials", ("P1 sessions of a server ended", "store", ended))


def test_a_compaction_whose_answer_was_lost_has_lost_nothing(
    dsn: str, foreign: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact, ended = ledger.Ledger._transact, []

    def unheard(self, batch, *, begun):
        transact(self, batch, begun=begun)
        if batch.compacted:
            ended.append(end_sessions(foreign))
            self._session.execute("SELECT 1")

    monkeypatch.setattr(ledger.Ledger, "_transact", unheard)
    with open_store(dsn) as store:
        store.submit(new_job())
        store.write("job", numbered(5))
        store.compact("job", SNAPSHOT)
        store.write("job", numbered(2, 5))
        assert kept(store) == [FIRST, SNAPSHOT, *numbered(2, 5)]
    assert ended == [1]
    assert check(dsn).whole


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_started_anew_while_entries_are_written_has_all_of_them(
    mode: str, record_property: Callable[..., None]
) -> None:
    with running() as server:
        dsn = server.dsn("restarts")
        with open_store(dsn) as store:
            store.submit(new_job())
            appending = Appending(store)
            for _ in range(RESTARTS):
                until(appending, 100)
                server.stop(mode)
                server.start()
            until(appending, 100)
            appending.stop()
            assert appending.errors == []
            assert kept(store)[1:] == numbered(len(appending.acknowledged))
            # Whoever does not wait is served as well once the server is there again.
            server.stop(mode)
            server.start()
            assert store.submit(new_job("another")).job_id == "another"
        assert check(dsn).whole
    record_property("trials", (f"P2 server restarted, {mode}", "store", RESTARTS + 1))


def test_a_server_that_crashes_has_a_beginning_of_what_was_kept_for_the_process_and_the_store_says_so() -> None:
    with running() as server:
        dsn, lost = server.dsn("crash"), 0
        with closing(psycopg.connect(server.conninfo, autocommit=True)) as foreign:
            # So that there is something to lose.
            foreign.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            foreign.execute("SELECT pg_reload_conf()")
        for _ in range(RESTARTS):
            with open_store(dsn, Durability.PROCESS) as store:
                first = store.submit(new_job(key="k")).entries - 1
                store.flush()
                appending = Appending(store)
                until(appending, 300)
                server.stop("immediate")
                server.start()
                if not appending.errors:
                    until(appending, 100)
                if appending.errors:
                    lost += 1
                    assert isinstance(appending.errors[0], StoreDamagedError)
                    assert "crashed" in str(appending.errors[0])
                    with pytest.raises(StoreDamagedError):
                        store.write("job", numbered(1))
                else:
                    appending.stop()
                found = [int(entry.body) for entry in kept(store)[1 + first :]]
                assert found == list(range(len(found)))
            assert check(dsn).whole
        assert lost > 0


def test_a_server_that_is_gone_for_good_is_an_error(dsn: str) -> None:
    with running() as server:
        store = open_store(server.dsn("gone"), store_grace=0.3)
        store.submit(new_job())
        answers: list[StoreError | None] = []
        server.stop("fast")
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            store.submit(new_job("another"))
        with pytest.raises(StoreUnavailableError):
            store.job("job")
        store.append("job", numbered(1), answers.append)
        with pytest.raises(StoreUnavailableError):
            store.flush()
        with pytest.raises(StoreUnavailableError):
            store.save(b"value")
        assert isinstance(answers[0], StoreUnavailableError)
        store.close()
        server.start()
        with open_store(server.dsn("gone")) as store:
            assert len(kept(store)) == 1


def test_a_second_opener_is_told_who_has_the_store(dsn: str) -> None:
    with open_store(dsn):
        with pytest.raises(StoreInUseError, match=f"in use by process {os.getpid()} on .* since 20.*served by"):
            open_store(dsn)
        command = [sys.executable, "-c", WRITER, dsn, "power"]
        other = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
        assert "StoreInUseError: The store postgresql://" in other.stderr
        with open_store(dsn + "_other"):
            pass
    with open_store(dsn):
        pass


def test_a_store_may_be_read_while_another_process_writes_to_it(dsn: str) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, dsn, "power"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if line == b"20\n":
                break
        with open_store(dsn, read_only=True) as records:
            assert len(list(records.entries("job"))) >= 20
            with pytest.raises(StoreInUseError, match=f"process {writer.pid} on"):
                open_store(dsn)
        assert check(dsn).whole
        writer.kill()


@pytest.mark.parametrize("count", [1, 2])
def test_who_was_overtaken_writes_nothing_more(dsn: str, foreign: psycopg.Connection, count: int) -> None:
    answers: list[StoreError | None] = []
    with open_store(dsn) as store:
        store.submit(new_job())
        end_sessions(foreign)
        with open_store(dsn) as taker:
            with pytest.raises(FencedError, match="opened by somebody else"):
                store.write("job", numbered(count))
            store.append("job", numbered(1), answers.append)
            store.set_status("job", "running")
            with pytest.raises(FencedError):
                store.submit(new_job("another"))
            with pytest.raises(FencedError):
                store.save(b"value")
            taker.write("job", numbered(1))
    assert [type(answer) for answer in answers] == [FencedError]
    with open_store(dsn) as store:
        assert [(job.job_id, job.status, job.entries) for job in store.jobs()] == [("job", "pending", 2)]


@pytest.mark.parametrize("call", ["write", "submit", "set_status"])
def test_an_epoch_that_is_over_is_noticed_even_by_who_still_has_a_session(
    dsn: str, foreign: psycopg.Connection, call: str
) -> None:
    with open_store(dsn) as store:
        store.submit(new_job())
        foreign.execute(f"UPDATE {schema(dsn)}.owner SET epoch = epoch + 1")
        with pytest.raises(FencedError):
            if call == "write":
                store.write("job", numbered(1))
            elif call == "submit":
                store.submit(new_job("another"))
            else:
                store.set_status("job", "running")
                store.flush()
    with open_store(dsn, read_only=True) as records:
        assert [(job.status, job.entries) for job in records.jobs()] == [("pending", 1)]


@pytest.mark.parametrize("durability", list(Durability))
def test_a_killed_writer_loses_nothing_that_it_was_told_of(
    dsn: str, durability: Durability, record_property: Callable[..., None]
) -> None:
    chance = random.Random(f"kill {durability}")
    acknowledged, found = 0, []
    for _ in range(KILLS):
        command = [sys.executable, "-c", WRITER, dsn, durability]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "open\n"
            for _ in range(chance.randrange(200)):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            acknowledged = max([acknowledged, *map(int, told)])
        with open_store(dsn, read_only=True) as records:
            found = [int(one.entry.body) for one in records.entries("job")]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= acknowledged
    findings = check(dsn)
    assert findings.whole
    assert findings.entries >= len(found)
    record_property("trials", ("P3 writer to a server killed", "store", KILLS))


def test_a_write_that_is_interrupted_is_made_whole_or_not_at_all_and_the_next_goes_on(dsn: str) -> None:
    interrupt_writes(dsn, 50)
    assert check(dsn).whole


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_was_forked_must_not_use_the_store_and_does_not_harm_it(dsn: str) -> None:
    with open_store(dsn) as store:
        store.submit(new_job())
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (store.flush, lambda: store.job("job"), lambda: store.write("job", []), store.close):
                try:
                    call()
                except ForkedError:
                    refused += 1
            os._exit(0 if refused == 4 else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0
        store.write("job", numbered(3))
        assert kept(store)[1:] == numbered(3)


def test_a_child_that_outlives_a_dead_owner_does_not_keep_the_store(dsn: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ORPHANING, dsn]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"forked\n"
        assert owner.wait(PATIENCE) == 9
        with open_store(dsn) as store:
            store.write("job", numbered(1))
            assert kept(store) == numbered(1)


def test_what_is_no_store_of_ours_is_left_alone(dsn: str, foreign: psycopg.Connection) -> None:
    with pytest.raises(StoreUnavailableError, match="There is no store"):
        open_store(dsn, read_only=True)
    foreign.execute(f"CREATE SCHEMA {schema(dsn)}; CREATE TABLE {schema(dsn)}.theirs (x integer)")
    with pytest.raises(StoreVersionError, match="no store of Routilux"):
        open_store(dsn)
    with open_store(dsn + "_new"):
        pass
    foreign.execute(f"UPDATE {schema(dsn)}_new.owner SET version = 99")
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match="version 99"):
            open_store(dsn + "_new", read_only=read_only)


def test_a_store_of_the_version_before_is_read_and_becomes_one_of_this(dsn: str, foreign: psycopg.Connection) -> None:
    with open_store(dsn) as store:
        store.submit(new_job())
    foreign.execute(f"UPDATE {schema(dsn)}.owner SET version = 2")
    with open_store(dsn, read_only=True) as records:
        assert records.job("job") is not None
    with open_store(dsn) as store:
        store.write("job", numbered(1))
    assert foreign.execute(f"SELECT version FROM {schema(dsn)}.owner").fetchone() == (3,)


def test_an_empty_schema_that_an_administrator_made_is_used(dsn: str, foreign: psycopg.Connection) -> None:
    foreign.execute(f"CREATE SCHEMA {schema(dsn)}")
    with open_store(dsn) as store:
        store.submit(new_job())


def test_text_that_a_server_cannot_keep_is_refused_alone(dsn: str) -> None:
    with open_store(dsn) as store:
        with pytest.raises(StoreError, match="no text of Unicode"):
            store.submit(new_job(key="a\0b"))
        store.submit(new_job(key="ä\n€"))


HARMS = {
    "a body": "UPDATE facts SET body = 'other' WHERE seq = 3",
    "a moment": "UPDATE facts SET at = at + 1 WHERE seq = 3",
    "a missing entry": "DELETE FROM facts WHERE seq = 3",
    "a missing end": "DELETE FROM facts WHERE seq >= 3",
    "a request": "UPDATE facts SET body = 'other' WHERE seq = 0",
    "a row": "UPDATE jobs SET status = 'completed'",
    "a missing row": "DELETE FROM jobs",
    "a value": "UPDATE large_values SET data = 'other'",
    "a missing value": "DELETE FROM large_values",
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_damage_is_found_and_never_served(dsn: str, foreign: psycopg.Connection, harm: str) -> None:
    with open_store(dsn) as store:
        store.submit(new_job())
        name = store.save(b"large" * 1000)
        written = [*numbered(4), Entry("settled", 20, name.encode())]
        store.write("job", written)
    whole = check(dsn)
    assert (whole.whole, whole.jobs, whole.entries, whole.orphaned_blobs) == (True, 1, 6, ())
    foreign.execute(f"SET search_path = {schema(dsn)}; {harm}")
    assert not check(dsn).whole
    served: list[Entry] = []
    with open_store(dsn, read_only=True) as records:
        try:
            served += [one.entry for one in records.entries("job")][1:]
            records.load(name)
        except StoreDamagedError:
            pass
    assert served in ([], written)


def test_values_that_nothing_names_go_when_they_are_old(dsn: str, foreign: psycopg.Connection) -> None:
    with open_store(dsn) as store:
        names = [store.save(data) for data in (b"named", b"old", b"young")]
        store.submit(new_job())
        store.write("job", [Entry("settled", 1, f"see {names[0]}".encode())])
        store.submit(new_job("other"))
        foreign.execute(f"UPDATE {schema(dsn)}.large_values SET saved_at = 0 WHERE name != %s", (names[2],))
        store.purge("other")
        assert store.load(names[0]) == b"named"
        assert store.load(names[2]) == b"young"
        with pytest.raises(StoreDamagedError):
            store.load(names[1])
    assert check(dsn).orphaned_blobs == (names[2],)
