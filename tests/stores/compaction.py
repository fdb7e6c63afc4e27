"""What every adapter does with an entry that stands for those before it; taken in like `contract`."""

from __future__ import annotations

import queue

import pytest

from routilux.errors import StoreDamagedError, UnknownJobError
from routilux.stores.port import Entry
from tests.stores.contract import PATIENCE, OpenAgain, kept, new_job, numbered
from tests.stores.keys import KEY, Execute, OpenKeyed

SNAPSHOT = Entry("snapshot", 50, b"what they come to")
FIRST = Entry("started", 1, b"start")


def test_an_entry_stands_for_all_but_the_first(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.submit(new_job("other"))
        store.write("job", numbered(1200))
        store.write("other", numbered(3))
        store.compact("job", SNAPSHOT)
        store.write("job", numbered(2, 1200))
        found = list(store.entries("job"))
        assert [one.seq for one in found] == [1, 1202, 1203, 1204]
        assert [one.entry for one in found] == [FIRST, SNAPSHOT, *numbered(2, 1200)]
        job = store.job("job")
        assert job is not None
        assert (job.entries, job.changed_at) == (1204, 1211)
        assert kept(store, "other")[1:] == numbered(3)
    with open_again() as store:
        assert kept(store) == [FIRST, SNAPSHOT, *numbered(2, 1200)]


def test_reading_may_begin_after_an_entry_that_is_gone(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.write("job", numbered(5))
        store.compact("job", SNAPSHOT)
        store.write("job", numbered(1))
        for after in (1, 2, 6):
            assert kept(store, after=after) == [SNAPSHOT, *numbered(1)]
        assert kept(store, after=7) == numbered(1)
        assert kept(store, after=8) == kept(store, after=99) == []


def test_a_job_is_compacted_as_often_as_is_wanted(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.compact("job", SNAPSHOT)
        store.compact("job", SNAPSHOT)
        store.write("job", numbered(1))
        store.compact("job", SNAPSHOT)
        store.flush()
        assert [one.seq for one in store.entries("job")] == [1, 5]
        store.submit(new_job("empty")._replace(entries=()))
        store.compact("empty", SNAPSHOT)
        store.flush()
        assert kept(store, "empty") == [SNAPSHOT]
    with open_again() as store:
        store.compact("job", SNAPSHOT)
        store.purge("job")
        assert store.job("job") is None
        store.compact("job", SNAPSHOT)
        with pytest.raises(UnknownJobError):
            store.write("job", numbered(1))


def test_what_is_in_line_with_it_is_kept_in_order(open_again: OpenAgain) -> None:
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    with open_again() as store:
        for name in ("job", "other"):
            store.submit(new_job(name))
        for number in range(200):
            store.append("job", numbered(1, number), answers.put)
            store.append("other", numbered(1, number), answers.put)
            if number % 7 == 3:
                store.compact("job", SNAPSHOT)
            if number % 50 == 20:
                store.set_status("job", "running")
        store.flush()
        assert {answers.get(timeout=PATIENCE) for _ in range(400)} == {None}
        assert kept(store) == [FIRST, SNAPSHOT]
        assert [one.seq for one in store.entries("job")] == [1, 230]
        assert kept(store, "other")[1:] == numbered(200)
        job = store.job("job")
        assert job is not None
        assert job.status == "running"


def test_whoever_reads_while_a_job_is_compacted_sees_it_as_it_was(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.write("job", numbered(1200))
        reading = store.entries("job")
        read = [next(reading)]
        store.compact("job", SNAPSHOT)
        store.flush()
        read += reading
        assert [one.entry for one in read] == [FIRST, *numbered(1200)]
        assert kept(store) == [FIRST, SNAPSHOT]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM facts WHERE seq = 1",
        "DELETE FROM facts WHERE seq = 9",
        "DELETE FROM facts WHERE seq = 10",
        "DELETE FROM facts WHERE seq > 1",
        "UPDATE facts SET seq = 5 WHERE seq = 9",
        "UPDATE facts SET body = 'another' WHERE seq = 9",
    ],
)
def test_nobody_takes_away_what_stands_for_the_start_unnoticed(
    statement: str, open_keyed: OpenKeyed, execute: Execute
) -> None:
    with open_keyed(journal_key=KEY) as store:
        store.submit(new_job())
        store.write("job", numbered(7))
        store.compact("job", SNAPSHOT)
        store.write("job", numbered(4))
    execute(statement.replace("'another'", "?"), (b"another",) if "another" in statement else ())
    with open_keyed(journal_key=KEY) as store, pytest.raises(StoreDamagedError):
        kept(store)
