"""Writes changes into the tables of a store, as many as it is given in one transaction, all or none.

It remembers the last link of each job that it has written to. Entries alone, however many and of however many jobs, are
one statement and one journey to the server. The row of a job itself is brought up to date now and then, by `tend`: it
shows which entries there must be, not which there are.

After a lost connection nobody knows whether a transaction was committed, nor whether the server still has what it
acknowledged. Then both are asked, with the lock and the epoch. One thread at a time may call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from routilux.errors import StoreDamagedError, StoreError
from routilux.stores.chain import Chain
from routilux.stores.changes import Addition, Answer, Barrier, Change, Compaction, Submission
from routilux.stores.port import Durability
from routilux.stores.postgres.address import Address
from routilux.stores.postgres.batch import Batch, Fact, Head, head_of
from routilux.stores.postgres.owner import Right, fenced, take, take_again
from routilux.stores.postgres.rows import WholeJob, find_jobs
from routilux.stores.postgres.session import session_for_writing, store_error
from routilux.stores.postgres.statements import Statements
from routilux.stores.postgres.tables import VERSION, check_version, make_tables
from routilux.stores.rows import FIRST, JOB, JobRow

HEADS_EVERY = 1_000_000_000
_HEADS_REMEMBERED = 10_000

# Arrays travel in binary form, so that a batch is one statement that is parsed once.
_ADD = """
WITH mine AS MATERIALIZED (SELECT epoch FROM owner WHERE epoch = %s FOR SHARE)
INSERT INTO facts (job, seq, epoch, kind, at, body, chain)
SELECT job, seq, mine.epoch, kind, at, body, chain FROM mine,
unnest(%b::bigint[], %b::bigint[], %b::text[], %b::bigint[], %b::bytea[], %b::bytea[])
AS new (job, seq, kind, at, body, chain)
"""
_ADD_ONE = """
INSERT INTO facts (job, seq, epoch, kind, at, body, chain)
SELECT %s::bigint, %s::bigint, epoch, %s::text, %s::bigint, %b::bytea, %b::bytea FROM owner WHERE epoch = %s FOR SHARE
"""
"""For one entry arrays would cost more than the entry."""

_ADD_JOBS = f"""
INSERT INTO jobs ({JOB}) SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[],
%b::bigint[], %b::bigint[], %b::bytea[], %b::bigint[])
"""
_CHANGE_JOBS = """
UPDATE jobs SET status = new.status, entries = new.entries, chain = new.chain, crc = new.crc
FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::bytea[], %b::bigint[])
AS new (number, status, entries, chain, crc), owner
WHERE jobs.number = new.number AND owner.epoch = %s
"""
_FIRSTS = """
SELECT job_id, facts.chain FROM jobs JOIN facts ON job = number AND seq = %s WHERE job_id = ANY(%s)
"""
_COMPACT = """
DELETE FROM facts USING unnest(%b::bigint[], %b::bigint[]) AS gone (job, last)
WHERE facts.job = gone.job AND seq > %s AND seq <= gone.last
"""
_NAMED = """
job_id = ANY(%(ids)s::text[]) OR number IN (SELECT number FROM unnest(%(flows)s::text[], %(keys)s::text[])
AS wanted (flow_id, key) JOIN jobs USING (flow_id, key))
"""


class _Left(NamedTuple):
    """A transaction that has begun and, if it was left, may have been committed."""

    changes: Sequence[Change]
    answers: list[Answer]
    last: Fact | None
    """An entry that is there if it was."""
    purges: int | None
    """How many jobs were removed if it was, where no entry says so."""


_NOTHING = _Left((), [], None, None)


class Ledger:
    """The only one that writes to a store."""

    def __init__(self, address: Address, durability: Durability, host: str, pid: int, now: int, chain: Chain) -> None:
        """Opens it as a new owner."""
        self._address = address
        self._durability = durability
        self._chain = chain
        self._heads: dict[str, Head] = {}
        self._behind: set[str] = set()
        self._newest: Fact | None = None
        """The last entry that was acknowledged, if its job is still there."""
        self._left: _Left | None = None
        self._next_number = 0
        self._due: int | None = None
        self._statements = Statements(address)
        self._session = session_for_writing(address, durability)
        try:
            take(self._session, address)
            make_tables(self._session, address, chain.mark)
            check_version(self._session, address, chain)
            query = "UPDATE owner SET epoch = epoch + 1, pid = %s, host = %s, since = %s, version = %s "
            query += "RETURNING epoch, purges"
            epoch, self._purges = self._row(query, (pid, host, now, VERSION))
            self._right = Right(epoch, self._session.info.backend_pid)
        except psycopg.Error as error:
            self._session.close()
            raise store_error(error, address) from error
        except StoreError:
            self._session.close()
            raise

    @property
    def epoch(self) -> int:
        """How often the store has been opened for writing."""
        return self._right.epoch

    def commit(self, changes: Sequence[Change]) -> list[Answer]:
        """Writes changes. Called again with the same list after it raised, it finds out whether they were written."""
        try:
            if self._left is not None and (answers := self._resolved(changes)) is not None:
                return answers
            try:
                return self._written(changes)
            except psycopg.OperationalError:
                if not self._session.closed:
                    raise
                # The server may have been started anew long ago: who does not wait learns that at once.
                answers = self._resolved(changes)
                return self._written(changes) if answers is None else answers
        except psycopg.Error as error:
            raise store_error(error, self._address) from error

    def tend(self, now: int) -> int | None:
        """Brings the rows of jobs up to date when it is time; says when it will be again."""
        try:
            if self._left is not None:
                self._resolved(())
            if len(self._heads) > _HEADS_REMEMBERED:
                self._heads.clear()
            if self._behind and self._due is None:
                self._due = now + HEADS_EVERY
            elif self._due is not None and now >= self._due:
                self._write_heads()
                self._due = None
        except psycopg.Error as error:
            raise store_error(error, self._address) from error
        return self._due

    def close(self) -> None:
        """Says that nobody writes any more, if it can."""
        with suppress(StoreError, psycopg.Error), closing(self._session):
            if self._left is not None:
                self._resolved(())
            self._write_heads()
            self._session.execute("UPDATE owner SET pid = 0 WHERE epoch = %s", (self.epoch,))

    def _written(self, changes: Sequence[Change]) -> list[Answer]:
        self._left = _NOTHING
        found = self._looked_up(changes)
        batch = Batch(self.epoch, self._heads, found, self._next_number, self._chain, self._firsts(changes))
        begun = any(isinstance(change, Addition) and change.statements for change in changes)
        if begun:
            self._begin()
        for change in changes:
            if isinstance(change, Addition) and change.statements and change.job_id in self._heads:
                refusal = self._statements.execute(self._session, change)
                if refusal is not None:
                    batch.answers.append(refusal)
                    continue
            batch.apply(change)
        last = batch.facts[-1] if batch.facts else None
        purges = self._purges + len(batch.removed)
        self._left = _Left(changes, batch.answers, last, purges if batch.removed and last is None else None)
        if begun or batch.new or batch.changed or batch.removed or batch.compacted:
            self._transact(batch, begun=begun)
        elif batch.facts and self._add(batch.facts) != len(batch.facts):
            raise fenced(self._address)
        if batch.removed:
            # The last entry may have been of a job that is gone; how many are gone says as much.
            self._newest = None
        self._newest = last or self._newest
        self._purges = purges
        self._next_number = batch.next_number
        self._behind = (self._behind - batch.removed.keys()) | batch.touched
        self._left = None
        return batch.answers

    def _looked_up(self, changes: Sequence[Change]) -> list[WholeJob]:
        """The jobs that changes are about and that are not known yet."""
        submitted = [change.job for change in changes if isinstance(change, Submission)]
        named = {change.job_id for change in changes if not isinstance(change, (Submission, Barrier))}
        unknown = [*(named - self._heads.keys()), *(new.job_id for new in submitted)]
        if submitted and self._next_number == 0:
            (self._next_number,) = self._row("SELECT coalesce(max(number), 0) + 1 FROM jobs")
        keys = [(new.flow_id, new.key) for new in submitted if new.key is not None]
        if not unknown:
            return []
        values = {"ids": unknown, "flows": [flow_id for flow_id, _ in keys], "keys": [key for _, key in keys]}
        return find_jobs(self._session, _NAMED, values, self._chain)

    def _firsts(self, changes: Sequence[Change]) -> dict[str, bytes]:
        """The links of the first entries of the jobs that are to be compacted."""
        compacted = [change.job_id for change in changes if isinstance(change, Compaction)]
        return dict(self._session.execute(_FIRSTS, (FIRST, compacted), binary=True).fetchall()) if compacted else {}

    def _add(self, facts: Sequence[Fact]) -> int:
        if len(facts) == 1:
            return self._session.execute(_ADD_ONE, (*facts[0], self.epoch), prepare=True).rowcount
        columns = map(list, zip(*facts, strict=True))
        return self._session.execute(_ADD, (self.epoch, *columns), prepare=True).rowcount

    def _begin(self) -> None:
        with self._session.pipeline():
            self._session.execute("BEGIN", prepare=True)
            owner = self._session.execute("SELECT epoch FROM owner FOR SHARE", prepare=True)
        if owner.fetchone() != (self.epoch,):
            self._session.execute("ROLLBACK")
            raise fenced(self._address)

    def _transact(self, batch: Batch, *, begun: bool) -> None:
        if not begun:
            self._begin()
        with self._session.pipeline():
            if batch.removed:
                self._session.execute("DELETE FROM facts WHERE job = ANY(%s)", (list(batch.removed.values()),))
                self._session.execute("DELETE FROM jobs WHERE number = ANY(%s)", (list(batch.removed.values()),))
                self._session.execute("UPDATE owner SET purges = purges + %s", (len(batch.removed),))
            if batch.compacted:
                numbers, lasts = list(batch.compacted), list(batch.compacted.values())
                self._session.execute(_COMPACT, (numbers, lasts, FIRST))
            if batch.new:
                rows = [(*job, self._chain.seal(job)) for job in batch.new.values()]
                self._session.execute(_ADD_JOBS, [*map(list, zip(*rows, strict=True))], prepare=True)
            if batch.facts:
                self._add(batch.facts)
            if batch.changed:
                self._change(list(batch.changed.values()))
            self._session.execute("COMMIT", prepare=True)

    def _change(self, jobs: Sequence[JobRow]) -> int:
        rows = [(job.number, job.status, job.entries, job.chain, self._chain.seal(job)) for job in jobs]
        columns = map(list, zip(*rows, strict=True))
        return self._session.execute(_CHANGE_JOBS, (*columns, self.epoch), prepare=True).rowcount

    def _write_heads(self) -> None:
        if unknown := [job_id for job_id in self._behind if job_id not in self._heads]:
            for job, _, last in find_jobs(self._session, "job_id = ANY(%(ids)s)", {"ids": unknown}, self._chain):
                self._heads[job.job_id] = head_of(job, last)
        heads = [head for job_id in self._behind if (head := self._heads.get(job_id)) is not None]
        jobs = [head.job._replace(entries=head.seq, chain=head.chain) for head in heads]
        if jobs:
            self._left = _NOTHING
            if self._change(jobs) != len(jobs):
                raise fenced(self._address)
            self._left = None
        for head, job in zip(heads, jobs, strict=True):
            head.job = job
        self._behind.clear()

    def _resolved(self, changes: Sequence[Change]) -> list[Answer] | None:
        """The answers to the changes of a transaction that was left, if it was theirs and has been committed."""
        left = self._left or _NOTHING
        self._left = left
        self._heads.clear()
        self._next_number = 0
        self._restore(left)
        answers = None
        if left.changes is changes and self._committed(left):
            answers, self._newest = left.answers, left.last
            self._purges = self._purges if left.purges is None else left.purges
        self._left = None
        return answers

    def _committed(self, left: _Left) -> bool:
        if left.last is not None:
            return self._has(left.last)
        return left.purges is not None and self._row("SELECT purges FROM owner") == (left.purges,)

    def _has(self, fact: Fact) -> bool:
        query = "SELECT count(*) FROM facts WHERE job = %s AND seq = %s AND chain = %s"
        return self._row(query, (fact[0], fact[1], fact[5])) == (1,)

    def _restore(self, left: _Left) -> None:
        """A session outside of any transaction, with the right to write, of a server that has lost nothing.

        What was acknowledged last may have gone by what was left, a compaction: whatever is there of that came after.
        """
        status = self._session.info.transaction_status
        if status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            with suppress(psycopg.OperationalError):
                self._session.execute("ROLLBACK")
        if self._session.info.transaction_status == TransactionStatus.IDLE:
            return
        self._session.close()
        session = session_for_writing(self._address, self._durability)
        try:
            take_again(session, self._address, self._right)
        except (psycopg.Error, StoreError):
            session.close()
            raise
        self._session = session
        self._right = Right(self.epoch, session.info.backend_pid)
        if self._newest is not None and not (self._has(self._newest) or self._committed(left)):
            raise StoreDamagedError(
                f"The store {self._address.place} has lost what was written last: its server crashed, and what is kept "
                'with durability="process" need not survive that. Open it again: jobs go on from what is there.',
                None,
                self._newest[1],
            )

    def _row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        row = self._session.execute(query, values).fetchone()
        assert row is not None
        return row
