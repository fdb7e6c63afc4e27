"""Writes changes into the file of a store, as many as it is given in one transaction, all or none.

It remembers the last link of each job that it has written to, so that an entry costs one row. The row of a job itself
is brought up to date now and then, by `tend`: it shows which entries there must be, not which there are.

After an interruption or a failing disk nobody knows whether a transaction was committed. Then what it remembers is
worth nothing, and it asks the file. One thread at a time may call it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from routilux.errors import FencedError, KeyTakenError, StoreError, StoreUnavailableError, UnknownJobError
from routilux.stores.chain import Chain
from routilux.stores.changes import Addition, Answer, Change, Compaction, Removal, StatusChange, Submission
from routilux.stores.port import Durability, NewJob, StoredJob
from routilux.stores.rows import JOB, JobRow, job_row
from routilux.stores.sqlite.batch import MOST_ROWS, NOTHING, Batch, Head, Left, left_by
from routilux.stores.sqlite.compaction import CHANGE, compact
from routilux.stores.sqlite.file import check_structure, mark_of, open_for_writing, store_error
from routilux.stores.sqlite.records import stored
from routilux.stores.sqlite.rows import find_job, last_fact
from routilux.stores.sqlite.statements import Statements
from routilux.stores.sqlite.tail import Mark, Tail

CHECKPOINT_BYTES = 4_000_000
"""So large may the log become, about, before it is worked into the file."""

HEADS_EVERY = 1_000_000_000
_HEADS_REMEMBERED = 10_000
_PAGE = 4_120
_PENDING = "pending"
_ADD_ONE = """
INSERT INTO facts (job, seq, epoch, kind, at, body, chain) SELECT ?, ?, epoch, ?, ?, ?, ? FROM owner WHERE epoch = ?
"""

_NEXT = "SELECT coalesce(max(number), 0) + 1, EXISTS (SELECT 1 FROM jobs WHERE job_id = ?) FROM jobs"


class Ledger:
    """The only one that writes to a file."""

    def __init__(
        self, path: Path, durability: Durability, host: str, pid: int, now: int, chain: Chain | None = None
    ) -> None:
        """Opens it as a new owner. Raises `StoreDamagedError` if the end of what was written is missing."""
        self._path = path
        self._durability = durability
        self._chain = Chain() if chain is None else chain
        self._connection = open_for_writing(path, durability, self._chain.mark)
        self._heads: dict[str, Head] = {}
        self._behind: set[str] = set()
        self._newest: tuple[str, int, bytes] | None = None
        self._open: Left | None = None
        self._reopen = False
        self._bytes = 0
        self._due: int | None = None
        self._tail = Tail(path)
        self._statements = Statements()
        try:
            check_structure(self._connection, path)
            self._chain.check(mark_of(self._connection), path)
            self._tail.verify(self._connection, path)
            query = "UPDATE owner SET epoch = epoch + 1, pid = ?, host = ?, since = ? RETURNING epoch, purges"
            self.epoch, self._purges = self._connection.execute(query, (pid, host, now)).fetchall()[0]
        except sqlite3.Error as error:
            self._connection.close()
            raise store_error(error, path) from error
        except StoreError:
            self._connection.close()
            raise

    def commit(self, changes: Sequence[Change]) -> list[Answer]:
        """Writes changes. Called again with the same list after it raised, it finds out whether they were written."""
        try:
            if self._open is not None and (answers := self._resolved(changes)) is not None:
                return answers
            first = changes[0]
            if len(changes) == 1 and isinstance(first, Addition) and len(first.entries) == 1 and not first.statements:
                return self._add_one(changes, first)
            additions = [one for one in changes if isinstance(one, Addition) and not one.statements]
            if len(additions) == len(changes) and sum(len(one.entries) for one in additions) <= MOST_ROWS:
                opened = self._add_all(additions, changes)
            else:
                opened = self._transact(changes)
            self._behind |= opened.touched
            self._purges += opened.removed
            self._bytes += _PAGE * (1 + len(opened.touched)) + sum(len(fact[5]) + 128 for fact in opened.facts)
            self._open = None
            if opened.removed:
                self._write_mark()
            return opened.answers
        except sqlite3.Error as error:
            known = store_error(error, self._path)
            self._reopen = isinstance(known, StoreUnavailableError)
            raise known from error

    def tend(self, now: int) -> int | None:
        """Brings the rows of jobs up to date and shortens the log, when it is time; says when it will be again."""
        try:
            if self._open is not None:
                self._resolved(())
            if len(self._heads) > _HEADS_REMEMBERED:
                self._heads.clear()
            if self._bytes >= CHECKPOINT_BYTES:
                self._checkpoint()
                self._due = None
            elif self._behind and self._due is None:
                self._due = now + HEADS_EVERY
            elif self._due is not None and now >= self._due:
                self._write_heads()
                if self._durability is Durability.POWER:
                    self._write_mark()
                self._due = None
        except sqlite3.Error as error:
            raise store_error(error, self._path) from error
        return self._due

    def close(self) -> None:
        """Leaves the file complete in itself, if it can; what was committed is safe if it cannot."""
        with suppress(StoreError, sqlite3.Error), closing(self._connection):
            self._resolved(())
            self._checkpoint()
            self._open = NOTHING
            self._begin()
            self._connection.execute("UPDATE owner SET pid = 0")
            self._connection.execute("COMMIT")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        if self._connection.execute("SELECT epoch FROM owner").fetchone() != (self.epoch,):
            self._connection.execute("ROLLBACK")
            raise _fenced(self._path)

    def _add_one(self, changes: Sequence[Change], addition: Addition) -> list[Answer]:
        job_id, (entry,), _ = addition
        head = self._heads.get(job_id) or self._head(job_id)
        if head is None:
            return [_unknown(job_id)]
        number, seq, epoch = head.job.number, head.seq + 1, self.epoch
        chain = self._chain.next(head.chain, seq, epoch, entry)
        answers: list[Answer] = [None]
        self._open = Left(changes, answers, (number, seq, chain))
        added = self._connection.execute(_ADD_ONE, (number, seq, *entry, chain, epoch)).rowcount
        if added != 1:
            self._open = None
            raise _fenced(self._path)
        head.seq, head.chain = seq, chain
        self._newest = (job_id, seq, chain)
        self._behind.add(job_id)
        self._bytes += _PAGE + len(entry.body)
        self._open = None
        return answers

    def _add_all(self, additions: Sequence[Addition], changes: Sequence[Change]) -> Batch:
        opened = Batch()
        self._open = Left(changes, opened.answers, None)
        opened.answers += [self._add(addition, opened) for addition in additions]
        if opened.facts:
            self._open = left_by(changes, opened)
            if not opened.insert(self._connection):
                raise _fenced(self._path)
        return opened

    def _transact(self, changes: Sequence[Change]) -> Batch:
        refused: dict[int, Answer] = {}
        while True:
            opened = Batch()
            self._open = Left(changes, opened.answers, None)
            self._begin()
            for number, change in enumerate(changes):
                answer = refused.get(number) or self._applied(change, opened)
                if not self._connection.in_transaction:
                    # A statement that was refused has taken back all there was: once more, without it.
                    refused[number] = answer
                    self._heads.clear()
                    self._newest = None
                    break
                opened.answers.append(answer)
            else:
                whole = opened.insert(self._connection)
                assert whole  # Whoever has begun an immediate transaction has the epoch.
                self._open = left_by(changes, opened)
                self._connection.execute("COMMIT")
                return opened

    def _applied(self, change: Change, opened: Batch) -> Answer:
        if isinstance(change, Addition):
            if change.statements and (change.job_id in self._heads or self._head(change.job_id) is not None):
                refusal = self._statements.execute(self._connection, change)
                if refusal is not None:
                    return refusal
                self._bytes += self._statements.size
            return self._add(change, opened)
        if isinstance(change, Submission):
            return self._submit(change.job, change.created_at, opened)
        if isinstance(change, StatusChange):
            return self._set_status(change, opened)
        if isinstance(change, Compaction):
            head = self._heads.get(change.job_id) or self._head(change.job_id)
            if head is None:
                return _unknown(change.job_id)
            self._bytes += compact(self._connection, self._chain, self.epoch, head, change.entry, opened)
            self._newest = (change.job_id, head.seq, head.chain)
            return None
        return self._remove(change, opened) if isinstance(change, Removal) else None

    def _add(self, addition: Addition, opened: Batch) -> Answer:
        job_id = addition.job_id
        head = self._heads.get(job_id) or self._head(job_id)
        if head is None:
            return _unknown(job_id)
        opened.touched.add(job_id)
        number, seq, chain, epoch = head.job.number, head.seq, head.chain, self.epoch
        for entry in addition.entries:
            seq += 1
            chain = self._chain.next(chain, seq, epoch, entry)
            opened.facts.append((number, seq, epoch, entry.kind, entry.at, entry.body, chain))
        head.seq, head.chain = seq, chain
        self._newest = (job_id, seq, chain)
        return None

    def _submit(self, new: NewJob, created_at: int, opened: Batch) -> StoredJob | StoreError:
        if new.key is not None:
            query = f"SELECT {JOB} FROM jobs WHERE flow_id = ? AND key = ?"
            if (row := self._connection.execute(query, (new.flow_id, new.key)).fetchone()) is not None:
                return _again(self._connection, self._chain, new, row, opened)
        number, known = self._connection.execute(_NEXT, (new.job_id,)).fetchone()
        if known:
            return StoreError(f"The store has a job {new.job_id} already. Give each job an id of its own.")
        link = self._chain.first(new.job_id, new.flow_id, new.key, created_at, new.request)
        job = JobRow(number, new.job_id, new.flow_id, new.key, _PENDING, created_at, 0, link)
        self._connection.execute(
            f"INSERT INTO jobs ({JOB}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*job, self._chain.seal(job))
        )
        opened.facts.append((number, 0, self.epoch, "request", created_at, new.request, link))
        self._heads[new.job_id] = Head(job, 0, link)
        self._add(Addition(new.job_id, new.entries), opened)
        changed = new.entries[-1].at if new.entries else created_at
        return StoredJob(*new[:4], _PENDING, created_at, changed, len(new.entries))

    def _set_status(self, change: StatusChange, opened: Batch) -> Answer:
        head = self._heads.get(change.job_id) or self._head(change.job_id)
        if head is None:
            return _unknown(change.job_id)
        head.job = head.job._replace(status=change.status)
        opened.touched.add(change.job_id)
        self._connection.execute(
            "UPDATE jobs SET status = ?, crc = ? WHERE number = ?",
            (change.status, self._chain.seal(head.job), head.job.number),
        )
        return None

    def _remove(self, removal: Removal, opened: Batch) -> Answer:
        job_id = removal.job_id
        job = find_job(self._connection, job_id, self._chain)
        if job is None:
            return _unknown(job_id)
        opened.insert(self._connection)
        if removal.over_before is not None:
            refusal = removal.refusal(job.status, last_fact(self._connection, job)[3])
            if refusal is not None:
                return refusal
        opened.facts = [fact for fact in opened.facts if fact[0] != job.number]
        opened.inserted = len(opened.facts)
        opened.touched.discard(job_id)
        opened.removed += 1
        self._heads.pop(job_id, None)
        self._behind.discard(job_id)
        self._connection.execute("DELETE FROM facts WHERE job = ?", (job.number,))
        self._connection.execute("DELETE FROM jobs WHERE number = ?", (job.number,))
        self._connection.execute("UPDATE owner SET purges = purges + 1")
        return None

    def _head(self, job_id: str) -> Head | None:
        job = find_job(self._connection, job_id, self._chain)
        if job is None:
            return None
        seq, _, _, _, _, chain = last_fact(self._connection, job)
        self._heads[job_id] = head = Head(job, seq, chain)
        return head

    def _resolved(self, changes: Sequence[Change]) -> list[Answer] | None:
        """The answers to the changes of a transaction that was left, if it was theirs and has been committed."""
        left = self._open
        if self._reopen:
            self._connection.close()
            self._connection = open_for_writing(self._path, self._durability, self._chain.mark)
            self._reopen = False
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._heads.clear()
        self._newest = None
        answers = None
        if left is not None and left.last is not None and left.changes is changes:
            query = "SELECT 1 FROM facts WHERE job = ? AND seq = ? AND chain = ?"
            answers = left.answers if self._connection.execute(query, left.last).fetchone() else None
        self._open = None
        return answers

    def _write_heads(self) -> None:
        behind = [head for job_id in self._behind if (head := self._heads.get(job_id) or self._head(job_id))]
        jobs = [head.job._replace(entries=head.seq, chain=head.chain) for head in behind]
        self._open = NOTHING
        self._begin()
        self._connection.executemany(
            CHANGE,
            [(job.entries, job.chain, self._chain.seal(job), job.number) for job in jobs],
        )
        self._connection.execute("COMMIT")
        self._open = None
        for head, job in zip(behind, jobs, strict=True):
            head.job = job
        self._behind.clear()

    def _write_mark(self) -> None:
        job_id, seq, chain = self._newest or (None, 0, b"")
        if job_id is not None and job_id not in self._heads:
            job_id = None
        self._tail.write(Mark(self.epoch, self._purges, job_id, seq, chain.hex()))

    def _checkpoint(self) -> None:
        self._write_heads()
        _, logged, worked_in = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._bytes = 0
        # Only what has reached the file is certain to outlive a loss of power at every level of durability.
        if logged == worked_in:
            self._write_mark()


def _again(
    connection: sqlite3.Connection, chain: Chain, new: NewJob, row: tuple[Any, ...], opened: Batch
) -> StoredJob | StoreError:
    # The first submission may stand in this very transaction.
    opened.insert(connection)
    first = stored(connection, job_row(row, chain), chain)
    if first.request == new.request:
        return first
    return KeyTakenError(
        f"Flow {new.flow_id!r} has had the key {new.key!r} before, for job {first.job_id} with another request. "
        "Use another key."
    )


def _fenced(path: Path) -> FencedError:
    return FencedError(
        f"The store {path} has been opened by somebody else since. Nothing more is written from here; open it again."
    )


def _unknown(job_id: str) -> UnknownJobError:
    return UnknownJobError(f"The store has no job {job_id}.")
