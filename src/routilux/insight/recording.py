"""A trace as JSON, and back.

The format, version 1: one object with `"format": "routilux-trace"`, `"version"`, and the fields of `Trace` by name;
`"columns"` names the fields of `Attempt`, and `"attempts"` has one list for each attempt, in that order. Moments are
nanoseconds. A field that a version does not have yet is left out, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from routilux.errors import RecordingError
from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus, JobStatus
from routilux.insight.trace import Attempt, Host, Observed, ThreadState, Trace

FORMAT = "routilux-trace"
VERSION = 1
COLUMNS = list(Attempt._fields)
PLAIN = ("flow_id", "job_id", "workers", "start", "end", "streamed", "foreign_load", "engine", "epoch_offset_ns")
"""Fields of a trace that JSON has as they are."""


def to_json(trace: Trace) -> str:
    """A trace as text, one attempt a line."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(trace, name) for name in PLAIN},
        "mode": trace.mode.value,
        "status": None if trace.status is None else trace.status.value,
        "host": trace.host._asdict(),
        "routines": {routine_id: _observed(one) for routine_id, one in trace.routines.items()},
        "workers_by_mode": {mode.value: count for mode, count in trace.workers_by_mode.items()},
        "limits": dict(trace.limits),
        "pauses": [list(pause) for pause in trace.pauses],
        "columns": COLUMNS,
    }
    rows = ",\n".join(json.dumps(attempt) for attempt in trace.attempts)
    return f'{json.dumps(head)[:-1]}, "attempts": [\n{rows}\n]}}\n'


def from_json(text: str, flow_id: str | None = None) -> Trace:
    """The trace that `to_json` wrote; raises `RecordingError` for anything else, or one of another flow."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RecordingError(f"This is no recording, or it is cut off: {error}. Record the job again.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RecordingError(f"This is no recording of a job: it does not say that its format is {FORMAT!r}.")
    if data.get("version") != VERSION:
        raise RecordingError(
            f"The recording is of version {data.get('version')!r}, and this release reads version {VERSION}. "
            "Record the job again, or read it with the release that wrote it."
        )
    try:
        trace = _trace(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"The recording is damaged: {type(error).__name__}: {error}. Record it again.") from error
    if flow_id is not None and trace.flow_id != flow_id:
        raise RecordingError(f"The recording is of flow {trace.flow_id!r}, not of {flow_id!r}.")
    return trace


def _observed(observed: Observed) -> dict[str, Any]:
    return {
        "mode": None if observed.mode is None else observed.mode.value,
        "gil_share": observed.gil_share,
        "states": {state.value: count for state, count in observed.states.items()},
        "limits": list(observed.limits),
        "collects": list(observed.collects),
        "gathers": observed.gathers,
    }


def _trace(data: Mapping[str, Any]) -> Trace:
    trace = Trace(
        **{name: data[name] for name in PLAIN},
        mode=ExecutionMode(data["mode"]),
        status=None if data["status"] is None else JobStatus(data["status"]),
        host=Host(**data["host"]),
        attempts=tuple(_attempt(dict(zip(data["columns"], row, strict=True))) for row in data["attempts"]),
        routines={routine_id: _seen(one) for routine_id, one in data["routines"].items()},
        workers_by_mode={ExecutionMode(mode): int(count) for mode, count in data["workers_by_mode"].items()},
        limits={name: int(count) for name, count in data["limits"].items()},
        pauses=tuple((int(began), int(ended)) for began, ended in data["pauses"]),
    )
    if trace.workers < 1 or trace.end < trace.start or trace.host.cores < 1:
        raise ValueError("it has no worker, no core, or ends before it starts")
    begun = [attempt.begun for attempt in trace.attempts]
    if begun != sorted(begun) or any(attempt.ended < attempt.begun for attempt in trace.attempts):
        raise ValueError("its attempts are out of order")
    return trace


def _attempt(row: Mapping[str, Any]) -> Attempt:
    whole = ("activation_id", "attempt", "fired", "begun", "ended", "worker")
    if not all(type(row[name]) is int for name in whole) or not isinstance(row["routine_id"], str):
        raise ValueError(f"an attempt is {list(row.values())}")
    causes = tuple(int(cause) for cause in row["causes"])
    return Attempt(**{**row, "status": ActivationStatus(row["status"]), "causes": causes})


def _seen(data: Mapping[str, Any]) -> Observed:
    states = {ThreadState(state): float(count) for state, count in data["states"].items()}
    mode = None if data["mode"] is None else ExecutionMode(data["mode"])
    waits = tuple(data.get("collects", ())), data.get("gathers")
    return Observed(mode, data["gil_share"], states, tuple(data["limits"]), *waits)
