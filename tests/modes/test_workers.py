"""That whoever is free works."""

from __future__ import annotations

import threading

from routilux import Context, Flow, routine

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
