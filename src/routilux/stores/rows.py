"""Rows as they lie in a database, and whether they can be what was written there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from routilux.errors import StoreDamagedError, UnknownJobError
from routilux.stores.chain import Chain
from routilux.stores.port import Entry, StoredEntry

JOB = "number, job_id, flow_id, key, status, created_at, entries, chain, crc"
FACT = "seq, epoch, kind, at, body, chain"

FIRST = 1
"""The number of the entry that stays, whatever others stand for."""

FactRow: TypeAlias = tuple[int, int, str, int, bytes, bytes]
"""The columns of `FACT`."""

_JOB_TYPES: tuple[type | tuple[type, ...], ...] = (int, str, str, (str, type(None)), str, int, int, bytes, int)
_FACT_TYPES = (int, int, str, int, bytes, bytes)


class JobRow(NamedTuple):
    """The columns of `JOB` but the last, which is the seal of the others."""

    number: int
    job_id: str
    flow_id: str
    key: str | None
    status: str
    created_at: int
    entries: int
    chain: bytes

    def damaged(self, seq: int, why: str) -> StoreDamagedError:
        """The error that says from which entry on the job is not what was written."""
        return StoreDamagedError(
            f"Job {self.job_id} of flow {self.flow_id!r} is damaged from entry {seq} on: {why}. "
            "What stands before it is whole.",
            self.job_id,
            seq,
        )


def job_row(row: tuple[Any, ...], chain: Chain) -> JobRow:
    """The job that a row describes; raises `StoreDamagedError` if it was not written like that."""
    if all(isinstance(value, kind) for value, kind in zip(row, _JOB_TYPES, strict=True)):
        job = JobRow(*row[:-1])
        if chain.seal(job) == row[-1]:
            return job
    named = row[1] if isinstance(row[1], str) else None
    raise StoreDamagedError(f"The row of job {named!r} is damaged. `check` says what is whole.", named, 0)


class Verifier:
    """Goes along the entries of a job, from its request or from an entry that is trusted."""

    def __init__(self, job: JobRow, chain: Chain) -> None:
        self._job = job
        self._chain = chain
        self._seq = 0
        self._last = b""

    def request(self, row: FactRow | None) -> bytes:
        """The request, which is entry 0."""
        job = self._job
        if row is None or tuple(map(type, row)) != _FACT_TYPES or row[0] != 0:
            raise job.damaged(0, "its request is missing")
        link = self._chain.first(job.job_id, job.flow_id, job.key, job.created_at, row[4])
        if link != row[5] or row[3] != job.created_at:
            raise job.damaged(0, "its request is another")
        self._last = link
        return row[4]

    def trust(self, seq: int, link: bytes) -> None:
        """Goes on after an entry."""
        self._seq, self._last = seq, link

    def entry(self, row: FactRow) -> StoredEntry:
        """The next entry; after the first that may be one which stands for all up to it."""
        expected = self._seq + 1
        if tuple(map(type, row)) != _FACT_TYPES:
            raise self._job.damaged(expected, "its columns are of other types")
        seq = row[0]
        if seq < expected or (seq > expected and self._seq != FIRST):
            raise self._job.damaged(expected, "it is missing")
        entry = Entry(row[2], row[3], row[4])
        link = self._chain.next(self._last, seq, row[1], entry)
        if link != row[5] or (seq == self._job.entries and link != self._job.chain):
            raise self._job.damaged(expected, "it is another" if seq == expected else "it is missing")
        self._seq, self._last = seq, link
        return StoredEntry(seq, row[1], entry)

    def end(self) -> None:
        """There is no entry after the last."""
        if self._seq < self._job.entries:
            raise self._job.damaged(self._seq + 1, "it is missing")


def entries_of(
    job: JobRow, chain: Chain, after: int, page: int, read: Callable[[str, int], Sequence[FactRow]]
) -> Iterator[StoredEntry]:
    """The entries of a job after one, verified. `read` gives the rows whose number is "=" or ">" another, a page."""
    verifier, last = Verifier(job, chain), after
    before = next(iter(read("=", after)), None)
    if before is None and after > job.entries:
        return
    if after and before is not None:
        verifier.trust(after, before[5])
    else:
        # What it is to begin after has gone, because a later one stands for it: that one follows the first.
        verifier.request(next(iter(read("=", 0)), None))
        last = 0
    while rows := read(">", last):
        for row in rows:
            entry = verifier.entry(row)
            last = entry.seq
            if last > after:
                yield entry
        if len(rows) < page:
            break
    verifier.end()


def removed_meanwhile(job_id: str) -> UnknownJobError:
    """The error of whoever was reading a job that somebody removed."""
    return UnknownJobError(f"Job {job_id} has been removed from its store while it was read.")


def checked_last(job: JobRow, row: FactRow | None) -> FactRow:
    """The last entry of a job, or its request, as it lies there; raises `StoreDamagedError` where it cannot be that."""
    if row is None or tuple(map(type, row)) != _FACT_TYPES or row[0] < job.entries:
        raise job.damaged(0 if row is None or type(row[0]) is not int else row[0] + 1, "it is missing")
    return row
