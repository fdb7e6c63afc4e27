"""The tracker of a flow: reads the records of all its jobs, and knows nothing of what runs them.

Records arrive in batches, from whichever thread has one. All are counted. They are folded into figures, so that
statistics are of everything that ever ran, and the last of each routine are kept within bounds.

Where records come so fast that looking at each would slow the jobs down, the tracker looks at one batch in sixteen,
and lets it stand for the others: see `CROWDED_NS`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from routilux.errors import ResultError
from routilux.facts import JobStatus, Origin, Record
from routilux.suggestions import nearest
from routilux.tracking.counts import Counts, Tally
from routilux.tracking.figures import Distribution, Figures
from routilux.tracking.kept import Kept
from routilux.tracking.records import ExecutionRecord, Executions
from routilux.tracking.report import report_lines

SORT_AT = 4096
"""So many records, of whatever jobs and routines, are sorted out at once."""

CROWDED_NS = 5_000
"""A batch is crowded when its records are less than this apart on average: 200,000 a second."""

ONE_IN = 16
"""Of crowded batches, once a tracker has seen `WHOLE` records, one in so many is looked at."""

WHOLE = 20_000
"""So many records wait unsorted until somebody looks, because most trackers never see more."""


class RoutineFigures:
    """What is known of all executions of one routine."""

    __slots__ = ("queue_wait", "run_time")

    def __init__(self) -> None:
        self.run_time = Figures()
        self.queue_wait = Figures()


class Distributions(NamedTuple):
    """How durations are spread: of the attempts of each routine, of their waits, and of jobs."""

    run_time: dict[str, Distribution]
    queue_wait: dict[str, Distribution]
    jobs: Distribution


class ExecutionTracker:
    """Execution records and performance figures of a flow's jobs."""

    def __init__(
        self,
        flow_id: str | None = None,
        max_history_size: int | None = 1000,
        history_ttl_seconds: float | None = 3600,
        *,
        now: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """The bounds are for each routine; `None` lifts one. `now` gives the present moment of the jobs' clock."""
        self.flow_id = flow_id
        self._now = now
        self._kept = Kept(max_history_size, history_ttl_seconds, now)
        self._unsorted: dict[int, list[Record]] = {1: [], ONE_IN: []}
        """By the number of records that each stands for: those not yet in the figures."""
        self._crowded_batches = 0
        self._seen = 0
        self._routines: dict[str, RoutineFigures] = {}
        self._tally = Tally()
        self._jobs = _Jobs()
        self._offset = 0
        self._lock = threading.Lock()

    @property
    def routine_executions(self) -> Mapping[str, Sequence[ExecutionRecord]]:
        """By routine id: the records that are kept, oldest first. A routine that never ran is absent."""
        with self._lock:
            self._sort()
            kept = self._kept.by_routine()
            return {name: Executions(kept[name], self._offset) for name in self._routines if name in kept}

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By routine id: how its activations ended, all of them."""
        with self._lock:
            self._sort()
            return self._tally.counts()

    def get_distributions(self, bounds: Sequence[float]) -> Distributions:
        """How many durations were at most so many seconds, for each of the bounds, which ascend."""
        with self._lock:
            self._sort()
            return Distributions(
                {name: figures.run_time.distribution(bounds) for name, figures in self._routines.items()},
                {name: figures.queue_wait.distribution(bounds) for name, figures in self._routines.items()},
                self._jobs.durations.distribution(bounds),
            )

    def absorb(self, records: Sequence[Record], unusual: Sequence[Record]) -> None:
        """Takes records of one job in; from any thread."""
        with self._lock:
            if unusual:
                self._tally.add_unusual(unusual)
            self._seen += len(records)
            weight = 1
            if self._seen > WHOLE and records[-1][8] - records[0][7] < CROWDED_NS * len(records):
                weight = ONE_IN
                self._tally.add(records)
                self._crowded_batches += 1
                if self._crowded_batches % ONE_IN:
                    return
            self._unsorted[weight] += records
            if self._seen > WHOLE:
                for weight, unsorted in self._unsorted.items():
                    if len(unsorted) >= SORT_AT:
                        self._sort_some(unsorted, weight)

    def job_started(self, origin: Origin, moment: int, workers: int) -> None:
        """A job begins, on so many workers."""
        with self._lock:
            self._offset = origin.epoch_offset_ns
            self._jobs.started(origin.job_id, moment, workers)

    def job_finished(self, origin: Origin, status: JobStatus, started: int, ended: int, workers: int) -> None:
        """A job is over."""
        with self._lock:
            self._jobs.finished(origin.job_id, status, started, ended, workers)

    def get_routine_performance(self, routine_id: str) -> dict[str, Any]:
        """The figures of one routine, as under `routines` in `get_performance_metrics`."""
        routines = self.get_performance_metrics()["routines"]
        if routine_id not in routines:
            raise ResultError(f"No execution of {routine_id!r} has been tracked.{nearest(routine_id, routines)}")
        found: dict[str, Any] = routines[routine_id]
        return found

    def get_performance_metrics(self) -> dict[str, Any]:
        """Figures of everything that ran since the tracker was made, as plain values (all durations in seconds).

        `run_time` and `queue_wait` are of attempts, and of the single values of generators. `throughput` is
        executions a second of the time in which jobs ran.
        `engine_overhead` is what sequential jobs took beyond their handlers, waits for retries included, and
        `None` where a job had several workers, whose idle time cannot be told from it.
        """
        with self._lock:
            self._sort()
            counts, kept = self._tally.counts(), self._kept.by_routine()
            work = sum(figures.run_time.total for figures in self._routines.values())
            routines = {
                routine_id: self._routine_metrics(
                    routine_id, figures, counts[routine_id], len(kept.get(routine_id, ())), work
                )
                for routine_id, figures in self._routines.items()
            }
            return self._flow_metrics(routines, counts, work)

    def report(self, file: TextIO | None = None) -> None:
        """Prints the figures as a table, with the bottleneck named; to standard output, or to `file`."""
        print("\n".join(report_lines(self.get_performance_metrics())), file=file or sys.stdout)

    def _sort(self) -> None:
        """Brings figures and kept records up to date."""
        for weight, unsorted in self._unsorted.items():
            while unsorted:
                self._sort_some(unsorted, weight)

    def _sort_some(self, unsorted: list[Record], weight: int) -> None:
        """Folds the first of these records into the figures of their routines, and keeps them."""
        records = unsorted[:SORT_AT]
        del unsorted[:SORT_AT]
        durations: defaultdict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for _, _, routine_id, _, _, _, fired, began, ended, _, _ in records:
            run_times, queue_waits = durations[routine_id]
            run_times.append(ended - began)
            queue_waits.append(began - fired)
        for routine_id, (run_times, queue_waits) in durations.items():
            figures = self._routines.get(routine_id)
            if figures is None:
                figures = self._routines[routine_id] = RoutineFigures()
            figures.run_time.fold(run_times, weight)
            figures.queue_wait.fold(queue_waits, weight)
        if weight == 1:
            self._tally.add(records)
        self._kept.add(records, {routine_id: len(run_times) for routine_id, (run_times, _) in durations.items()})

    def _routine_metrics(
        self, routine_id: str, figures: RoutineFigures, counts: Counts, retained: int, work: int
    ) -> dict[str, Any]:
        too_old = self._kept.too_old[routine_id]
        return {
            **_count_metrics([counts], self._jobs.busy_ns(self._now())),
            "run_time": figures.run_time.summary(),
            "queue_wait": figures.queue_wait.summary(),
            "work": figures.run_time.total / 1e9,
            "share": figures.run_time.total / work if work else 0.0,
            "retained": retained,
            "dropped": {"count": _records(counts) - retained - too_old, "age": too_old},
        }

    def _flow_metrics(
        self, routines: dict[str, dict[str, Any]], counts: dict[str, Counts], work: int
    ) -> dict[str, Any]:
        now = self._now()
        run_time, queue_wait = Figures(), Figures()
        for figures in self._routines.values():
            run_time.merge(figures.run_time)
            queue_wait.merge(figures.queue_wait)
        bottleneck = max(routines, key=lambda routine_id: float(routines[routine_id]["share"]), default=None)
        worker_ns, busy_ns = self._jobs.worker_ns(now), self._jobs.busy_ns(now)
        sequential = self._jobs.most_workers <= 1
        return {
            "flow_id": self.flow_id,
            "jobs": self._jobs.by_status(),
            **_count_metrics(list(counts.values()), busy_ns),
            "run_time": run_time.summary(),
            "queue_wait": queue_wait.summary(),
            "work": work / 1e9,
            "wall_time": busy_ns / 1e9,
            "worker_utilisation": work / worker_ns if worker_ns else 0.0,
            "engine_overhead": (worker_ns - work) / 1e9 if sequential else None,
            "retained": sum(routine["retained"] for routine in routines.values()),
            "dropped": {
                reason: sum(routine["dropped"][reason] for routine in routines.values()) for reason in ("count", "age")
            },
            "bottleneck": (
                None if bottleneck is None else {"routine": bottleneck, "share": routines[bottleneck]["share"]}
            ),
            "routines": routines,
        }


class _Jobs:
    """When jobs ran, and on how many workers."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[int, int]] = {}
        self._ended: Counter[JobStatus] = Counter()
        self._worker_ns = 0
        self._busy_ns = 0
        self._busy_since = 0
        self._unfolded: list[int] = []
        self._durations = Figures()
        self.most_workers = 0

    def started(self, job_id: str, moment: int, workers: int) -> None:
        if not self._running:
            self._busy_since = moment
        self._running[job_id] = moment, workers
        self.most_workers = max(self.most_workers, workers)

    def finished(self, job_id: str, status: JobStatus, started: int, ended: int, workers: int) -> None:
        self._running.pop(job_id, None)
        self.most_workers = max(self.most_workers, workers)
        self._ended[status] += 1
        self._worker_ns += (ended - started) * workers
        self._unfolded.append(ended - started)
        if len(self._unfolded) >= WHOLE:
            self._fold()
        if not self._running:
            self._busy_ns += ended - self._busy_since

    @property
    def durations(self) -> Figures:
        """How long jobs took."""
        self._fold()
        return self._durations

    def busy_ns(self, now: int) -> int:
        """For how long at least one job ran."""
        return self._busy_ns + (now - self._busy_since if self._running else 0)

    def worker_ns(self, now: int) -> int:
        """For how long there were workers, each counted."""
        return self._worker_ns + sum((now - started) * workers for started, workers in self._running.values())

    def by_status(self) -> dict[str, int]:
        running = {"running": len(self._running)} if self._running else {}
        return {**running, **{status.value: count for status, count in self._ended.items()}}

    def _fold(self) -> None:
        if self._unfolded:
            self._durations.fold(self._unfolded)
            self._unfolded = []


def _records(counts: Counts) -> int:
    return counts.executions + counts.retried + counts.yielded


def _count_metrics(counts: list[Counts], busy_ns: int) -> dict[str, Any]:
    executions = sum(count.executions for count in counts)
    return {
        "executions": executions,
        "failures": sum(count.failed + count.skipped for count in counts),
        "retries": sum(count.retried for count in counts),
        "cancelled": sum(count.cancelled for count in counts),
        "yields": sum(count.yielded for count in counts),
        "throughput": executions / busy_ns * 1e9 if busy_ns else 0.0,
    }
