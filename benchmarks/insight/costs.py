"""What measuring costs, and how long predictions take."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable

from benchmarks.calls import chain_flow, past_all_records, run_chain
from benchmarks.insight.subjects import count, numbers
from benchmarks.insight.work import Work
from benchmarks.measure import Figure
from routilux import Flow
from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.configuration import usual
from routilux.insight.costs import Costs
from routilux.insight.replay import replay
from routilux.insight.script import script_of
from routilux.insight.trace import Attempt, Host, Trace
from routilux.signals.probe import Probe, Watched

JOBS = 100
HERTZ = 50.0


def always_on(scale: float, repetitions: int) -> list[Figure]:
    """What a tracker adds to an activation of a chain of no-ops."""
    jobs = max(2, int(JOBS * scale))
    tracked, untracked = past_all_records(chain_flow()), chain_flow()
    untracked.execution_tracker = None
    on, off = _in_turn([lambda: run_chain(tracked, jobs), lambda: run_chain(untracked, jobs)], repetitions)
    best, middle = min(on) - min(off), statistics.median(one - other for one, other in zip(on, off, strict=True))
    return [Figure("always on, an activation", 0.25, "µs", best * 1e6, middle * 1e6, "chain with and without tracker")]


def probe(scale: float, repetitions: int) -> list[Figure]:
    """What it costs two threads that compute that somebody looks at them fifty times a second."""
    work, items = Work(), max(4, int(400 * scale))

    def flow(watch: Callable[[], Watched | None]) -> Flow:
        def compute(x: int) -> int:
            watched = watch()
            if watched is not None:
                watched.enter("compute")
            work.python(0.002)
            if watched is not None:
                watched.leave()
            return x

        found = Flow("probed", execution_mode="concurrent", max_workers=2)
        found.chain(found.add_routine(numbers), found.add_routine(compute, "compute"), found.add_routine(count))
        return found

    def took(flow: Flow) -> float:
        job = flow.execute("numbers", {"n": items})
        assert job.result == items
        return job.duration

    watched, alone = list[float](), list[float]()
    for _ in range(repetitions):
        eyes = Probe(HERTZ)
        with flow(_once_a_thread(eyes.watch)) as seen, flow(lambda: None) as unseen:
            with eyes:
                watched.append(took(seen))
            alone.append(took(unseen))
    best = min(watched) / min(alone) - 1
    middle = statistics.median(one / other - 1 for one, other in zip(watched, alone, strict=True))
    return [Figure(f"probe at {HERTZ:.0f} Hz", 2.0, "%", 100 * best, 100 * middle, f"{items} activations of 2 ms")]


def _once_a_thread(watch: Callable[[], Watched]) -> Callable[[], Watched]:
    local = threading.local()

    def here() -> Watched:
        if not hasattr(local, "watched"):
            local.watched = watch()
        found: Watched = local.watched
        return found

    return here


def simulation(scale: float, repetitions: int) -> list[Figure]:
    """Replays of 5,000 activations under nine configurations, all together."""
    trace, costs = _large(int(5000 * scale)), Costs()
    plan = usual(2)[:4] + usual(2)[-5:]

    def run() -> int:
        script = script_of(trace)
        for configuration in plan:
            assert replay(script, configuration, costs).wall_time > 0
        return 1

    (times,) = _in_turn([run], repetitions)
    note = f"{len(trace.attempts)} activations, {len(plan)} configurations"
    return [Figure("replay of a job", 5.0, "s", min(times), statistics.median(times), note)]


def _in_turn(works: list[Callable[[], int]], repetitions: int) -> list[list[float]]:
    """Seconds for each time that each did what it does; the first run is for all to be warm."""
    taken: list[list[float]] = [[] for _ in works]
    for repetition in range(repetitions + 1):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            done = work()
            if repetition:
                times.append((time.perf_counter() - began) / done)
    return taken


def _large(count: int) -> Trace:
    """A job that loads and parses, told and not run."""
    chance, moment = random.Random(1), 1
    attempts = [Attempt(1, "source", 1, ActivationStatus.COMPLETED, (), 0, 0, 1, 0, 1)]
    for number in range(2, count + 1):
        loads = number <= count // 2
        cpu, took = (chance.randrange(300_000), chance.randrange(300_000, 9_000_000)) if loads else (2_000_000,) * 2
        cause, routine_id = (1, "load") if loads else (number - count // 2 + 1, "parse")
        who = number, routine_id, 1, ActivationStatus.COMPLETED, (cause,)
        attempts.append(Attempt(*who, attempts[cause - 1].ended, moment, moment + took, 0, cpu))
        moment += took
    return Trace(
        flow_id="large",
        mode=ExecutionMode.SEQUENTIAL,
        workers=1,
        start=0,
        end=moment,
        host=Host(2),
        attempts=tuple(attempts),
    )
