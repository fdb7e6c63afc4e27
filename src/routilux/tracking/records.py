"""What users see of a record: a mapping, made when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from routilux.facts import ActivationStatus, Record

FIELDS: dict[str, Callable[[Record], Any]] = {
    "execution_time": lambda record: (record[9] - record[8]) / 1e9,
    "queue_wait": lambda record: max(0, record[8] - record[7]) / 1e9,
    "start_time": lambda record: (record[8] + record[1]) / 1e9,
    "end_time": lambda record: (record[9] + record[1]) / 1e9,
    "status": lambda record: ActivationStatus(record[5]),
    "attempt": lambda record: record[4],
    "job_id": lambda record: record[0],
    "routine_id": lambda record: record[3],
    "activation_id": lambda record: record[2],
    "cause": lambda record: record[6],
    "worker": lambda record: record[10],
    "error": lambda record: None if record[11] is None else record[11].message,
}
"""Of each key: how it is read of a record. Durations are seconds, times seconds since the epoch."""


class ExecutionRecord(Mapping[str, Any]):
    """One attempt of one activation, or one value that a generator gave.

    `cause` is the id of the activation whose emission completed the inputs, 0 for the entry; `worker` counts
    from 0; `error` is one line of text, or `None`.
    """

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    def __getitem__(self, key: str) -> Any:
        return FIELDS[key](self._record)

    def __iter__(self) -> Iterator[str]:
        return iter(FIELDS)

    def __len__(self) -> int:
        return len(FIELDS)

    def __repr__(self) -> str:
        return f"ExecutionRecord({dict(self)})"
