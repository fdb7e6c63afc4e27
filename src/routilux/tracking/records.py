"""What users see of a record: a mapping, made when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

from routilux.facts import ActivationStatus, Record

Reading = Callable[[Record, int], Any]
"""Reads one field of a record, given what to add to a moment to get nanoseconds since the epoch."""

FIELDS: dict[str, Reading] = {
    "execution_time": lambda record, offset: (record[8] - record[7]) / 1e9,
    "queue_wait": lambda record, offset: max(0, record[7] - record[6]) / 1e9,
    "start_time": lambda record, offset: (record[7] + offset) / 1e9,
    "end_time": lambda record, offset: (record[8] + offset) / 1e9,
    "status": lambda record, offset: ActivationStatus(record[4]),
    "attempt": lambda record, offset: record[3],
    "job_id": lambda record, offset: record[0],
    "routine_id": lambda record, offset: record[2],
    "activation_id": lambda record, offset: record[1],
    "cause": lambda record, offset: record[5],
    "worker": lambda record, offset: record[9],
    "error": lambda record, offset: None if record[10] is None else record[10].message,
}
"""The keys, in order. Durations are seconds, times seconds since the epoch."""


class ExecutionRecord(Mapping[str, Any]):
    """One attempt of one activation, or one value that a generator gave.

    `cause` is the id of the activation whose emission completed the inputs, 0 for the entry; `worker` counts
    from 0; `error` is one line of text, or `None`.
    """

    __slots__ = ("_offset", "_record")

    def __init__(self, record: Record, offset: int) -> None:
        """`offset` is what to add to a moment of the record to get nanoseconds since the epoch."""
        self._record = record
        self._offset = offset

    def __getitem__(self, key: str) -> Any:
        return FIELDS[key](self._record, self._offset)

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
        return f"<{len(self)} records>"
