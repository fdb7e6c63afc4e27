"""A tracker's figures as OpenTelemetry metrics, read whenever the program's reader asks; a job costs nothing for it.

OpenTelemetry cannot observe a histogram from outside, so durations are sums of seconds: divided by the number of
attempts they are means. Attributes are flow, routine and status, never a job.
"""

from __future__ import annotations

from collections.abc import Iterator

from routilux.loading import needing
from routilux.tracking.counts import Counts
from routilux.tracking.tracker import ExecutionTracker

with needing("otel", "Exporting metrics"):
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
    from opentelemetry.util.types import Attributes

ENDS = ("completed", "failed", "skipped", "cancelled")


def observe(tracker: ExecutionTracker, meter_provider: MeterProvider | None = None) -> None:
    """Shows a tracker to `meter_provider`, the program's own by default, from now on."""
    meter = (meter_provider or get_meter_provider()).get_meter("routilux")
    shown = _Shown(tracker)
    meter.create_observable_counter("routilux.activations", [shown.activations], "1", "Activations that ended for good")
    meter.create_observable_counter("routilux.attempts", [shown.attempts], "1", "Attempts, and values of generators")
    meter.create_observable_counter(
        "routilux.retries", [shown.retries], "1", "Attempts that failed and were tried again"
    )
    meter.create_observable_counter("routilux.run_time", [shown.run_time], "s", "Run time of attempts")
    meter.create_observable_counter("routilux.queue_time", [shown.queue_time], "s", "From fired to begun")
    meter.create_observable_counter("routilux.jobs", [shown.jobs], "1", "Jobs that are over")
    meter.create_observable_up_down_counter("routilux.jobs.running", [shown.jobs_running], "1", "Jobs under way")


class _Shown:
    """What a reader is given of a tracker."""

    def __init__(self, tracker: ExecutionTracker) -> None:
        self._tracker = tracker

    def activations(self, _options: CallbackOptions) -> Iterator[Observation]:
        for routine_id, counts in self._tracker.counts.items():
            for status in ENDS:
                yield Observation(getattr(counts, status), self._of(routine_id, status))

    def attempts(self, _options: CallbackOptions) -> Iterator[Observation]:
        for routine_id, counts in self._tracker.counts.items():
            yield Observation(_attempts(counts), self._of(routine_id))

    def retries(self, _options: CallbackOptions) -> Iterator[Observation]:
        for routine_id, counts in self._tracker.counts.items():
            yield Observation(counts.retried, self._of(routine_id))

    def run_time(self, _options: CallbackOptions) -> Iterator[Observation]:
        for routine_id, one in self._tracker.get_distributions(()).run_time.items():
            yield Observation(one.total, self._of(routine_id))

    def queue_time(self, _options: CallbackOptions) -> Iterator[Observation]:
        for routine_id, one in self._tracker.get_distributions(()).queue_wait.items():
            yield Observation(one.total, self._of(routine_id))

    def jobs(self, _options: CallbackOptions) -> Iterator[Observation]:
        for status, count in self._by_status().items():
            if status != "running":
                yield Observation(count, {"routilux.flow": self._flow, "routilux.status": status})

    def jobs_running(self, _options: CallbackOptions) -> Iterator[Observation]:
        yield Observation(self._by_status().get("running", 0), {"routilux.flow": self._flow})

    @property
    def _flow(self) -> str:
        return self._tracker.flow_id or ""

    def _by_status(self) -> dict[str, int]:
        jobs: dict[str, int] = self._tracker.get_performance_metrics()["jobs"]
        return jobs

    def _of(self, routine_id: str, status: str | None = None) -> Attributes:
        whose = {"routilux.flow": self._flow, "routilux.routine": routine_id}
        return whose if status is None else {**whose, "routilux.status": status}


def _attempts(counts: Counts) -> int:
    return counts.executions + counts.retried + counts.yielded
