"""A trace in the Chrome trace-event format, which Perfetto and speedscope open.

Each mode is a process, each worker a thread. Attempts are slices, and what their time went into, where that was
measured, slices within; arrows are emissions, and counters show how many activations ran and waited. Of the parts of
an attempt it is known how long they were and not when, so they stand one after another.

The format is old and still read everywhere: one object with `traceEvents`; moments and durations are microseconds.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from routilux.insight.lanes import Lane, arrows_of, lanes_of, levels_of
from routilux.insight.needs import needs_of
from routilux.insight.split import Split, splits_of
from routilux.insight.timeline import Use
from routilux.insight.trace import Attempt, Trace

Event: TypeAlias = dict[str, Any]

PARTS = (Use.PYTHON, Use.NATIVE, Use.WAIT, Use.CONTENTION)
"""In the order of the fields of `Split`."""

JOB = 0
"""The process that stands for the job as a whole."""


def write(trace: Trace, path: str | PathLike[str]) -> None:
    """Writes a trace to a file, compressed if its name ends in `.gz`."""
    text = json.dumps(document(trace), separators=(",", ":")).encode()
    target = Path(path)
    target.write_bytes(gzip.compress(text, mtime=0) if target.suffix == ".gz" else text)


def document(trace: Trace) -> dict[str, Any]:
    """A trace as what the format has for JSON."""
    return {
        "displayTimeUnit": "ms",
        "otherData": {
            "flow": trace.flow_id,
            "job": trace.job_id,
            "mode": trace.mode.value,
            "workers": trace.workers,
            "routilux": trace.engine,
        },
        "traceEvents": list(_Writer(trace).events()),
    }


class _Writer:
    """The events of one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._lanes = lanes_of(trace)
        modes = dict.fromkeys(lane.mode for lane in self._lanes)
        self._pids = {mode: pid for pid, mode in enumerate(modes, JOB + 1)}
        self._place: dict[int, tuple[int, int]] = {
            index: (self._pids[lane.mode], tid) for tid, lane in enumerate(self._lanes, 1) for index in lane.attempts
        }

    def events(self) -> Iterator[Event]:
        """All events: names first, then slices, arrows and counters."""
        yield from self._names()
        for index, split in enumerate(splits_of(self._trace)):
            yield from self._slices(index, split)
        yield from self._arrows()
        yield from self._counters()

    def _names(self) -> Iterator[Event]:
        trace = self._trace
        yield _name("process_name", JOB, 0, f"flow {trace.flow_id}, job {trace.job_id}")
        for mode, pid in self._pids.items():
            yield _name("process_name", pid, 0, mode.value)
        for tid, lane in enumerate(self._lanes, 1):
            yield _name("thread_name", self._pids[lane.mode], tid, lane.name)
            yield self._order(lane, tid)

    def _order(self, lane: Lane, tid: int) -> Event:
        """Keeps lanes in their order, where a reader would sort them by name."""
        order = {"sort_index": tid}
        return {"ph": "M", "name": "thread_sort_index", "pid": self._pids[lane.mode], "tid": tid, "args": order}

    def _slices(self, index: int, split: Split) -> Iterator[Event]:
        attempt = self._trace.attempts[index]
        yield self._slice(index, attempt.routine_id, "activation", attempt.begun, attempt.ended, _details(attempt))
        if attempt.cpu_ns is None and not self._trace.observed(attempt.routine_id).looks:
            return
        began = attempt.begun
        for use, seconds in zip(PARTS, split, strict=True):
            ended = min(attempt.ended, began + round(seconds * 1e9))
            if ended > began:
                yield self._slice(index, use.value, "kind of time", began, ended, {})
                began = ended

    def _slice(self, index: int, name: str, category: str, began: int, ended: int, args: Event) -> Event:
        pid, tid = self._place[index]
        when = {"ts": self._moment(began), "dur": (ended - began) / 1e3}
        return {"ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, **when, "args": args}

    def _arrows(self) -> Iterator[Event]:
        attempts = self._trace.attempts
        for number, arrow in enumerate(arrows_of(self._trace, needs_of(self._trace)), 1):
            emitter = attempts[arrow.emitter]
            # An arrow holds on to the slice in which it lies, and a slice's end is no longer in it.
            left = max(emitter.begun, emitter.ended - 1)
            yield self._end_of_arrow("s", number, arrow.emitter, left)
            yield {**self._end_of_arrow("f", number, arrow.receiver, attempts[arrow.receiver].begun), "bp": "e"}

    def _end_of_arrow(self, phase: str, number: int, index: int, moment: int) -> Event:
        pid, tid = self._place[index]
        where = {"pid": pid, "tid": tid, "ts": self._moment(moment)}
        return {"ph": phase, "name": "emission", "cat": "emission", "id": number, **where}

    def _counters(self) -> Iterator[Event]:
        for level in levels_of(self._trace):
            for name, count in (("active workers", level.running), ("queue depth", level.waiting)):
                when = {"pid": JOB, "tid": 0, "ts": self._moment(level.moment)}
                yield {"ph": "C", "name": name, **when, "args": {name: count}}

    def _moment(self, moment: int) -> float:
        return (moment - self._trace.start) / 1e3


def _name(kind: str, pid: int, tid: int, name: str) -> Event:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def _details(attempt: Attempt) -> Event:
    details = {
        "activation": attempt.activation_id,
        "attempt": attempt.attempt,
        "status": attempt.status.value,
        "queue wait (ms)": attempt.queue_wait * 1e3,
        "cpu (ms)": None if attempt.cpu_ns is None else attempt.cpu_ns / 1e6,
        "payload (bytes)": attempt.payload_bytes,
        "error": attempt.error,
    }
    return {name: value for name, value in details.items() if value is not None}
