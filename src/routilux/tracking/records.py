"""What users see of a record: a mapping, made when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, overload

from routilux.facts import ActivationStatus, Record
from routilux.plurals import counted

FIELDS: dict[str, Callable[[Record], Any]] = {
    "execution_time": lambda record: (record[8] - record[7]) / 1e9,
    "queue_wait": lambda record: max(0, record[7] - record[6]) / 1e9,
    "start_time": itemgetter(7),
    "end_time": itemgetter(8),
    "status": lambda record: ActivationStatus(record[4]),
    "attempt": itemgetter(3),
    "job_id": itemgetter(0),
    "routine_id": itemgetter(2),
    "activation_id": itemgetter(1),
    "cause": itemgetter(5),
    "worker": itemgetter(9),
    "error": lambda record: None if record[10] is None else record[10].message,
}
"""The keys, in order, and how each is read. Durations are seconds; times are moments still."""

TIMES = frozenset({"start_time", "end_time"})


class ExecutionRecord(Mapping[str, Any]):
    """One attempt of one activation, or one value that a generator gave.

    Durations are seconds, times seconds since the epoch. `cause` is the id of the activation whose emission
    completed the inputs, 0 for the entry; `worker` counts from 0; `error` is one line of text, or `None`.
    """

    __slots__ = ("_offset", "_record")

    def __init__(self, record: Record, offset: int) -> None:
        """`offset` is what to add to a moment of the record to get nanoseconds since the epoch."""
        self._record = record
        self._offset = offset

    def __getitem__(self, key: str) -> Any:
        value = FIELDS[key](self._record)
        return (value + self._offset) / 1e9 if key in TIMES else value

    def __iter__(self) -> Iterator[str]:
        return iter(FIELDS)

    def __len__(self) -> int:
        return len(FIELDS)

    def __repr__(self) -> str:
        return f"ExecutionRecord({dict(self)})"


class Executions(Sequence[ExecutionRecord]):
    """Records as they were when they were asked for, oldest first."""

    def __init__(self, records: Sequence[Record], offset: int) -> None:
        self._records = records
        self._offset = offset

    @overload
    def __getitem__(self, index: int) -> ExecutionRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ExecutionRecord]: ...
    def __getitem__(self, index: int | slice) -> ExecutionRecord | Sequence[ExecutionRecord]:
        if isinstance(index, slice):
            return Executions(self._records[index], self._offset)
        return ExecutionRecord(self._records[index], self._offset)

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'record')}>"
