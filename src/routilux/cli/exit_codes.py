"""What the command line's exit codes mean, so that a program need not read what it says."""

from __future__ import annotations

from enum import IntEnum

from routilux.errors import (
    FencedError,
    FlowChangedError,
    JobOverError,
    PayloadError,
    RecoveryError,
    RoutiluxError,
    StoreBusyError,
    StoreDamagedError,
    StoredJobError,
    StoreError,
    StoreInUseError,
    TrialError,
    UnknownJobError,
)


class ExitCode(IntEnum):
    """How a command ended. That it was interrupted is 130, and that nobody reads what it prints 141, as in a shell."""

    DONE = 0
    FAILED = 1
    """A job failed, or something that was asked for could not be done."""
    WRONG = 2
    """It was called wrongly."""
    UNKNOWN = 3
    """Nothing can be concluded."""
    DAMAGED = 4
    """A store, or what it holds of a job, is not what was written."""
    IN_USE = 5
    """Another process has the store."""
    NO_JOB = 6
    """The store has no such job, or none that could do what was asked."""
    CHANGED = 7
    """The flow has lost what a stored job needs."""
    UNUSABLE = 8
    """The store cannot be read or written: the disk, its permissions, its room, its version."""
    INTERRUPTED = 130
    UNREAD = 141
    """Whoever read its output has gone, as `head` does."""


_OF_ERROR: tuple[tuple[tuple[type[RoutiluxError], ...], ExitCode], ...] = (
    ((StoreDamagedError, StoredJobError, PayloadError), ExitCode.DAMAGED),
    ((StoreInUseError, StoreBusyError, FencedError), ExitCode.IN_USE),
    ((UnknownJobError, JobOverError), ExitCode.NO_JOB),
    ((FlowChangedError,), ExitCode.CHANGED),
    ((StoreError,), ExitCode.UNUSABLE),
    ((TrialError,), ExitCode.FAILED),
)


def code_of(error: RoutiluxError) -> ExitCode:
    """The exit code for an error that ends a command; of several jobs that cannot go on, that of the first."""
    if isinstance(error, RecoveryError) and error.errors:
        return code_of(next(iter(error.errors.values())))
    return next((code for kinds, code in _OF_ERROR if isinstance(error, kinds)), ExitCode.WRONG)
