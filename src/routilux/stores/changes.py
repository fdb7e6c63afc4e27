"""What can be asked of the writing side of a store, as values that can wait in line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from routilux.errors import StoreError
from routilux.facts import Statement
from routilux.stores.port import FINISHED, Entry, NewJob, StoredJob


class Submission(NamedTuple):
    """A new job."""

    job: NewJob
    created_at: int


class Addition(NamedTuple):
    """More entries of a job."""

    job_id: str
    entries: Sequence[Entry]
    statements: Sequence[Statement] = ()
    """What is executed with them, or else they are not added."""


class Compaction(NamedTuple):
    """One entry of a job in place of all but its first."""

    job_id: str
    entry: Entry


class StatusChange(NamedTuple):
    """Where a job stands now."""

    job_id: str
    status: str


class Removal(NamedTuple):
    """A job goes."""

    job_id: str
    over_before: int | None = None
    """If given, it only goes if it is over, and its last entry is older than that."""

    def refusal(self, status: str, last_at: int) -> StoreError | None:
        """Why a job in this status, with a last entry of that moment, does not go."""
        if self.over_before is None or (status in FINISHED and last_at < self.over_before):
            return None
        return StoreError(f"Job {self.job_id} has not been over for long enough.")


class Barrier(NamedTuple):
    """Nothing, in its turn."""


Change: TypeAlias = Submission | Addition | Compaction | StatusChange | Removal | Barrier
Answer: TypeAlias = StoredJob | StoreError | None
"""A job for a submission, an error for a change that alone could not be made, else nothing."""
