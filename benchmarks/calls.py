"""What one activation costs: in a chain, on threads, and with a tracker that looks on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns, sleep
from typing import Any

from benchmarks.measure import Figure, ratio
from routilux import Context, ExecutionTracker, Flow, Job, collect, routine
from routilux.tracking.tracker import WHOLE

CHAIN = 100

LONG = WHOLE + 30_000
"""So many records bring a tracker to where it looks at only some of those that come fast."""

NEW = WHOLE // CHAIN + 20
"""So many chains bring a new tracker just past the records that it looks at one and all, and may put off until then.

With fewer, what it puts off would be in nobody's figure.
"""


def no_op(x: Any) -> Any:
    """Does nothing."""
    return x


def chain_flow() -> Flow:
    """A chain of no-ops."""
    flow = Flow("chain")
    flow.chain(*[flow.add_routine(no_op, f"step_{number}") for number in range(CHAIN)])
    return flow


def floor(jobs: int) -> int:
    """The least that an engine could do: pop, call, two stamps, one record."""
    records: deque[tuple[int, int, int, int]] = deque(maxlen=1000)
    queue: deque[tuple[Callable[..., Any], dict[str, Any]]] = deque()
    for _ in range(jobs):
        queue.append((no_op, {"x": 1}))
        for number in range(CHAIN):
            handler, arguments = queue.popleft()
            began = perf_counter_ns()
            value = handler(**arguments)
            ended = perf_counter_ns()
            records.append((number, began, ended, 1))
            queue.append((no_op, {"x": value}))
        queue.clear()
    assert len(records) == 1000
    return jobs * CHAIN


def run_chain(flow: Flow, jobs: int) -> int:
    """Executes a chain again and again."""
    completed, job = 0, None
    for _ in range(jobs):
        job = flow.execute("step_0", {"x": 1})
        completed += job.status == "completed"
    assert job is not None
    assert completed == jobs
    assert job.result == 1
    assert len(job.history) == CHAIN
    return jobs * CHAIN


def sequential_chain(scale: float, repetitions: int) -> list[Figure]:
    """A chain of 100 no-ops against the floor: many jobs with their set-up, and one job with many items.

    A tracker looks at every record while it is new, and at one batch in sixteen of those that come fast once it
    is old, so both are measured.
    """
    jobs = max(10, int(100 * scale))
    measure = "sequential chain of 100 no-ops against the floor"
    fresh, tracked, new = chain_flow(), past_all_records(chain_flow()), max(10, int(NEW * scale))
    renew = _renewal(fresh, new)

    def least() -> int:
        return floor(jobs)

    figures = [
        ratio(f"{measure}, new tracker", None, lambda: run_chain(fresh, new), least, repetitions, renew),
        ratio(f"{measure}, tracker on", 2.5, lambda: run_chain(tracked, jobs), least, repetitions),
        _fed_chain(measure, scale, repetitions),
    ]
    renew()
    _assert_counts(tracked.execution_tracker, LONG // CHAIN + jobs * (repetitions + 1))
    return figures


def tracker_on_and_off(scale: float, repetitions: int) -> list[Figure]:
    """The same chain with a tracker, and without: while the tracker looks at every record, and after."""
    jobs, untracked = max(10, int(NEW * scale)), chain_flow()
    untracked.execution_tracker = None
    fresh, tracked = chain_flow(), past_all_records(chain_flow())
    renew = _renewal(fresh, jobs)

    def off() -> int:
        return run_chain(untracked, jobs)

    figures = [
        ratio("tracker on against off, new tracker", None, lambda: run_chain(fresh, jobs), off, repetitions, renew),
        ratio("tracker on against off", 1.2, lambda: run_chain(tracked, jobs), off, repetitions),
    ]
    renew()
    _assert_counts(tracked.execution_tracker, LONG // CHAIN + jobs * (repetitions + 1))
    return figures


def _fed_chain(measure: str, scale: float, repetitions: int) -> Figure:
    """One job, through whose chain a source sends items."""
    flow, items, jobs = chain_flow(), max(20, int(1000 * scale)), list[Job]()
    flow.connect(flow.add_routine(numbers), "step_0")

    def fed() -> int:
        jobs[:] = [flow.execute("numbers", {"n": items})]
        return items * CHAIN

    figure = ratio(f"{measure}, {items:,} items in one job", None, fed, lambda: floor(items), repetitions)
    (job,) = jobs
    assert job.status == "completed"
    assert job.results[f"step_{CHAIN - 1}"] == list(range(items))
    assert [job.counts[f"step_{number}"].completed for number in range(CHAIN)] == [items] * CHAIN
    assert job.counts["numbers"].yielded == items
    return figure


def _renewal(flow: Flow, jobs: int) -> Callable[[], None]:
    """Gives a flow a tracker that has seen nothing, after a look at what the last one saw.

    The last one is let go, so that its memory is used again, as it is when a tracker drops records.
    """
    flow.execution_tracker = None

    def renew() -> None:
        if flow.execution_tracker is not None:
            _assert_counts(flow.execution_tracker, jobs)
        flow.execution_tracker = flow.ExecutionTracker(flow.flow_id)

    return renew


def past_all_records(flow: Flow) -> Flow:
    """The flow, whose tracker has come so far that it looks at only some of the records."""
    run_chain(flow, LONG // CHAIN)
    return flow


def _assert_counts(tracker: ExecutionTracker | None, jobs: int) -> None:
    """A tracker saw so many chains, all of which completed."""
    assert tracker is not None
    metrics = tracker.get_performance_metrics()
    assert metrics["jobs"] == {"completed": jobs}
    assert metrics["executions"] == jobs * CHAIN
    assert {routine["executions"] for routine in metrics["routines"].values()} == {jobs}


@routine
def numbers(n: int) -> Iterator[int]:
    """Yields n numbers one by one."""
    yield from range(n)


@routine
def spread(n: int, ctx: Context) -> None:
    """Emits n numbers at once."""
    for number in range(n):
        ctx.emit("output", number)


@routine(fires=collect())
def count(xs: list[Any]) -> int:
    """How many came."""
    return len(xs)


def concurrent_fan_out(scale: float, repetitions: int) -> list[Figure]:
    """One activation that fans out to 1000 no-ops, collected, against a pool of as many threads."""
    workers = min(32, (os.cpu_count() or 1) + 4)
    flow = Flow("fan_out", execution_mode="concurrent", max_workers=workers)
    flow.chain(spread, routine(no_op), count)
    times = max(1, int(10 * scale))

    def ours() -> int:
        for _ in range(times):
            assert flow.execute("spread", {"n": 1000}).result == 1000
        return times * 1000

    def pool() -> int:
        for _ in range(times):
            with ThreadPoolExecutor(workers) as executor:
                futures = [executor.submit(no_op, number) for number in range(1000)]
                assert len([future.result() for future in futures]) == 1000
        return times * 1000

    figure = ratio("fan-out to 1000 no-ops on threads, against submit and result", 0.5, ours, pool, repetitions)
    assert flow.execution_tracker is not None
    metrics, jobs = flow.execution_tracker.get_performance_metrics(), times * (repetitions + 1)
    assert metrics["jobs"] == {"completed": jobs}
    assert metrics["routines"]["no_op"]["executions"] == 1000 * jobs
    return [figure]


def sleeping_on_threads(scale: float, repetitions: int) -> list[Figure]:
    """200 sleeps of 10 ms on 10 workers, against the 0.2 s that they must take."""

    @routine
    def wait(x: Any) -> Any:
        sleep(0.01)
        return x

    flow = Flow("sleepers", execution_mode="concurrent", max_workers=10)
    flow.chain(numbers, wait, count)
    n = 200 if scale >= 1 else 20

    def ours() -> int:
        job = flow.execute("numbers", {"n": n})
        assert job.result == n
        assert job.counts["wait"].completed == n
        return 1

    def ideal() -> int:
        sleep(n / 10 * 0.01)
        return 1

    return [ratio(f"{n} sleeps of 10 ms on 10 workers, against the ideal", 1.05, ours, ideal, repetitions)]
