"""That whoever is free works."""

from __future__ import annotations

import threading
import time

from routilux import Context, Flow, collect, routine

PATIENCE = 30


def test_what_a_plain_handler_sets_off_does_not_wait_for_the_same_worker():
    both = threading.Barrier(2)

    @routine
    def begin(ctx: Context):
        return 1

    def plain(x):
        return x

    def meet(x):
        both.wait(PATIENCE)
        return x

    flow = Flow("pair", execution_mode="concurrent", max_workers=2)
    flow.add_routine(meet, "left")
    flow.add_routine(meet, "right")
    flow.chain(begin, plain, "left")
    flow.connect(plain, "right")
    job = flow.execute("begin").raise_for_status()
    assert job.results == {"left": [1], "right": [1]}


def test_what_takes_unknown_time_is_not_handed_out_as_if_it_were_short():
    @routine
    def burst(n: int, ctx: Context):
        for number in range(n):
            ctx.emit("output", number)

    @routine
    def short(x: int) -> int:
        return x

    @routine(fires=collect())
    def everything(xs: list[int]) -> int:
        return len(xs)

    @routine
    def first_fails(x: int):
        if not x:
            raise ValueError("the first")
        time.sleep(0.002)

    flow = Flow("unknown", execution_mode="multiprocessing", max_workers=2)
    flow.add_routine(burst, "begin")
    flow.add_routine(burst, "go_on")
    flow.chain("begin", short, everything, "go_on", first_fails)
    job = flow.execute("begin", {"n": 2000})
    assert (job.status, job.counts["short"].completed) == ("failed", 2000)
    assert job.counts["first_fails"].executions < 40
