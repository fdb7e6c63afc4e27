"""OpenTelemetry metrics, through the real SDK and its reader in memory."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from routilux import Flow, Retry, Skip, routine
from routilux.exporters import otel


@pytest.fixture
def flow():
    @routine
    def numbers(n):
        yield from range(n)

    @routine(error_strategy=Retry(max_retries=1, delay=0, then=Skip()))
    def odd(x):
        if x % 2 == 0:
            raise ValueError(x)

    flow = Flow("odds")
    flow.chain(numbers, odd)
    return flow


@pytest.fixture
def read(flow):
    """Observes the flow, and gives what a reader is shown: values by name, routine and status."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    otel.observe(flow.execution_tracker, provider)

    def values():
        found = {}
        data = reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points:
                assert point.attributes["routilux.flow"] == "odds"
                own = [point.attributes.get(f"routilux.{name}") for name in ("routine", "status")]
                found[metric.name, *(one for one in own if one)] = point.value
        return found

    yield values
    provider.shutdown()


def test_what_a_tracker_counts_is_observed(flow, read):
    flow.execute("numbers", {"n": 6})
    values = read()
    assert values["routilux.activations", "odd", "completed"] == 3
    assert values["routilux.activations", "odd", "skipped"] == 3
    assert values["routilux.retries", "odd"] == 3
    assert values["routilux.attempts", "odd"] == 9
    assert values["routilux.attempts", "numbers"] == 7
    assert values["routilux.jobs", "completed"] == 1
    assert values["routilux.jobs.running",] == 0


def test_seconds_are_those_of_the_tracker_and_grow(flow, read):
    flow.execute("numbers", {"n": 6})
    before = read()
    work = flow.execution_tracker.get_routine_performance("odd")["work"]
    assert before["routilux.run_time", "odd"] == pytest.approx(work)
    flow.execute("numbers", {"n": 6})
    after = read()
    assert all(after[key] >= value for key, value in before.items())
    assert after["routilux.queue_time", "odd"] > before["routilux.queue_time", "odd"]
