"""What many changes come to, worked out before any of it is written.

As nobody else writes, what was looked up before stays true. So all that a commit needs is known before it begins, and
goes to the server in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from routilux.errors import KeyTakenError, StoreError, UnknownJobError
from routilux.stores.chain import Chain
from routilux.stores.changes import Addition, Answer, Change, Compaction, Removal, StatusChange, Submission
from routilux.stores.port import Entry, NewJob, StoredJob
from routilux.stores.postgres.rows import WholeJob
from routilux.stores.rows import FIRST, FactRow, JobRow

Key: TypeAlias = tuple[str, str]
Fact: TypeAlias = tuple[int, int, str, int, bytes, bytes]
"""Number of the job, seq, kind, at, body, chain."""

_PENDING = "pending"
_REQUEST = "request"


class Head:
    """A job that is written to, with its last entry."""

    __slots__ = ("at", "chain", "job", "seq")

    def __init__(self, job: JobRow, seq: int, at: int, chain: bytes) -> None:
        self.job = job
        self.seq = seq
        self.at = at
        self.chain = chain


def head_of(job: JobRow, last: FactRow) -> Head:
    """Of a job as it was found."""
    return Head(job, last[0], last[3], last[5])


class Batch:
    """The rows that changes need; takes the heads of all jobs in question, and brings them up to date."""

    __slots__ = (
        "answers",
        "changed",
        "compacted",
        "facts",
        "new",
        "next_number",
        "removed",
        "touched",
        "_chain",
        "_epoch",
        "_firsts",
        "_heads",
        "_keys",
        "_requests",
    )

    def __init__(
        self,
        epoch: int,
        heads: dict[str, Head],
        found: Iterable[WholeJob],
        next_number: int,
        chain: Chain,
        firsts: Mapping[str, bytes],
    ) -> None:
        """`firsts` are the links of the first entries of jobs that are to be compacted."""
        self.answers: list[Answer] = []
        self.facts: list[Fact] = []
        self.new: dict[str, JobRow] = {}
        self.changed: dict[str, JobRow] = {}
        """Rows that are in the store and have another status."""
        self.removed: dict[str, int] = {}
        self.compacted: dict[int, int] = {}
        """By number: up to which entry all of a job go but the first."""
        self.touched: set[str] = set()
        self.next_number = next_number
        self._epoch = epoch
        self._firsts = dict(firsts)
        self._chain = chain
        self._heads = heads
        self._keys: dict[Key, str] = {}
        self._requests: dict[str, bytes] = {}
        for job, request, last in found:
            heads.setdefault(job.job_id, head_of(job, last))
            self._requests[job.job_id] = request
            if job.key is not None:
                self._keys[job.flow_id, job.key] = job.job_id

    def apply(self, change: Change) -> None:
        """Takes the next change, and has its answer."""
        if isinstance(change, Addition):
            answer = self._add(change.job_id, change.entries)
        elif isinstance(change, Submission):
            self.answers.append(self._submit(change.job, change.created_at))
            return
        elif isinstance(change, StatusChange):
            answer = self._set_status(change)
        elif isinstance(change, Compaction):
            answer = self._compact(change)
        else:
            answer = self._remove(change) if isinstance(change, Removal) else None
        self.answers.append(answer)

    def _add(self, job_id: str, entries: Iterable[Entry]) -> StoreError | None:
        head = self._heads.get(job_id)
        if head is None:
            return _unknown(job_id)
        number, seq, at, chain, epoch = head.job.number, head.seq, head.at, head.chain, self._epoch
        for entry in entries:
            seq += 1
            at = entry.at
            chain = self._chain.next(chain, seq, epoch, entry)
            if seq == FIRST:
                self._firsts[job_id] = chain
            self.facts.append((number, seq, entry.kind, at, entry.body, chain))
        head.seq, head.at, head.chain = seq, at, chain
        self.touched.add(job_id)
        return None

    def _submit(self, new: NewJob, created_at: int) -> StoredJob | StoreError:
        if new.key is not None and (first := self._keys.get((new.flow_id, new.key))) is not None:
            if self._requests[first] == new.request:
                return self._stored(first)
            return KeyTakenError(
                f"Flow {new.flow_id!r} has had the key {new.key!r} before, for job {first} with another request. "
                "Use another key."
            )
        if new.job_id in self._heads:
            return StoreError(f"The store has a job {new.job_id} already. Give each job an id of its own.")
        link = self._chain.first(new.job_id, new.flow_id, new.key, created_at, new.request)
        job = JobRow(self.next_number, new.job_id, new.flow_id, new.key, _PENDING, created_at, 0, link)
        self.next_number += 1
        self.new[new.job_id] = job
        self.facts.append((job.number, 0, _REQUEST, created_at, new.request, link))
        self._heads[new.job_id] = Head(job, 0, created_at, link)
        self._requests[new.job_id] = new.request
        if new.key is not None:
            self._keys[new.flow_id, new.key] = new.job_id
        self._add(new.job_id, new.entries)
        return self._stored(new.job_id)

    def _stored(self, job_id: str) -> StoredJob:
        head = self._heads[job_id]
        job = head.job
        request = self._requests[job_id]
        return StoredJob(job_id, job.flow_id, job.key, request, job.status, job.created_at, head.at, head.seq)

    def _set_status(self, change: StatusChange) -> StoreError | None:
        head = self._heads.get(change.job_id)
        if head is None:
            return _unknown(change.job_id)
        head.job = head.job._replace(status=change.status)
        self.touched.add(change.job_id)
        rows = self.new if change.job_id in self.new else self.changed
        rows[change.job_id] = head.job
        return None

    def _compact(self, change: Compaction) -> StoreError | None:
        job_id, entry = change
        head, first = self._heads.get(job_id), self._firsts.get(job_id)
        if head is None or first is None:
            return self._add(job_id, [entry])
        number, last = head.job.number, head.seq
        self.facts = [fact for fact in self.facts if fact[0] != number or fact[1] <= FIRST]
        self.compacted[number] = last
        head.seq, head.at, head.chain = last + 1, entry.at, self._chain.next(first, last + 1, self._epoch, entry)
        self.facts.append((number, head.seq, entry.kind, entry.at, entry.body, head.chain))
        head.job = head.job._replace(entries=head.seq, chain=head.chain)
        (self.new if job_id in self.new else self.changed)[job_id] = head.job
        self.touched.add(job_id)
        return None

    def _remove(self, removal: Removal) -> StoreError | None:
        job_id = removal.job_id
        head = self._heads.get(job_id)
        if head is None:
            return _unknown(job_id)
        job = head.job
        if (refusal := removal.refusal(job.status, head.at)) is not None:
            return refusal
        del self._heads[job_id]
        self.facts = [fact for fact in self.facts if fact[0] != job.number]
        self.new.pop(job_id, None)
        self.changed.pop(job_id, None)
        self.compacted.pop(job.number, None)
        self.removed[job_id] = job.number
        self.touched.discard(job_id)
        if job.key is not None:
            self._keys.pop((job.flow_id, job.key), None)
        return None


def _unknown(job_id: str) -> UnknownJobError:
    return UnknownJobError(f"The store has no job {job_id}.")
