"""Every error that Routilux raises of its own accord.

One class for each thing that a caller can act on. The message names the flow, the routine and the
slot where they are known, says what is wrong, and then what to do about it. A user's own exception
is never wrapped: it is data, travels inside a `Failure`, and `Job.raise_for_status` raises it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class RoutiluxError(Exception):
    """What all errors of this package have in common."""


class DefinitionError(RoutiluxError, ValueError):
    """The flow, as it is defined, cannot run."""


class DuplicateRoutineError(DefinitionError):
    """Two routines of one flow have the same id."""


class UnknownRoutineError(DefinitionError, LookupError):
    """No routine of the flow has this id."""


class UnknownPortError(DefinitionError, LookupError):
    """A routine has no slot or event of this name."""


class ConnectionMismatchError(DefinitionError):
    """Two ports cannot be connected: the short form is ambiguous, or their types differ."""


class UnfedSlotError(DefinitionError):
    """A slot must be fed before its handler can fire, and nothing feeds it."""


class SignatureError(DefinitionError):
    """A handler's signature does not fit the slots it is given for."""


class EntryParamsError(DefinitionError):
    """The entry routine cannot take the `entry_params` it was given."""


class SettingError(RoutiluxError, ValueError):
    """A setting has a value that means nothing."""


class FlowBusyError(RoutiluxError):
    """A flow was changed while one of its jobs runs."""


class EmissionError(RoutiluxError):
    """Something was emitted that the routine does not declare, or outside its handler."""


class HandlerInputError(RoutiluxError):
    """What arrived in a slot cannot be handed to the handler, or its key cannot be read."""


class HandlerReturnError(RoutiluxError):
    """A handler returned what can only be a mistake: a generator or a coroutine never run."""


class HandlerCancelledError(RoutiluxError):
    """A handler on an event loop was cancelled, and not by its job."""


class HandlerTimeoutError(RoutiluxError, TimeoutError):
    """A handler ran longer than its routine allows."""


class UnsendableError(RoutiluxError, TypeError):
    """A value must go to another process, and cannot be pickled."""


class WorkerLostError(RoutiluxError):
    """The worker that ran an activation died: it was killed, crashed, or left by `os._exit`."""


class ImportedFlowError(RoutiluxError, RuntimeError):
    """A worker that imports a handler's module would execute a flow with it, and so without end."""


class RemoteError(RoutiluxError):
    """Stands for an exception of a handler in another process that could not be brought back itself."""


class MissingExtraError(RoutiluxError, ImportError):
    """A mode needs a package that is not installed; the message says how to install it."""


class ClusterError(RoutiluxError):
    """A cluster cannot be reached, is not safe to connect to, or does not fit this program."""


class ClusterUnavailableError(ClusterError):
    """An attempt could not be brought to its cluster, so it did not begin."""


class JobTimeoutError(RoutiluxError, TimeoutError):
    """A job took longer than its `timeout`."""


class JobCancelledError(RoutiluxError):
    """The job was cancelled before it was done."""


class ActivationLimitError(RoutiluxError):
    """A job fired more activations than its `max_activations`."""


class StrandedError(RoutiluxError):
    """A strict flow ended with messages in slots whose partners never came."""


class ParkedLimitError(RoutiluxError):
    """More messages than `max_parked` wait in one slot for partners that do not come."""


class ResultError(RoutiluxError, KeyError):
    """There is no result of this name, or not exactly one."""

    __str__ = Exception.__str__


class UnfinishedJobError(RoutiluxError):
    """Something was asked of a job that only a finished one can answer."""


class SelfWaitError(RoutiluxError):
    """A handler waits for the job that it is part of."""


class RecordingError(RoutiluxError, ValueError):
    """A recorded job cannot be read: it is damaged, of another version, or of another flow."""


class StoreError(RoutiluxError):
    """A store cannot do what it was asked; the subclasses are what a caller can act on."""


class StoreInUseError(StoreError):
    """Another process, or this one, has the store open for writing."""


class StoreFullError(StoreError):
    """There is no room for what the store was given."""


class StoreBusyError(StoreError):
    """A foreign program keeps the store locked."""


class StoreUnavailableError(StoreError):
    """The disk under a store fails, or the server of one cannot be reached."""


class StoreDamagedError(StoreError):
    """What is in the store is not what was written there; `job_id` and `seq` say from where on, where known."""

    def __init__(self, message: str, job_id: str | None = None, seq: int | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.seq = seq


class StoreVersionError(StoreError):
    """The file is no store, or one of another version, or the database itself is too old."""


class JournalKeyError(StoreError):
    """The `journal_key` is not the one that the store was made with, or too short to be any."""


class FencedError(StoreError):
    """Somebody else has opened the store for writing since; this process may not write to it any more."""


class ForkedError(StoreError):
    """A store that was open when the process forked was used in the child."""


class KeyTakenError(StoreError, ValueError):
    """A job of this flow has the key already, and was submitted with another request."""


class FlowChangedError(StoreError):
    """A stored job cannot go on, because its flow has lost what it needs."""


class RecoveryError(StoreError):
    """Some stored jobs cannot go on: `errors` says why, by job id; `jobs` are those that do."""

    def __init__(self, message: str, errors: Mapping[str, RoutiluxError], jobs: Sequence[Any]) -> None:
        super().__init__(message)
        self.errors = errors
        self.jobs = jobs


class JobOverError(StoreError):
    """A stored job was asked to go on, and nothing of it is left that could."""


class TransactionError(StoreError):
    """What a handler wrote in `ctx.transaction()` cannot be executed, or was refused; its attempt has written nothing.

    The error of the database, where it was that, is its `__cause__`.
    """


class UnknownJobError(StoreError, LookupError):
    """The store has no job of this id."""


class PayloadError(RoutiluxError, ValueError):
    """A value cannot be stored, or stored bytes cannot be read; the message names the path inside the value."""


class UnknownTypeError(PayloadError):
    """A value is of a type that the codec was not told of."""


class PayloadTooLargeError(PayloadError):
    """A payload has more bytes than `max_payload`."""


class StoredJobError(RoutiluxError, ValueError):
    """What is stored of a job cannot be read: it is damaged, or a later release wrote it."""


class SecretError(RoutiluxError, LookupError):
    """A secret is not where its `Secret` says, or what it says is no name."""


class LoadTestError(RoutiluxError):
    """A flow cannot be put under load, because its jobs fail without any."""


class TrialError(RoutiluxError):
    """A job that was run to learn from it failed."""


class UnreachableRoutineWarning(UserWarning):
    """A routine of the flow cannot be reached from the entry."""
