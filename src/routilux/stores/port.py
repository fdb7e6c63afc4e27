"""What a store promises to whoever runs jobs.

A job is kept as an ordered list of entries, and an entry is bytes: a store knows no flow, no fact and no value. What it
has accepted it keeps whole and in order, or says that it cannot; what it gives back is what it was given, or an error,
never anything else. What belongs together is written together: the entries of one call are there all or none.

One process at a time writes to a store; any number may read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import StrEnum, auto
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from routilux.errors import StoreError
from routilux.facts import JobStatus, Statement

Then: TypeAlias = Callable[[StoreError | None], Callable[[], None] | None]
"""Is told once that entries are durable, or why they never will be. It is quick, and raises nothing.

What it gives, if anything, is called when all have been told that were written together; once for all who give it.
"""

FINISHED: Collection[str] = frozenset(status.value for status in JobStatus if status.terminal)


class Durability(StrEnum):
    """What an acknowledged write survives: the death of this process, or the loss of power as well.

    After a loss of power, a store that is kept for `PROCESS` has everything up to some moment shortly before.
    """

    PROCESS = auto()
    POWER = auto()


class Entry(NamedTuple):
    """One fact of a job, as a store sees it."""

    kind: str
    at: int
    """Nanoseconds since the epoch."""
    body: bytes


class StoredEntry(NamedTuple):
    """An entry that is kept."""

    seq: int
    """From 1, for each job by itself; without a gap, but where the job was compacted: there it is after the first."""
    epoch: int
    """How often the store had been opened for writing when it was written."""
    entry: Entry


class NewJob(NamedTuple):
    """A job to be kept."""

    job_id: str
    flow_id: str
    key: str | None
    """What makes its submission unique among the jobs of the flow."""
    request: bytes
    """What was asked for."""
    entries: Sequence[Entry] = ()
    """Its first entries."""


class StoredJob(NamedTuple):
    """A job that is kept."""

    job_id: str
    flow_id: str
    key: str | None
    request: bytes
    status: str
    created_at: int
    """Nanoseconds since the epoch, as is `changed_at`."""
    changed_at: int
    """When its last entry was."""
    entries: int
    """How many it has been given; those that it was compacted by are not there any more."""


class Finished(NamedTuple):
    """A job that is over."""

    job_id: str
    entries: int
    """How many it has at most, about."""


class Records(ABC):
    """The reading half of a store. Any thread may call it; what a call gives was durable when it was read."""

    @abstractmethod
    def job(self, job_id: str) -> StoredJob | None:
        """The job of an id, if there is one."""

    @abstractmethod
    def jobs(self, flow_id: str | None = None, statuses: Collection[str] = ()) -> Iterator[StoredJob]:
        """The jobs, newest first: of one flow or of all, in any of some statuses or in whichever."""

    @abstractmethod
    def job_ids(self, flow_id: str, statuses: Collection[str]) -> list[str]:
        """The ids of the jobs of a flow in any of some statuses, oldest first; nothing else of them is looked at."""

    @abstractmethod
    def finished(self, before: int) -> Iterator[Finished]:
        """The jobs that are over and whose last entry is older than a moment, oldest first; none that is damaged.

        While they are gone through, they may be removed.
        """

    @abstractmethod
    def entries(self, job_id: str, after: int = 0) -> Iterator[StoredEntry]:
        """The entries of a job from number `after` + 1 on, as they are at one moment, a page at a time.

        Raises `StoreDamagedError` where the first one stands that is not what was written, after all before it.
        """

    @abstractmethod
    def load(self, name: str) -> bytes:
        """What `Store.save` was given."""

    @abstractmethod
    def close(self) -> None:
        """Gives everything back; what has been accepted is durable before. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Store(Records):
    """A store that is open for writing. Any thread may call it.

    After a write was given up, all that follow it are refused with the same error, so that what is kept of a job is
    always its beginning.
    """

    @abstractmethod
    def submit(self, job: NewJob) -> StoredJob:
        """Keeps a new job, which is durable when this returns; its status is "pending".

        With a key that its flow has had before, the first job is given back if its request is the same, and
        `KeyTakenError` raised if it is not.
        """

    @abstractmethod
    def append(self, job_id: str, entries: list[Entry], then: Then, statements: Sequence[Statement] = ()) -> None:
        """Accepts entries without waiting for anything; `then` is told what came of them.

        Writes are done in the order in which they were accepted, over all jobs, and their `then` are called in that
        order, each in the same thread. It may be called by a `then`.

        `statements` are executed in the transaction that keeps the entries, on tables that are not the store's own. If
        one is refused, neither they nor the entries have happened, `then` is told the `TransactionError`, and all that
        others write is not affected.
        """

    @abstractmethod
    def join(self, entries: list[Entry], entry: Entry) -> bool:
        """Adds an entry to a list that was given to `append`, if it was the last and waits still; says whether it was.

        What is told of the list then holds for the entry too.
        """

    @abstractmethod
    def write(self, job_id: str, entries: Sequence[Entry], statements: Sequence[Statement] = ()) -> None:
        """Adds entries, which are durable when this returns, and with them whatever was accepted before.

        KeyboardInterrupt and SystemExit come out of it before anything is written or after all of it is: once the
        store has been flushed, `job` says which. Not to be called by a `then`. `statements` as for `append`.
        """

    @abstractmethod
    def compact(self, job_id: str, entry: Entry) -> None:
        """Accepts an entry that stands for all that a job has, in order with them; nobody waits for it.

        Together with its being kept, all of the job go but the first, which says what the job is.
        """

    @abstractmethod
    def set_status(self, job_id: str, status: str) -> None:
        """Accepts the new status of a job, in order with its entries; nobody waits for it."""

    @abstractmethod
    def flush(self) -> None:
        """Returns when everything accepted so far is durable; raises what was given up."""

    @abstractmethod
    def save(self, data: bytes) -> str:
        """Keeps a large value, on the disk when this returns, and gives its name.

        An entry or request keeps it by having that name among its bytes, readable as it is.
        """

    @abstractmethod
    def purge(self, job_id: str) -> None:
        """Removes a job for good with whatever only it keeps; raises `UnknownJobError` if there is none."""

    @abstractmethod
    def purge_finished(self, older_than_seconds: float) -> int:
        """Removes finished jobs whose last entry is older than that, a few at a time; returns how many.

        Whatever is damaged stays.
        """
