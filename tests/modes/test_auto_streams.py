"""Auto mode in streams: what is measured there, and what is not paid for twice."""

from __future__ import annotations

import threading

from routilux import Flow
from routilux.tuning.load import Load
from routilux.tuning.yardstick import Runs
from tests.leftovers import ours
from tests.modes.contract import numbers

COMPUTING = Load(100, 1.0, 1.0, 10, float("inf"))
"""Of activations that compute; whether Python or native code is not known."""

WAITING = Load(100, 1.0, 0.01, 10, float("inf"), 100.0)


def test_a_probe_outlives_the_results_that_a_reader_takes_and_not_the_job():
    flow = Flow("probed", execution_mode="auto")
    probes = set()

    def step(x):
        if x == 3:
            flow.tuning.learn(COMPUTING)
        probes.update(one for one in threading.enumerate() if "probe" in one.name)
        return x

    flow.chain(flow.add_routine(numbers, "numbers"), flow.add_routine(step, "step"))
    with flow.stream("numbers", {"n": 60}) as stream:
        assert list(stream) == list(range(60))
    assert len(probes) == 1
    assert ours() == []


def test_a_stream_that_gains_nothing_by_its_threads_goes_on_with_one():
    flow = Flow("slower", execution_mode="auto", max_workers=4)

    def step(x):
        if x == 5:
            flow.tuning.learn(WAITING, {"step": Runs(1_000_000, 1.0), "numbers": Runs(1_000_000, 1.0)})
        return x

    flow.chain(flow.add_routine(numbers, "numbers"), flow.add_routine(step, "step"))
    with flow.stream("numbers", {"n": 10**9}) as stream:
        for _ in stream:
            if flow.tuning.knows and flow.tuning.workers == 1:
                break
    assert [one.fate for one in flow.explain().decisions] == ["undone"]
    assert ours() == []
