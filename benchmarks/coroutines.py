"""What an activation costs on an event loop: ten thousand that wait side by side, and a chain of coroutines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from benchmarks.calls import CHAIN, count, past_all_records, spread
from benchmarks.measure import Figure, ratio
from routilux import Flow, routine

MODE = "asyncio"


async def pause(x: int) -> int:
    """Waits for 10 ms."""
    await asyncio.sleep(0.01)
    return x


async def no_op(x: Any) -> Any:
    """Does nothing."""
    return x


def pausing(scale: float, repetitions: int) -> list[Figure]:
    """10,000 activations that wait at once, against one `gather` of the same coroutines."""
    n = max(100, int(10_000 * scale))
    flow = Flow("pausing", execution_mode=MODE, max_workers=n)
    flow.add_routine(spread, "spread", inline=True)
    flow.add_routine(count, "count", inline=True)
    flow.chain("spread", routine(pause), "count")

    async def execute() -> int:
        job = await flow.execute_async("spread", {"n": n})
        assert job.result == n
        assert job.counts["pause"].completed == n
        return n

    async def gather() -> int:
        assert await asyncio.gather(*[pause(number) for number in range(n)]) == list(range(n))
        return n

    measure = f"asyncio: {n:,} activations that wait 10 ms, against one gather"
    return [ratio(measure, 1.3, lambda: asyncio.run(execute()), lambda: asyncio.run(gather()), repetitions)]


def chain(scale: float, repetitions: int) -> list[Figure]:
    """A chain of 100 coroutines, against the least that an engine could do for them: many items, and many jobs."""
    jobs, flow = max(10, int(100 * scale)), Flow("chain", execution_mode=MODE)
    flow.chain(*[flow.add_routine(no_op, f"step_{number}") for number in range(CHAIN)])
    past_all_records(flow)
    fed = Flow("fed", execution_mode=MODE)
    fed.add_routine(spread, "spread", inline=True)
    fed.chain("spread", *[fed.add_routine(no_op, f"step_{number}") for number in range(CHAIN)])
    items = max(20, int(1000 * scale))

    async def feed() -> int:
        job = await fed.execute_async("spread", {"n": items})
        assert job.status == "completed"
        assert sorted(job.results[f"step_{CHAIN - 1}"]) == list(range(items))
        return items * CHAIN

    async def execute() -> int:
        completed, job = 0, None
        for _ in range(jobs):
            job = await flow.execute_async("step_0", {"x": 1})
            completed += job.status == "completed"
        assert job is not None
        assert completed == jobs
        assert job.result == 1
        assert len(job.history) == CHAIN
        return jobs * CHAIN

    def least() -> int:
        return asyncio.run(floor(jobs))

    measure = "asyncio: chain of 100 no-op coroutines against the floor"
    return [
        ratio(f"{measure}, {items:,} items in one job", 2.0, lambda: asyncio.run(feed()), least, repetitions),
        ratio(f"{measure}, a job for each", None, lambda: asyncio.run(execute()), least, repetitions),
    ]


async def floor(jobs: int) -> int:
    """The least that an engine could do: pop, await, two stamps, one record."""
    records: deque[tuple[int, int, int, int]] = deque(maxlen=1000)
    queue: deque[tuple[Callable[..., Coroutine[Any, Any, Any]], dict[str, Any]]] = deque()
    for _ in range(jobs):
        queue.append((no_op, {"x": 1}))
        for number in range(CHAIN):
            handler, arguments = queue.popleft()
            began = perf_counter_ns()
            value = await handler(**arguments)
            ended = perf_counter_ns()
            records.append((number, began, ended, 1))
            queue.append((no_op, {"x": value}))
        queue.clear()
    assert len(records) == min(1000, jobs * CHAIN)
    return jobs * CHAIN
