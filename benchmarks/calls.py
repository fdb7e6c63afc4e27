"""What one activation costs: in a chain, on threads, and with a tracker that looks on."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns, sleep

from benchmarks.measure import Figure, ratio
from routilux import Context, Flow, collect, routine

CHAIN = 100


def no_op(x):
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
    queue: deque = deque()
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
    for _ in range(jobs):
        job = flow.execute("step_0", {"x": 1})
    assert job.status == "completed"
    assert job.result == 1
    assert len(job.history) == CHAIN
    return jobs * CHAIN


def sequential_chain(scale: float, repetitions: int) -> Figure:
    """A chain of 100 no-ops, the job's own set-up included, against the floor."""
    flow, jobs = chain_flow(), max(10, int(100 * scale))
    measure = "sequential chain of 100 no-ops, tracker on, against the floor"
    figure = ratio(measure, 2.5, lambda: run_chain(flow, jobs), lambda: floor(jobs), repetitions)
    metrics = flow.execution_tracker.get_performance_metrics()
    assert metrics["executions"] == jobs * CHAIN * (repetitions + 1)
    assert metrics["jobs"] == {"completed": jobs * (repetitions + 1)}
    return figure


def tracker_on_and_off(scale: float, repetitions: int) -> Figure:
    """The same chain with a tracker, and without."""
    tracked, untracked, jobs = chain_flow(), chain_flow(), max(10, int(100 * scale))
    untracked.execution_tracker = None
    for _ in range(8 if scale >= 1 else 1):
        run_chain(tracked, 100)
    return ratio(
        "tracker on against off", 1.2, lambda: run_chain(tracked, jobs), lambda: run_chain(untracked, jobs), repetitions
    )


@routine
def spread(n, ctx: Context):
    """Emits n numbers at once."""
    for number in range(n):
        ctx.emit("output", number)


@routine(fires=collect())
def count(xs):
    """How many came."""
    return len(xs)


def concurrent_fan_out(scale: float, repetitions: int) -> Figure:
    """One activation that fans out to 1000 no-ops, collected, against a pool of as many threads."""
    flow = Flow("fan_out", execution_mode="concurrent")
    flow.chain(spread, routine(no_op), count)
    times = max(1, int(10 * scale))

    def ours() -> int:
        for _ in range(times):
            assert flow.execute("spread", {"n": 1000}).result == 1000
        return times * 1000

    def pool() -> int:
        for _ in range(times):
            with ThreadPoolExecutor() as executor:
                futures = [executor.submit(no_op, number) for number in range(1000)]
                assert len([future.result() for future in futures]) == 1000
        return times * 1000

    return ratio("fan-out to 1000 no-ops on threads, against submit and result", 0.5, ours, pool, repetitions)


def sleeping_on_threads(scale: float, repetitions: int) -> Figure:
    """200 sleeps of 10 ms on 10 workers, against the 0.2 s that they must take."""

    @routine
    def numbers(n):
        yield from range(n)

    @routine
    def wait(x):
        sleep(0.01)
        return x

    flow = Flow("sleepers", execution_mode="concurrent", max_workers=10)
    flow.chain(numbers, wait, count)
    n = 200 if scale >= 1 else 20

    def ours() -> int:
        assert flow.execute("numbers", {"n": n}).result == n
        return 1

    def ideal() -> int:
        sleep(n / 10 * 0.01)
        return 1

    return ratio(f"{n} sleeps of 10 ms on 10 workers, against the ideal", 1.05, ours, ideal, max(3, repetitions // 2))
