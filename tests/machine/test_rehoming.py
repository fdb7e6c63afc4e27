"""A machine that goes on by another plan: nothing is lost, nothing is twice, and nothing comes in another order."""

from __future__ import annotations

import pytest

from routilux import Retry, batch, collect, gather, routine
from routilux.execution_mode import ExecutionMode
from routilux.facts import Taken
from routilux.machine.compile import compile_plan
from routilux.machine.rehoming import rehome

AWAY, HERE = ExecutionMode.MULTIPROCESSING, ExecutionMode.SEQUENTIAL


@routine
def source():
    yield


@routine(error_strategy=Retry(3, delay=0.5))
def shaky(x):
    return None


@routine(rate_limit="10/s")
def slow(x):
    return None


@routine(fires=gather())
def gathered(xs):
    return None


@routine(fires=batch(3, timeout=5))
def threes(xs):
    return None


@routine(fires=collect())
def everything(xs):
    return None


VALUES = 7


def played(play, flow, moves):
    """Plays a job to its end, moving it to and fro before these of its activations; gives what came of it."""
    job, steps, given = play(flow, "source"), 0, 0
    while not job.machine.done:
        if steps in moves:
            mode = AWAY if job.machine.plan.mode is HERE else HERE
            rehome(job.machine, compile_plan(flow, "source", {}, mode))
        steps += 1
        taken = job.take()
        if taken is None:
            job.ring(job.due)
        elif taken[0] == "source":
            given += 1
            job.gives("source", *([given] if given <= VALUES else []), more=given <= VALUES)
        elif taken[0] == "shaky" and job.machine.running[job.running_of("shaky")[0]][5] == 1 and taken[1] % 2:
            job.settle("shaky", error=ValueError(taken[1]))
        else:
            job.gives(taken[0], taken[1])
    assert job.status == "completed"
    return job.records, job.left, job.causes, steps


@pytest.mark.parametrize("steps", [(shaky, threes, everything), (slow, shaky, everything), (shaky, slow, gathered)])
def test_wherever_a_job_is_sent_and_whenever_it_comes_to_the_same(flow, play, steps):
    flow.chain(source, *steps)
    *usual, count = played(play, flow, ())
    for at in range(count):
        for back in (at + 1, at + 3):
            assert played(play, flow, (at, back))[:3] == tuple(usual)


def test_what_stays_and_what_goes_is_taken_each_in_its_mode(flow, play):
    flow.chain(source, everything)
    job = play(flow, "source")
    job.yields("source", 1)
    rehome(job.machine, compile_plan(flow, "source", {}, AWAY, {"source": ExecutionMode.CONCURRENT}))
    assert job.take() is None
    job.post(Taken(job.moment, "concurrent"))
    assert job.running == ["source"]
    job.gives("source")
    assert job.take() == ("everything", [1])


@routine(events=["kept", "taken"])
def split():
    return None


@routine(hold=["scale"])
def scaled(x, scale):
    return None


@routine(fires=collect(), hold=["scale"])
def all_scaled(xs, scale):
    return None


@pytest.mark.parametrize(("target", "slot"), [(scaled, "x"), (all_scaled, "xs")])
def test_what_waits_can_be_looked_at_before_it_is_sent_elsewhere(flow, play, target, slot):
    flow.connect(split, "taken", target, slot)
    flow.connect(split, "kept", target, "scale")
    job = play(flow, "split")
    gate = job.machine.delivery.gate_of(job.machine.plan.stations[1])
    job.take()
    job.settle("split", ("taken", 1), more=True)
    assert list(gate.values()) == [1]
    job.take()
    job.settle("split", ("kept", 2), more=True)
    assert 2 in list(gate.values())
