"""The line in which changes wait, with something that writes as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from routilux.clock import SystemClock
from routilux.errors import FencedError, StoreBusyError, StoreError
from routilux.stores.changes import Addition, Answer, Barrier, Change
from routilux.stores.committer import MOST_AT_ONCE, Committer
from routilux.stores.port import Entry
from routilux.testing.clock import ManualClock

PATIENCE = 30
Write = Callable[[Sequence[Change]], list[Answer]]


@contextmanager
def committing(
    write: Write, *, clock: SystemClock | ManualClock | None = None, grace: float = 0.0
) -> Iterator[Committer]:
    committer = Committer(write, lambda now: None, clock or SystemClock(), grace)
    yield committer
    committer.close()


def named(number: int) -> Addition:
    return Addition(str(number), [])


def test_what_comes_in_during_a_commit_goes_into_the_next(nothing_is_left: None) -> None:
    sizes: list[int] = []
    begun, may_end = threading.Event(), threading.Event()

    def write(changes: Sequence[Change]) -> list[Answer]:
        sizes.append(len(changes))
        begun.set()
        assert may_end.wait(PATIENCE)
        return [None] * len(changes)

    with committing(write) as committer:
        committer.accept(named(0))
        assert begun.wait(PATIENCE)
        for number in range(MOST_AT_ONCE + 10):
            committer.accept(named(number))
        may_end.set()
        committer.flush()
    assert sizes[:2] == [1, MOST_AT_ONCE]
    assert sum(sizes[2:]) in (10, 11)


def test_an_addition_grows_while_it_stands_last_in_line() -> None:
    written: list[list[Entry]] = []
    begun, may_end = threading.Event(), threading.Event()
    told: list[int] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        written.extend(list(change.entries) for change in changes if isinstance(change, Addition))
        begun.set()
        assert may_end.wait(PATIENCE)
        return [None] * len(changes)

    def entry(number: int) -> Entry:
        return Entry("kind", number, b"")

    first, second, third = [entry(0)], [entry(1)], [entry(4)]
    with committing(write) as committer:
        committer.accept(Addition("job", first))
        assert begun.wait(PATIENCE)
        assert not committer.join(first, entry(9)), "it is being written"
        committer.accept(Addition("job", second), lambda _: told.append(len(second)))
        assert committer.join(second, entry(2))
        assert committer.join(second, entry(3))
        committer.accept(Addition("other", third))
        assert not committer.join(second, entry(9)), "something stands behind it"
        while committer.join(third, entry(5)):
            pass
        may_end.set()
    assert [len(entries) for entries in written] == [1, 3, MOST_AT_ONCE]
    assert written[1] == [entry(1), entry(2), entry(3)]
    assert told == [3]


def test_who_waits_for_a_change_makes_it_where_nobody_stands_in_line() -> None:
    threads: list[int] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        threads.append(threading.get_ident())
        return [None] * len(changes)

    with committing(write) as committer:
        committer.make(named(0))
        committer.accept(named(1))
        committer.make(named(2))
    assert threads[0] == threading.get_ident()
    assert threading.get_ident() not in threads[1:2]


def test_a_change_that_is_interrupted_is_given_again_as_the_same_list() -> None:
    given: list[Sequence[Change]] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        given.append(changes)
        if len(given) == 1:
            raise KeyboardInterrupt
        return [None] * len(changes)

    with committing(write) as committer, pytest.raises(KeyboardInterrupt):
        committer.make(Barrier())
    assert len(given) == 2
    assert given[0] is given[1]


def test_a_trouble_that_passes_is_waited_for() -> None:
    clock = ManualClock()
    tried = threading.Semaphore(0)
    lists: list[Sequence[Change]] = []
    answers: list[Answer] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        lists.append(changes)
        tried.release()
        if len(lists) < 5:
            raise StoreBusyError("locked")
        return [None] * len(changes)

    with committing(write, clock=clock, grace=30) as committer:
        committer.accept(named(0), answers.append)
        while len(lists) < 5:
            clock.advance(0.5)
            tried.acquire(timeout=0.01)
        committer.flush()
    assert answers == [None]
    assert all(one is lists[0] for one in lists[:5])


def test_after_a_trouble_that_does_not_pass_nothing_is_written() -> None:
    lists: list[Sequence[Change]] = []
    answers: list[Answer] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        lists.append(changes)
        raise StoreBusyError("locked")

    with committing(write) as committer:
        committer.accept(named(0), answers.append)
        with pytest.raises(StoreBusyError):
            committer.flush()
        tries = len(lists)
        committer.accept(named(1), answers.append)
        with pytest.raises(StoreBusyError):
            committer.make(named(2))
        with pytest.raises(StoreBusyError):
            committer.flush()
    assert [type(answer) for answer in answers] == [StoreBusyError, StoreBusyError]
    assert len(lists) == tries


def test_an_impatient_change_does_not_wait_and_breaks_nothing() -> None:
    def write(changes: Sequence[Change]) -> list[Answer]:
        if changes == [named(0)]:
            raise StoreBusyError("locked")
        return [None] * len(changes)

    with committing(write, clock=ManualClock(), grace=30) as committer:
        with pytest.raises(StoreBusyError):
            committer.make(named(0), patient=False)
        committer.make(named(1))


def test_what_cannot_pass_is_not_tried_again() -> None:
    lists: list[Sequence[Change]] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        lists.append(changes)
        raise FencedError("overtaken")

    with committing(write, clock=ManualClock(), grace=30) as committer:
        with pytest.raises(FencedError):
            committer.make(named(0))
        with pytest.raises(FencedError):
            committer.make(named(1))
    assert lists == [[named(0)]]


def test_everyone_is_told_though_one_raises_and_then_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda info: None)
    begun, may_end = threading.Event(), threading.Event()
    answers: list[Answer] = []

    def write(changes: Sequence[Change]) -> list[Answer]:
        begun.set()
        assert may_end.wait(PATIENCE)
        return [None] * len(changes)

    def fails(answer: Answer) -> None:
        raise LookupError("on purpose")

    with committing(write, clock=ManualClock(start=1)) as committer:
        committer.accept(named(0), fails)
        assert begun.wait(PATIENCE)
        for number in range(3):
            committer.accept(named(number), answers.append)
        may_end.set()
    assert len(answers) == 3
    assert {type(answer) for answer in answers} == {StoreError}
