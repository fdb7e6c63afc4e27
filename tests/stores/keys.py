"""What a journal key does in every adapter; a file of tests takes these in, as it does the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from routilux.errors import JournalKeyError, StoreDamagedError
from routilux.stores.chain import Chain
from routilux.stores.port import Entry, NewJob, Store

KEY = bytes(range(32))
OpenKeyed = Callable[..., Store]
"""Opens the same store with these arguments, for writing unless they say otherwise; the test closes it."""
Execute = Callable[[str, tuple[object, ...]], None]
"""Executes a statement on the store's database, with ? for parameters."""

FORGED = Entry("settled", 12, b"forged")


def filled(open_keyed: OpenKeyed, key: bytes | None) -> None:
    with open_keyed(journal_key=key) as store:
        store.submit(NewJob("job", "flow", None, b"{}", [Entry("settled", 11, b"one")]))
        store.write("job", [Entry("settled", 12, b"two")])


@pytest.mark.parametrize(
    ("made_with", "opened_with", "reason"),
    [
        (KEY, None, "was made with a journal_key, and none is given"),
        (KEY, KEY[:16], "was made with another journal_key"),
        (None, KEY, "was made without a journal_key, and one is given"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_store_is_opened_with_the_key_it_was_made_with(
    open_keyed: OpenKeyed, made_with: bytes | None, opened_with: bytes | None, reason: str, *, read_only: bool
) -> None:
    filled(open_keyed, made_with)
    arguments = {"read_only": True} if read_only else {}
    with pytest.raises(JournalKeyError, match=reason) as raised:
        open_keyed(journal_key=opened_with, **arguments)
    assert not any(one in str(raised.value) for one in (KEY.hex(), repr(KEY), "x00"))
    with open_keyed(journal_key=made_with, **arguments) as store:
        assert [one.entry.body for one in store.entries("job")] == [b"one", b"two"]


def test_a_key_that_is_short_is_refused(open_keyed: OpenKeyed) -> None:
    with pytest.raises(JournalKeyError, match="has 5 bytes. Give one of 16"):
        open_keyed(journal_key=b"short")


@pytest.mark.parametrize("chain", [Chain(), Chain(KEY[::-1])], ids=["none", "another"])
def test_nobody_can_change_an_entry_without_the_key(open_keyed: OpenKeyed, execute: Execute, chain: Chain) -> None:
    filled(open_keyed, KEY)
    link = chain.next(b"\0" * 32, 2, 1, FORGED)
    execute("UPDATE facts SET body = ?, chain = ? WHERE job = 1 AND seq = 2", (b"forged", link))
    with open_keyed(journal_key=KEY, read_only=True) as store, pytest.raises(StoreDamagedError) as raised:
        list(store.entries("job"))
    assert (raised.value.job_id, raised.value.seq) == ("job", 2)


def test_nobody_can_make_an_unfinished_job_a_finished_one_without_the_key(
    open_keyed: OpenKeyed, execute: Execute
) -> None:
    filled(open_keyed, KEY)
    with open_keyed(journal_key=KEY, read_only=True) as store:
        (job,) = store.jobs()
    unkeyed = Chain()
    link = unkeyed.first("job", "flow", None, job.created_at, b"{}")
    seal = unkeyed.seal((1, "job", "flow", None, "completed", job.created_at, 0, link))
    execute("UPDATE jobs SET status = ?, entries = 0, chain = ?, crc = ? WHERE number = 1", ("completed", link, seal))
    with open_keyed(journal_key=KEY, read_only=True) as store, pytest.raises(StoreDamagedError):
        store.job("job")


def test_a_store_that_was_written_anew_without_the_key_is_not_opened_with_it(
    open_keyed: OpenKeyed, execute: Execute
) -> None:
    filled(open_keyed, None)
    execute("UPDATE owner SET mark = ?", (Chain(KEY).mark,))
    with open_keyed(journal_key=KEY, read_only=True) as store, pytest.raises(StoreDamagedError):
        store.job("job")
