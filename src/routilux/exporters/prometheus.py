"""A tracker's figures as Prometheus metrics, read when somebody scrapes; a job costs nothing for it.

::

    REGISTRY.register(TrackerCollector(flow.execution_tracker))

Labels are flow, routine and status, never a job. Counts and sums are exact; the buckets of histograms are estimates
from the tracker's digests, and never fall, as counters must not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from routilux.loading import needing
from routilux.tracking.counts import Counts
from routilux.tracking.figures import Distribution
from routilux.tracking.tracker import ExecutionTracker

with needing("prometheus", "Exporting metrics"):
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

BOUNDS = tuple(4.0**power / 1e6 for power in range(18))
"""Seconds, from a microsecond to nearly five hours."""

REASONS = {"count": "count", "age": "ttl"}
"""Why records were dropped: the tracker's word, and that of the metric."""

ENDS = ("completed", "failed", "skipped", "cancelled")

Labels: TypeAlias = tuple[str, ...]


class TrackerCollector(Collector):
    """Shows one tracker or several to a Prometheus registry."""

    def __init__(self, *trackers: ExecutionTracker) -> None:
        self._trackers = trackers
        self._highest: dict[tuple[str, Labels], list[int]] = {}
        """By histogram and labels: what its buckets have shown."""
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """The names are known only once something ran, so nothing is said when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        with self._lock:
            found = [self._metrics_of(tracker) for tracker in self._trackers]
        for several in zip(*found, strict=True):
            # One family has the samples of all trackers: a name must not come twice.
            for other in several[1:]:
                several[0].samples.extend(other.samples)
            yield several[0]

    def _metrics_of(self, tracker: ExecutionTracker) -> list[Metric]:
        flow = tracker.flow_id or ""
        metrics, distributions = tracker.get_performance_metrics(), tracker.get_distributions(BOUNDS)
        run_time, queue_wait = (
            {_labels(flow, routine_id): one for routine_id, one in several.items()}
            for several in (distributions.run_time, distributions.queue_wait)
        )
        return [
            *_activations(flow, tracker.counts),
            self._histogram(
                "routilux_activation_duration_seconds", "Run time of attempts", ("flow", "routine"), run_time
            ),
            self._histogram("routilux_queue_wait_seconds", "From fired to begun", ("flow", "routine"), queue_wait),
            self._histogram(
                "routilux_job_duration_seconds", "Wall time of jobs", ("flow",), {(flow,): distributions.jobs}
            ),
            *_jobs(flow, metrics["jobs"]),
            _dropped(flow, metrics["dropped"]),
        ]

    def _histogram(
        self, name: str, help_: str, labels: Sequence[str], found: Mapping[Labels, Distribution]
    ) -> HistogramMetricFamily:
        family = HistogramMetricFamily(name, help_, labels=labels)
        for values, one in found.items():
            highest = self._highest.setdefault((name, values), [0] * len(BOUNDS))
            most = 0
            for place, count in enumerate(one.at_most):
                most = highest[place] = min(one.count, max(most, count, highest[place]))
            buckets = [(repr(bound), float(count)) for bound, count in zip(BOUNDS, highest, strict=True)]
            family.add_metric(values, [*buckets, ("+Inf", float(one.count))], one.total)
        return family


def _labels(*values: str) -> Labels:
    return values


def _activations(flow: str, counts: Mapping[str, Counts]) -> list[Metric]:
    labels = ["flow", "routine"]
    ended = CounterMetricFamily("routilux_activations", "Activations that ended for good", labels=[*labels, "status"])
    retries = CounterMetricFamily("routilux_retries", "Attempts that failed and were tried again", labels=labels)
    yields = CounterMetricFamily("routilux_yields", "Values that generators gave", labels=labels)
    for routine_id, count in counts.items():
        for status in ENDS:
            ended.add_metric([flow, routine_id, status], getattr(count, status))
        retries.add_metric([flow, routine_id], count.retried)
        yields.add_metric([flow, routine_id], count.yielded)
    return [ended, retries, yields]


def _jobs(flow: str, by_status: Mapping[str, int]) -> list[Metric]:
    ended = CounterMetricFamily("routilux_jobs", "Jobs that are over", labels=["flow", "status"])
    running = GaugeMetricFamily("routilux_jobs_running", "Jobs under way", labels=["flow"])
    running.add_metric([flow], by_status.get("running", 0))
    for status in ("completed", "failed", "cancelled"):
        ended.add_metric([flow, status], by_status.get(status, 0))
    return [ended, running]


def _dropped(flow: str, dropped: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily("routilux_history_dropped", "Records no longer kept", labels=["flow", "reason"])
    for reason, count in dropped.items():
        family.add_metric([flow, REASONS[reason]], count)
    return family
