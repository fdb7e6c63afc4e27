"""A recorded job as OpenTelemetry spans: one trace a job, one span an attempt.

::

    otel.export(trace)

A span's parent is the attempt that emitted what it was handed; further contributors of a join, and the attempt before
a retry, are links. All of it is made from what was recorded, after the job, with the times of then. The sampler is
asked once, for the job; of a job that it leaves out no further span is made.
"""

from __future__ import annotations

from collections.abc import Mapping

from routilux.errors import RecordingError
from routilux.facts import ActivationStatus, JobStatus
from routilux.insight.lanes import arrows_of
from routilux.insight.needs import needs_of
from routilux.insight.trace import Attempt, Trace
from routilux.loading import needing

with needing("otel", "Exporting spans"):
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        Link,
        NonRecordingSpan,
        Span,
        SpanContext,
        Status,
        StatusCode,
        Tracer,
        TracerProvider,
        get_tracer_provider,
        set_span_in_context,
    )
    from opentelemetry.util.types import AttributeValue

RESULTS = {JobStatus.COMPLETED: "success", JobStatus.FAILED: "failure", JobStatus.CANCELLED: "cancellation"}
"""The words of the convention for pipelines, the nearest there is."""


def export(trace: Trace, tracer_provider: TracerProvider | None = None, context: Context | None = None) -> bool:
    """Makes the spans of a job; says whether it was sampled.

    They go to `tracer_provider`, the program's own by default. The job is a trace of its own, or, with a `context`,
    a part of what that belongs to. Raises `RecordingError` if the recording does not tell when it was made.
    """
    if trace.epoch_offset_ns is None:
        raise RecordingError("The recording does not tell when it was made, and spans need that. Record the job again.")
    provider = tracer_provider or get_tracer_provider()
    tracer = provider.get_tracer("routilux", trace.engine or None)
    root = tracer.start_span(
        f"job {trace.flow_id}",
        Context() if context is None else context,
        attributes=_of_job(trace),
        start_time=trace.start + trace.epoch_offset_ns,
    )
    sampled = root.is_recording()
    if sampled:
        _Spans(trace, tracer, root, trace.epoch_offset_ns).make()
        if trace.status is JobStatus.FAILED:
            root.set_status(Status(StatusCode.ERROR))
    root.end(trace.end + trace.epoch_offset_ns)
    return sampled


class _Spans:
    """The spans of one job's attempts, made in the order in which they began."""

    def __init__(self, trace: Trace, tracer: Tracer, root: Span, offset: int) -> None:
        self._trace = trace
        self._tracer = tracer
        self._root = root
        self._offset = offset
        self._emitters: dict[int, list[int]] = {}
        for arrow in arrows_of(trace, needs_of(trace)):
            self._emitters.setdefault(arrow.receiver, []).append(arrow.emitter)
        self._made: list[SpanContext] = []
        self._of_activation: dict[int, tuple[Context, int]] = {}
        """By activation: what its spans hang on, and the place of its last attempt."""

    def make(self) -> None:
        for index, attempt in enumerate(self._trace.attempts):
            parent, links = self._origin(index, attempt)
            span = self._tracer.start_span(
                attempt.routine_id,
                parent,
                attributes=self._of_attempt(attempt),
                links=links,
                start_time=attempt.begun + self._offset,
            )
            if attempt.error is not None:
                span.set_status(Status(StatusCode.ERROR, attempt.error))
            span.end(attempt.ended + self._offset)
            self._made.append(span.get_span_context())
            self._of_activation[attempt.activation_id] = parent, index

    def _origin(self, index: int, attempt: Attempt) -> tuple[Context, list[Link]]:
        """What a span hangs on, and its links."""
        known = self._of_activation.get(attempt.activation_id)
        if known is not None:
            parent, before = known
            retried = self._trace.attempts[before].status is ActivationStatus.RETRIED
            return parent, [Link(self._made[before])] if retried else []
        emitters = self._emitters.get(index)
        if not emitters:
            return set_span_in_context(self._root, Context()), []
        last = max(emitters, key=lambda emitter: self._trace.attempts[emitter].ended)
        links = [Link(self._made[emitter]) for emitter in emitters if emitter != last]
        return self._inside(last), links

    def _inside(self, index: int) -> Context:
        return set_span_in_context(NonRecordingSpan(self._made[index]), Context())

    def _of_attempt(self, attempt: Attempt) -> Mapping[str, AttributeValue]:
        mode = self._trace.mode_of(attempt.routine_id)
        found: dict[str, AttributeValue] = {
            "routilux.flow": self._trace.flow_id,
            "routilux.routine": attempt.routine_id,
            "routilux.activation": attempt.activation_id,
            "routilux.attempt": attempt.attempt,
            "routilux.status": attempt.status.value,
            "routilux.mode": mode.value,
            "routilux.worker": attempt.worker,
            "routilux.queue_time": attempt.queue_wait,
        }
        if attempt.cpu_ns is not None:
            found["routilux.cpu_time"] = attempt.cpu_ns / 1e9
        if attempt.error is not None:
            found["error.type"] = attempt.error.partition(":")[0]
        return found


def _of_job(trace: Trace) -> Mapping[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "routilux.flow": trace.flow_id,
        "routilux.job": trace.job_id,
        "routilux.mode": trace.mode.value,
        "routilux.workers": trace.workers,
    }
    if trace.status in RESULTS:
        found["routilux.result"] = RESULTS[trace.status]
    return found
