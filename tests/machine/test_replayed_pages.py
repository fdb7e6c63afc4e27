"""Pages of activations that a machine finds among what is ready."""

import pytest

from routilux import Context, Flow, routine
from routilux.errors import PayloadError
from routilux.facts import Settled
from routilux.machine.replay import Replay, replay
from routilux.page import Page, Pages


class Numbers(Page):
    """The numbers from 0 on, as long as it can be read."""

    readable = True

    def open(self):
        if not self.readable:
            raise PayloadError("it is gone")
        return range(self.count)


@pytest.fixture
def flow():
    def burst(n: int, ctx: Context) -> None:
        pass

    flow = Flow("flow")
    flow.chain(flow.add_routine(burst, "burst"), flow.add_routine(lambda x: x, "work", max_concurrency=1))
    return flow


def burst_of(*pages):
    return Settled(1, 1, 0, 1, 0, Pages(pages))


def test_a_page_makes_way_for_its_activations_when_a_worker_is_free(flow, play):
    job = play(flow, "burst", {"n": 1})
    replay(job.machine, [burst_of(Numbers("output", 3), Numbers("output", 2))])
    assert (len(job.machine.ready), job.machine.admission.pending, job.machine.delivery.fired) == (2, 5, 6)
    job.take()
    assert list(job.machine.running) == [2]
    assert job.machine.admission.pending == 4


def test_a_page_that_cannot_be_read_any_more_fails_the_job(flow, play):
    job = play(flow, "burst", {"n": 1})
    page = Numbers("output", 3)
    replay(job.machine, [burst_of(page)])
    page.readable = False
    job.take()
    assert job.status == "failed"
    assert isinstance(job.machine.cause_of_end, PayloadError)


def test_only_the_page_that_a_fact_is_about_is_unfolded(flow, play):
    job = play(flow, "burst", {"n": 1})
    replaying = Replay(job.machine)
    replaying.tell(burst_of(Numbers("output", 3), Numbers("output", 2)))
    assert [replaying.activation(number) for number in (1, 7)] == [None, None]
    assert replaying.activation(5)[2] == (0,)
    replaying.tell(Settled(6, 1, 1, 2))
    replaying.end()
    assert [one[0] for one in job.machine.ready] == [2, 5]


def test_what_is_more_than_may_be_fired_stops_the_job_as_it_did(flow, play):
    job = play(flow, "burst", {"n": 1}, max_activations=100)
    replay(job.machine, [burst_of(Numbers("output", 50), Numbers("output", 50))])
    assert job.status == "failed"
    assert job.machine.delivery.fired == 100


def test_a_value_for_which_there_is_no_event_is_a_mistake_from_a_page_too(play):
    @routine(events=["other"])
    def silent(x: int, ctx: Context) -> None:
        pass

    flow = Flow("flow")
    flow.add_routine(silent)
    job = play(flow, "silent", {"x": 1})
    replay(job.machine, [burst_of(Numbers("output", 40))])
    assert job.status == "failed"
