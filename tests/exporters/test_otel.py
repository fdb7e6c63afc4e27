"""OpenTelemetry spans, through the real SDK and its exporter in memory."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import StatusCode, set_span_in_context

from routilux.errors import RecordingError
from routilux.exporters import otel
from routilux.facts import JobStatus
from tests.exporters.recorded import mixed
from tests.insight.tales import Tale


class Collected:
    """A provider that keeps what is exported."""

    def __init__(self, **options):
        self.provider = TracerProvider(**options)
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def export(self, trace, context=None):
        """All spans of a trace, in the order in which they began, and whether it was sampled."""
        sampled = otel.export(trace, self.provider, context)
        return sampled, sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)


@pytest.fixture
def collected():
    return Collected()


@pytest.fixture(params=["sequential", "concurrent"])
def trace(request):
    return mixed(execution_mode=request.param, max_workers=4)


def test_a_job_is_one_trace_with_a_span_for_each_attempt(collected, trace):
    sampled, spans = collected.export(trace)
    assert sampled
    assert len({span.context.trace_id for span in spans}) == 1
    names = Counter(span.name for span in spans)
    assert names == {"job mixed": 1, **Counter(attempt.routine_id for attempt in trace.attempts)}


def test_times_are_those_of_the_job(collected, trace):
    _, spans = collected.export(trace)
    root = next(span for span in spans if span.parent is None)
    assert (root.start_time, root.end_time) == (trace.start + trace.epoch_offset_ns, trace.end + trace.epoch_offset_ns)
    assert all(root.start_time <= span.start_time <= span.end_time <= root.end_time for span in spans)


def test_the_parent_of_a_span_is_the_attempt_that_emitted_to_it(collected, trace):
    _, spans = collected.export(trace)
    by_id = {span.context.span_id: span for span in spans}
    parents = Counter((by_id[span.parent.span_id].name, span.name) for span in spans if span.parent)
    assert parents[("numbers", "fetch")] == 8
    assert parents[("fetch", "parse")] == 9
    assert {who for who, name in parents if name == "numbers"} == {"job mixed"}
    assert all(by_id[span.parent.span_id].start_time <= span.start_time for span in spans if span.parent)


def test_a_retry_is_linked_to_the_attempt_before_which_says_why(collected, trace):
    _, spans = collected.export(trace)
    failed = next(span for span in spans if span.status.status_code is StatusCode.ERROR)
    assert failed.attributes["error.type"] == "ValueError"
    assert failed.attributes["routilux.status"] == "retried"
    linked = [span for span in spans if span.links]
    assert [link.context.span_id for span in linked for link in span.links] == [failed.context.span_id]
    assert linked[0].attributes["routilux.attempt"] == 2
    assert linked[0].parent == failed.parent


def test_a_join_has_a_link_to_each_further_contributor(collected):
    tale = Tale().tell(1, "left", wait=1).tell(2, "right", wait=2).tell(3, "join", [1, 2], wait=1)
    _, spans = collected.export(tale.trace()._replace(epoch_offset_ns=0))
    left, right, join = (next(span for span in spans if span.name == name) for name in ("left", "right", "join"))
    assert join.parent.span_id == right.context.span_id
    assert [link.context.span_id for link in join.links] == [left.context.span_id]


def test_attributes_are_named_and_no_value_is_missing(collected, trace):
    _, spans = collected.export(trace)
    root, fetch = spans[0], next(span for span in spans if span.name == "fetch")
    assert root.attributes["routilux.job"] == trace.job_id
    assert root.attributes["routilux.result"] == "success"
    assert fetch.attributes["routilux.flow"] == "mixed"
    assert fetch.attributes["routilux.routine"] == "fetch"
    assert fetch.attributes["routilux.queue_time"] >= 0
    assert fetch.attributes["routilux.cpu_time"] == pytest.approx(50e-6)
    assert fetch.instrumentation_scope.name == "routilux"


def test_a_job_that_failed_is_an_error(collected, trace):
    _, spans = collected.export(trace._replace(status=JobStatus.FAILED))
    assert spans[0].status.status_code is StatusCode.ERROR
    assert spans[0].attributes["routilux.result"] == "failure"


def test_a_job_that_is_not_sampled_has_no_spans(trace):
    sampled, spans = Collected(sampler=ParentBased(ALWAYS_OFF)).export(trace)
    assert (sampled, spans) == (False, [])


def test_a_job_is_a_trace_of_its_own_unless_it_is_given_a_place(collected, trace):
    tracer = collected.provider.get_tracer("a service")
    with tracer.start_as_current_span("request") as request:
        otel.export(trace, collected.provider)
        otel.export(trace, collected.provider, set_span_in_context(request, Context()))
    jobs = [span for span in collected.exporter.get_finished_spans() if span.name == "job mixed"]
    assert [span.parent and span.parent.span_id for span in jobs] == [None, request.get_span_context().span_id]


def test_without_a_provider_nothing_happens(trace):
    assert otel.export(trace) is False


def test_a_recording_that_does_not_tell_when_it_was_made_is_refused(trace):
    with pytest.raises(RecordingError, match="does not tell when it was made"):
        otel.export(trace._replace(epoch_offset_ns=None))
