"""Prometheus metrics, through the real client: registered, scraped as text, and read again by its parser."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from routilux import Continue, Flow, Retry, Skip, routine
from routilux.exporters.prometheus import BOUNDS, TrackerCollector
from routilux.tracking.tracker import ExecutionTracker


def flow_of_all_kinds(name="kinds"):
    @routine
    def numbers(n):
        yield from range(n)

    @routine(error_strategy=Retry(max_retries=1, delay=0, then=Skip()))
    def odd(x):
        if x % 2 == 0:
            raise ValueError(x)
        return x

    @routine(error_strategy=Continue())
    def small(x):
        if x > 3:
            raise ValueError(x)

    flow = Flow(name)
    flow.chain(numbers, odd, small)
    return flow


def scraped(*trackers):
    """By name and labels: the samples of the text that a scrape would give."""
    registry = CollectorRegistry()
    registry.register(TrackerCollector(*trackers))
    return samples_of(registry)


def samples_of(registry):
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert len({family.name for family in families}) == len(families)
    return {key_of(sample): sample.value for family in families for sample in family.samples}


def key_of(sample):
    """Its name and the values of its labels, the bound of a bucket last."""
    labels = dict(sample.labels)
    bound = [labels.pop("le")] if "le" in labels else []
    return (sample.name, *labels.values(), *bound)


def test_activations_are_counted_by_how_they_ended():
    flow = flow_of_all_kinds()
    flow.execute("numbers", {"n": 6})
    samples = scraped(flow.execution_tracker)
    name = "routilux_activations_total", "kinds"
    assert samples[*name, "odd", "completed"] == 3
    assert samples[*name, "odd", "skipped"] == 3
    assert samples[*name, "small", "failed"] == 1
    assert samples[*name, "numbers", "completed"] == 1
    assert samples["routilux_retries_total", "kinds", "odd"] == 3
    assert samples["routilux_yields_total", "kinds", "numbers"] == 6
    assert samples["routilux_jobs_total", "kinds", "completed"] == 1
    assert samples["routilux_jobs_running", "kinds"] == 0


def test_buckets_ascend_and_the_last_has_all():
    flow = flow_of_all_kinds()
    flow.execute("numbers", {"n": 50})
    samples = scraped(flow.execution_tracker)
    for name, *labels in (
        ("routilux_activation_duration_seconds", "kinds", "odd"),
        ("routilux_queue_wait_seconds", "kinds", "odd"),
        ("routilux_job_duration_seconds", "kinds"),
    ):
        buckets = [value for key, value in samples.items() if key[0] == f"{name}_bucket" and list(key[1:-1]) == labels]
        assert buckets == sorted(buckets)
        assert len(buckets) == len(BOUNDS) + 1
        assert buckets[-1] == samples[f"{name}_count", *labels] > 0
    work = flow.execution_tracker.get_performance_metrics()["routines"]["odd"]["work"]
    assert samples["routilux_activation_duration_seconds_sum", "kinds", "odd"] == pytest.approx(work)


def test_no_counter_and_no_bucket_ever_falls():
    flow, registry = flow_of_all_kinds(), CollectorRegistry()
    registry.register(TrackerCollector(flow.execution_tracker))
    before = {}
    for n in (3, 2000, 10, 1500):
        flow.execute("numbers", {"n": n})
        after = samples_of(registry)
        assert all(after[key] >= value for key, value in before.items() if key[0] != "routilux_jobs_running")
        before = after


def test_several_flows_share_one_collector():
    flows = [flow_of_all_kinds("first"), flow_of_all_kinds("second")]
    for flow in flows:
        flow.execute("numbers", {"n": 4})
    samples = scraped(*(flow.execution_tracker for flow in flows))
    assert samples["routilux_jobs_total", "first", "completed"] == 1
    assert samples["routilux_jobs_total", "second", "completed"] == 1


def test_a_job_is_no_label():
    flow = flow_of_all_kinds()
    job = flow.execute("numbers", {"n": 4})
    registry = CollectorRegistry()
    registry.register(TrackerCollector(flow.execution_tracker))
    assert job.job_id not in generate_latest(registry).decode()


def test_names_of_any_kind_come_through():
    flow = Flow('a "flow"\n')
    flow.add_routine(lambda x: None, "back\\slash")
    flow.execute("back\\slash", {"x": 1})
    samples = scraped(flow.execution_tracker)
    assert samples["routilux_activations_total", 'a "flow"\n', "back\\slash", "completed"] == 1


def test_dropped_records_are_counted_by_reason():
    tracker = ExecutionTracker("kinds", max_history_size=0)
    flow = flow_of_all_kinds()
    flow.execution_tracker = tracker
    flow.execute("numbers", {"n": 4})
    samples = scraped(tracker)
    assert samples["routilux_history_dropped_total", "kinds", "count"] > 0
    assert samples["routilux_history_dropped_total", "kinds", "ttl"] == 0


def test_a_tracker_that_saw_nothing_has_only_what_is_of_the_flow():
    samples = scraped(ExecutionTracker("kinds"))
    assert samples["routilux_jobs_total", "kinds", "failed"] == 0
    assert not any(key[0].startswith("routilux_activation") for key in samples)
