"""What every adapter of the port of stores must do; a file of tests takes these in and has a fixture `open_again`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest

from routilux.errors import KeyTakenError, StoreDamagedError, StoreError, UnknownJobError
from routilux.stores.port import Entry, NewJob, Store

PATIENCE = 30
OpenAgain = Callable[[], Store]
"""Opens the same store for writing; the test closes it."""


def new_job(job_id: str = "job", *, flow_id: str = "flow", key: str | None = None, request: bytes = b"{}") -> NewJob:
    return NewJob(job_id, flow_id, key, request, [Entry("started", 1, b"start")])


def numbered(count: int, first: int = 0) -> list[Entry]:
    return [Entry("settled", 10 + number, b"%d" % number) for number in range(first, first + count)]


def kept(store: Store, job_id: str = "job", after: int = 0) -> list[Entry]:
    return [one.entry for one in store.entries(job_id, after)]


def test_a_job_is_as_it_was_submitted(open_again: OpenAgain) -> None:
    with open_again() as store:
        submitted = store.submit(new_job(key="k", request=b"\x00\xff"))
        assert submitted == store.job("job")
        assert submitted[:5] == ("job", "flow", "k", b"\x00\xff", "pending")
        assert (submitted.entries, submitted.changed_at) == (1, 1)
        assert store.job("another") is None


def test_what_is_written_is_there_in_order_and_numbered(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.write("job", numbered(3))
        store.write("job", numbered(1, 3))
        store.write("job", [])
        found = list(store.entries("job"))
        assert [one.seq for one in found] == [1, 2, 3, 4, 5]
        assert [one.entry for one in found[1:]] == numbered(4)
        job = store.job("job")
        assert job is not None
        assert (job.entries, job.changed_at) == (5, 13)


def test_reading_may_begin_after_any_entry(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.write("job", numbered(1200))
        assert kept(store, after=0)[1:] == numbered(1200)
        assert kept(store, after=700) == numbered(1200)[699:]
        assert kept(store, after=1201) == []
        assert kept(store, after=5000) == []
        assert kept(store, "nobody") == []


def test_a_store_that_is_opened_again_has_everything_in_a_later_epoch(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        store.write("job", numbered(2))
        store.set_status("job", "running")
    with open_again() as store:
        store.write("job", numbered(1, 2))
        job = store.job("job")
        assert job is not None
        assert job.status == "running"
        assert kept(store)[1:] == numbered(3)
        epochs = [one.epoch for one in store.entries("job")]
        assert epochs[0] == epochs[1] == epochs[2] < epochs[3]


def test_each_append_is_answered_once_in_order_and_by_one_thread(open_again: OpenAgain) -> None:
    answers: list[tuple[int, StoreError | None, int]] = []

    def then(number: int) -> Callable[[StoreError | None], None]:
        return lambda error: answers.append((number, error, threading.get_ident()))

    with open_again() as store:
        store.submit(new_job("a"))
        store.submit(new_job("b"))
        for number in range(1000):
            store.append("ab"[number % 2], numbered(1, number), then(number))
        store.flush()
        assert [number for number, _, _ in answers] == list(range(1000))
        assert {error for _, error, _ in answers} == {None}
        assert len({thread for _, _, thread in answers}) == 1
        assert kept(store, "a")[1:] == [entry for number in range(0, 1000, 2) for entry in numbered(1, number)]


def test_what_joins_an_append_is_kept_and_answered_with_it(open_again: OpenAgain) -> None:
    answered: list[list[Entry]] = []
    joined = 0

    def then(entries: list[Entry]) -> Callable[[StoreError | None], None]:
        return lambda error: answered.append([*entries] if error is None else [])

    with open_again() as store:
        store.submit(new_job())
        for number in range(0, 1000, 2):
            entries = numbered(1, number)
            store.append("job", entries, then(entries))
            joined += store.join(entries, *numbered(1, number + 1))
        store.flush()
        assert len(answered) == 500
        assert sum(map(len, answered)) == 500 + joined
        assert kept(store)[1:] == [entry for entries in answered for entry in entries]


def test_what_is_answered_can_be_read(open_again: OpenAgain) -> None:
    with open_again() as store:
        seen: queue.SimpleQueue[int] = queue.SimpleQueue()
        store.submit(new_job())
        store.append("job", numbered(1), lambda error: seen.put(len(kept(store))))
        assert seen.get(timeout=PATIENCE) == 2


def test_a_write_comes_after_what_was_appended_before_it(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        for number in range(0, 200, 2):
            store.append("job", numbered(1, number), lambda error: None)
            store.write("job", numbered(1, number + 1))
        assert kept(store)[1:] == numbered(200)


def test_whoever_is_told_may_append_also_while_the_store_closes(open_again: OpenAgain) -> None:
    def then(number: int, error: StoreError | None) -> None:
        assert error is None
        if number < 500:
            store.append("job", numbered(1, number), lambda error: then(number + 1, error))

    with open_again() as store:
        store.submit(new_job())
        then(0, None)
    with open_again() as store:
        assert kept(store)[1:] == numbered(500)


def test_threads_that_write_to_a_job_of_their_own_do_not_disturb_each_other(open_again: OpenAgain) -> None:
    with open_again() as store:

        def run(name: str) -> None:
            store.submit(new_job(name))
            for number in range(0, 60, 3):
                store.append(name, numbered(1, number), lambda error: None)
                store.write(name, numbered(2, number + 1))

        threads = [threading.Thread(target=run, args=(f"job {number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert [kept(store, f"job {number}")[1:] for number in range(6)] == [numbered(60)] * 6


def test_a_key_is_submitted_once(open_again: OpenAgain) -> None:
    with open_again() as store:
        first = store.submit(new_job("first", key="k"))
        store.write("first", numbered(1))
        again = store.submit(new_job("second", key="k"))
        assert (again.job_id, again.entries) == (first.job_id, 2)
        assert store.job("second") is None
        assert store.submit(new_job("third", key="k", flow_id="another")).job_id == "third"
    with open_again() as store:
        assert store.submit(new_job("fourth", key="k")).job_id == "first"
        with pytest.raises(KeyTakenError, match="'flow' has had the key 'k'"):
            store.submit(new_job("fifth", key="k", request=b"other"))


def test_threads_that_submit_the_same_key_get_the_same_job(open_again: OpenAgain) -> None:
    given: queue.SimpleQueue[str] = queue.SimpleQueue()
    with open_again() as store:

        def run(name: str) -> None:
            given.put(store.submit(new_job(name, key="k")).job_id)

        threads = [threading.Thread(target=run, args=(f"job {number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        names = {given.get(timeout=PATIENCE) for _ in threads}
        for thread in threads:
            thread.join(PATIENCE)
        assert names == {job.job_id for job in store.jobs()}
        assert len(names) == 1


def test_an_id_is_given_once(open_again: OpenAgain) -> None:
    with open_again() as store:
        store.submit(new_job())
        with pytest.raises(StoreError, match="has a job job already"):
            store.submit(new_job())
        store.write("job", numbered(1))
        assert kept(store)[1:] == numbered(1)


def test_a_job_that_is_not_there_is_an_error_for_those_who_write_to_it_alone(open_again: OpenAgain) -> None:
    answers: list[StoreError | None] = []
    with open_again() as store:
        store.submit(new_job())
        store.append("nobody", numbered(1), answers.append)
        store.append("job", numbered(1), answers.append)
        with pytest.raises(UnknownJobError, match="no job nobody"):
            store.write("nobody", numbered(1))
        store.set_status("nobody", "running")
        store.write("job", numbered(1, 1))
        assert kept(store)[1:] == numbered(2)
    assert isinstance(answers[0], UnknownJobError)
    assert answers[1:] == [None]


def test_jobs_are_listed_newest_first_by_flow_and_status(open_again: OpenAgain) -> None:
    with open_again() as store:
        for number in range(1100):
            store.submit(new_job(str(number), flow_id=f"flow {number % 2}"))
        for number in range(0, 1100, 3):
            store.set_status(str(number), ("running", "completed", "failed")[number % 9 // 3])
        store.flush()
        listed = [int(job.job_id) for job in store.jobs()]
        assert listed == list(range(1099, -1, -1))
        assert [int(job.job_id) for job in store.jobs("flow 1")] == listed[::2]
        some = [int(job.job_id) for job in store.jobs("flow 0", ("running", "failed"))]
        assert some == [one for one in listed if one % 2 == 0 and one % 9 in (0, 6)]
        assert list(store.jobs("flow 2")) == []
        assert store.job_ids("flow 0", ("running", "failed")) == [str(number) for number in some[::-1]]
        assert store.job_ids("flow 2", ("running", "failed")) == []


def test_large_values_are_kept_by_name(open_again: OpenAgain) -> None:
    with open_again() as store:
        data = bytes(range(256)) * 4096
        name = store.save(data)
        assert store.save(data) == name
    with open_again() as store:
        assert store.load(name) == data
        with pytest.raises(StoreDamagedError, match="cannot be read"):
            store.load(name[:-1] + ("0" if name[-1] != "0" else "1"))
        with pytest.raises(StoreError, match="not the name"):
            store.load("../../etc/passwd")


def test_a_purged_job_is_gone_and_the_others_are_not(open_again: OpenAgain) -> None:
    with open_again() as store:
        for name in "abc":
            store.submit(new_job(name, key=name))
            store.write(name, numbered(5))
        store.purge("c")
        with pytest.raises(UnknownJobError):
            store.purge("c")
        with pytest.raises(UnknownJobError):
            store.write("c", numbered(1))
        assert store.submit(new_job("d", key="c")).job_id == "d"
        assert kept(store, "d") == [Entry("started", 1, b"start")]
    with open_again() as store:
        assert [job.job_id for job in store.jobs()] == ["d", "b", "a"]
        assert kept(store, "c") == []
        assert kept(store, "b")[1:] == numbered(5)


def test_finished_jobs_go_when_they_are_old(open_again: OpenAgain) -> None:
    with open_again() as store:
        for name, status in zip("abcd", ("completed", "running", "failed", "cancelled"), strict=True):
            store.submit(new_job(name))
            store.set_status(name, status)
        store.write("d", [Entry("settled", 2**62, b"in the far future")])
        assert store.purge_finished(60) == 2
        assert [job.job_id for job in store.jobs()] == ["d", "b"]


def test_a_closed_store_says_so(open_again: OpenAgain) -> None:
    store = open_again()
    store.submit(new_job())
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.write("job", numbered(1))
    with pytest.raises(StoreError, match="closed"):
        store.append("job", numbered(1), lambda error: None)
