"""Traces of jobs that really ran, and of one that is told."""

from __future__ import annotations

import time

from routilux import Continue, Flow, Retry, gather, routine
from routilux.insight.trace import Host, Observed, ThreadState, Trace, attempts_of

HOSTILE = "</script><script>document.title='broken into'</script><!--"


def recorded(flow: Flow, entry: str, params: dict, **observed: Observed) -> Trace:
    """The trace of one job of a flow, as far as its history tells."""
    job = flow.execute(entry, params)
    origin, course = job._course.origin, job._course
    return Trace(
        flow_id=job.flow_id,
        job_id=job.job_id,
        mode=flow.settings.execution_mode,
        workers=flow.settings.max_workers or 1,
        start=course.started_at,
        end=course.ended_at or 0,
        host=Host(2, "3.11.7", "linux"),
        attempts=attempts_of([record._record for record in job.history]),
        routines=observed,
        foreign_load=0.0,
        engine="0.1.0",
        status=job.status,
        epoch_offset_ns=origin.epoch_offset_ns,
    )


def mixed(**settings) -> Trace:
    """A fan-out that waits, computes and fails once each, a generator before it and a gather after."""
    failed: list[int] = []

    @routine
    def numbers(n):
        yield from range(n)

    @routine
    def fetch(x):
        time.sleep(0.002)
        return x

    @routine(error_strategy=Retry(max_retries=2, delay=0.001, then=Continue()))
    def parse(x):
        if x == 3 and not failed:
            failed.append(x)
            raise ValueError("cut off")
        return sum(range(20_000)) + x

    @routine(fires=gather())
    def total(values):
        return len(values)

    flow = Flow("mixed", **settings)
    flow.chain(numbers, fetch, parse, total)
    looks = {ThreadState.SLEEP: 90.0, ThreadState.PYTHON: 10.0}
    trace = recorded(flow, "numbers", {"n": 8}, fetch=Observed(states=looks))
    measured = [one._replace(cpu_ns=50_000) if one.routine_id == "fetch" else one for one in trace.attempts]
    return trace._replace(attempts=tuple(measured))
