"""What can be explained of a job that was not recorded: what its history still has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from routilux.advice.explanation import NOT_RECORDED, Explanation, explain_trace
from routilux.course import Course
from routilux.errors import UnfinishedJobError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Record
from routilux.insight.trace import Trace, attempts_of
from routilux.recorder import host, observed_of


def explain_remembered(
    course: Course, records: Sequence[Record], total: int, workers: Callable[[ExecutionMode], int]
) -> Explanation:
    """Explains a finished job by the records that are kept of it, of `total` that there were."""
    if course.ended_at is None:
        raise UnfinishedJobError("A job can be explained once it is over. Call wait() first.")
    machine = course.machine
    plan = machine.plan
    by_mode = {mode: workers(mode) for mode in sorted(plan.in_use)}
    trace = Trace(
        flow_id=course.origin.flow_id,
        job_id=course.origin.job_id,
        mode=plan.mode,
        workers=sum(by_mode.values()),
        start=course.started_at,
        end=course.ended_at,
        host=host(),
        attempts=attempts_of(records),
        routines={station.routine_id: observed_of(plan, station) for station in plan.stations},
        workers_by_mode=by_mode,
        streamed=machine.streaming,
    )
    unknown = [f"{NOT_RECORDED} Record a job with flow.record(...) to know them."]
    if len(records) < total:
        unknown.append(
            f"Its history kept {len(records):,} of {total:,} records, so much of the time is unexplained. "
            "Raise max_history_size, or record it."
        )
    return explain_trace(trace, tuple(unknown), recorded=False)
