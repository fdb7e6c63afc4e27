"""The store of PostgreSQL, put together of its parts, and the one way to open it."""

from __future__ import annotations

import os
import platform
from functools import partial

from routilux.errors import StoreError
from routilux.ports import Clock
from routilux.stores.chain import Chain
from routilux.stores.committed import CommittedStore, LargeValues
from routilux.stores.committer import Committer
from routilux.stores.port import Durability, NewJob, Records, StoredJob
from routilux.stores.postgres.address import Address, address_of
from routilux.stores.postgres.ledger import Ledger
from routilux.stores.postgres.records import PostgresRecords
from routilux.stores.postgres.session import Sessions, session_for_writing
from routilux.stores.postgres.values import Values


def open_store(
    dsn: str,
    durability: Durability,
    *,
    read_only: bool,
    store_grace: float,
    retention: float | None,
    clock: Clock,
    journal_key: bytes | None,
) -> Records:
    """Opens the store of an address; its schema is made if need be, and for reading only, nothing is written.

    Raises `StoreInUseError` if somebody writes to it, `StoreVersionError` if it is no store of this version,
    `SettingError` if others could read along, and `StoreUnavailableError` if the server cannot be reached.
    """
    address, chain = address_of(dsn), Chain(journal_key)
    if read_only:
        return PostgresRecords(address, chain)
    return PostgresStore(address, durability, clock, store_grace, retention, chain)


class PostgresStore(CommittedStore):
    """A schema, one session that writes entries, and some that read and that write large values."""

    def __init__(
        self,
        address: Address,
        durability: Durability,
        clock: Clock,
        store_grace: float,
        retention: float | None,
        chain: Chain,
    ) -> None:
        ledger = Ledger(address, durability, platform.node(), os.getpid(), clock.epoch(), chain)
        try:
            records = PostgresRecords(address, chain)
        except StoreError:
            ledger.close()
            raise
        sessions = Sessions(address, partial(session_for_writing, address, durability))
        values = Values(address, sessions, ledger.epoch, clock, store_grace)

        def closed() -> None:
            values.close()
            ledger.close()

        committer = Committer(ledger.commit, ledger.tend, clock, store_grace)
        kept = LargeValues(values.save, values.load, values.sweep)
        super().__init__(address.place, records, committer, kept, clock, closed, retention)

    def submit(self, job: NewJob) -> StoredJob:
        for name, text in (("id", job.job_id), ("flow", job.flow_id), ("key", job.key or "")):
            if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
                raise StoreError(f"The {name} {text!r} of a job cannot be kept on a server: it is no text of Unicode.")
        return super().submit(job)
