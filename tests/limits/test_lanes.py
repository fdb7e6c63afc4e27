"""Lanes and admission: facts go in, and what may begin comes out."""

import pytest

from routilux import Continue, Skip, routine
from routilux.flow import FlowDefinition
from routilux.limits import Limits

BOTH_NEEDED = ("db", "api")


@routine
def source():
    yield


@routine
def step(x):
    return None


@routine(events=["left", "right"])
def split():
    return None


def of_step(flow, **options):
    """source -> step, which is limited"""
    flow.add_routine(source)
    flow.add_routine(step, "step", **options)
    flow.connect("source", "step")
    return flow


def two_sides(flow, left, right):
    """split -> left and split -> right, each with its options"""
    flow.add_routine(split)
    flow.add_routine(step, "left", **left)
    flow.add_routine(step, "right", **right)
    flow.connect("split", "left", "left", "x")
    flow.connect("split", "right", "right", "x")
    return flow


def fed(job, *emissions):
    """The same job after `split` has emitted that."""
    job.take()
    job.settle("split", *emissions)
    return job


def test_two_routines_share_a_limit(flow, play):
    job = fed(play(two_sides(flow, {"limits": "db"}, {"limits": "db"}), "split"), ("left", 1), ("right", 2))
    assert job.take_all() == [("left", 1)]
    job.gives("left")
    assert job.take_all() == [("right", 2)]
    job.gives("right")
    assert job.status == "completed"


def test_what_waits_for_a_limit_keeps_nobody_else_waiting(flow, play):
    job = fed(play(two_sides(flow, {"limits": "db"}, {}), "split"), ("left", 1), ("left", 2), ("right", 3))
    assert job.take_all() == [("left", 1), ("right", 3)]


def test_an_activation_takes_all_its_limits_or_none(flow, play):
    flow = two_sides(flow, {"limits": "db"}, {"limits": BOTH_NEEDED})
    flow.add_routine(step, "third", limits="api")
    flow.connect("split", "right", "third", "x")
    job = fed(play(flow, "split"), ("left", 1), ("right", 2), ("right", 3))
    assert job.take_all() == [("left", 1), ("third", 2), ("third", 3)]
    job.gives(job.running_of("third")[0])
    assert job.take() is None
    job.gives("left")
    assert job.take_all() == [("right", 2)]
    job.gives("third")
    job.gives("right")
    assert job.take_all() == [("right", 3)]


def test_those_that_wait_begin_in_the_order_in_which_they_came(flow, play):
    job = play(of_step(flow, limits="db"), "source", window=10)
    for number in range(4):
        job.yields("source", number)
    job.take_all()
    for number in range(1, 4):
        job.gives("step")
        assert job.take() == ("step", number)


def test_a_limit_of_its_own_and_a_shared_one_hold_both(flow, play):
    job = fed(
        play(two_sides(flow, {"limits": "api", "max_concurrency": 1}, {"limits": "api"}), "split"),
        *(("left", number) for number in range(2)),
        *(("right", number) for number in range(2)),
    )
    assert job.take_all() == [("left", 0), ("right", 0)]
    job.gives("right")
    assert job.take_all() == [("right", 1)]
    job.gives("left")
    assert job.take_all() == [("left", 1)]


def test_jobs_share_limits_and_who_waits_is_told(flow, play):
    limits = Limits(flow.limits)
    of_step(flow, limits="db")
    one, other = (play(flow, "source", limits=limits, job_id=name) for name in ("one", "other"))
    for job in (one, other):
        job.yields("source", 1)
        job.does("source")
    assert one.take() == ("step", 1)
    assert other.take() is None
    assert other.status == "running"
    assert limits.holders("db") == ["activation 2 of job one"]
    one.gives("step")
    assert other.take() == ("step", 1)
    assert limits.holders("db") == ["activation 2 of job other"]


@pytest.mark.parametrize("strategy", [Skip(), Continue()])
def test_a_failure_gives_back_what_it_had(flow, play, strategy):
    job = play(of_step(flow, limits="db", error_strategy=strategy), "source", window=10)
    for number in range(2):
        job.yields("source", number)
    job.take_all()
    job.settle("step", error=ValueError())
    assert job.take() == ("step", 1)


def test_what_waits_for_its_retry_holds_nothing(flow, play):
    limits = Limits(flow.limits)
    job = play(of_step(flow, limits="db", retries=1, retry_delay=10), "source", limits=limits)
    job.yields("source", 1)
    job.does("source")
    job.fails("step", ValueError())
    assert limits.holders("db") == []
    job.ring(10)
    assert job.take() == ("step", 1)
    assert limits.holders("db") == ["activation 2 of job job"]


def test_an_attempt_that_timed_out_holds_nothing(flow, play):
    job = play(of_step(flow, limits="db", timeout=3, error_strategy=Skip()), "source", window=10)
    for number in range(2):
        job.yields("source", number)
    job.take_all()
    job.ring(3)
    assert job.take() == ("step", 1)


def test_of_a_cancelled_job_each_handler_gives_back_what_it_had_when_it_ends(flow, play):
    limits = Limits(flow.limits)
    job = play(of_step(flow, limits="api"), "source", window=10, limits=limits)
    for number in range(3):
        job.yields("source", number)
    job.take_all()
    job.cancel()
    first, second = job.running_of("step")
    job.gives(first)
    assert limits.holders("api") == [f"activation {second} of job job"]
    job.settle(second, error=ValueError())
    assert limits.holders("api") == []


def test_of_a_job_that_was_stopped_the_failed_activation_holds_nothing(flow, play):
    limits = Limits(flow.limits)
    job = play(of_step(flow, limits="api"), "source", window=10, limits=limits)
    for number in range(2):
        job.yields("source", number)
    job.take_all()
    first, second = job.running_of("step")
    job.settle(first, error=ValueError())
    assert limits.holders("api") == [f"activation {second} of job job"]


def test_a_paused_job_holds_nothing_that_it_has_not_begun(flow, play):
    limits = Limits(flow.limits)
    of_step(flow, limits="db")
    one, other = (play(flow, "source", limits=limits, job_id=name) for name in ("one", "other"))
    for job in (one, other):
        job.yields("source", 1)
        job.does("source")
    one.pause()
    assert one.take() is None
    assert limits.holders("db") == []
    assert other.take() == ("step", 1)
    one.resume()
    assert one.take() is None
    other.gives("step")
    assert one.take() == ("step", 1)


def test_a_message_that_cannot_be_handed_over_takes_nothing_and_gives_nothing_back(flow, play):
    limits = Limits(flow.limits)
    flow.add_routine(source)
    flow.add_routine(step, "step", limits="db", error_strategy=Skip())
    flow.connect("source", "output", "step", "x", field="size")
    job = play(flow, "source", limits=limits)
    job.yields("source", {"size": 1})
    job.take_all()
    assert limits.holders("db") == ["activation 2 of job job"]
    job.gives("source", {"name": 1}, more=True)
    assert job.records[-1] == ("step", 1, "skipped")
    assert limits.holders("db") == ["activation 2 of job job"]


# --- rates


def test_a_rate_lets_so_many_begin_in_each_period(flow, play):
    job = play(of_step(flow, rate_limit="2/s"), "source", window=10)
    for number in range(5):
        job.yields("source", number)
    assert job.take_all() == [("source",), ("step", 0), ("step", 1)]
    assert job.due == 1
    job.ring(0.9)
    assert job.take() is None
    job.ring(1)
    assert job.take_all() == [("step", 2), ("step", 3)]


def test_one_rate_is_for_all_that_take_it(play):
    flow = FlowDefinition("flow", {"api": "1/s"})
    job = fed(play(two_sides(flow, {"limits": "api"}, {"limits": "api"}), "split"), ("left", 1), ("right", 2))
    assert job.take_all() == [("left", 1)]
    job.gives("left")
    assert job.take() is None
    job.ring(1)
    assert job.take() == ("right", 2)


def test_a_job_is_not_over_while_something_waits_for_a_rate(flow, play):
    job = play(of_step(flow, rate_limit="1/s"), "source", window=10)
    for number in range(2):
        job.yields("source", number)
    job.does("source")
    job.does("step")
    assert job.take() is None
    assert job.status == "running"
    job.ring(1)
    job.does("step")
    assert job.status == "completed"


def test_a_retry_takes_its_turn_in_the_rate_as_well(flow, play):
    job = play(of_step(flow, rate_limit="1/s", retries=1), "source")
    job.yields("source", 1)
    job.does("source")
    job.fails("step", ValueError())
    assert job.take() is None
    job.ring(1)
    assert job.take() == ("step", 1)


# --- generators


def test_what_waits_in_lanes_holds_sources_back(flow, play):
    job = play(of_step(flow, limits="db"), "source", window=3)
    for number in range(3):
        job.yields("source", number)
    assert job.take() == ("step", 0)
    job.yields("source", 3)
    assert job.take() is None
    assert len(job.machine.admission.lanes["step"].waiting) == 3
    job.gives("step")
    assert job.take_all() == [("step", 1), ("source",)]


def test_an_open_generator_is_not_held_back_by_those_that_wait_for_its_end(flow, play):
    flow.add_routine(split)
    flow.add_routine(routine(lambda x: (yield)), "each", max_concurrency=1)
    flow.add_routine(step, "step")
    flow.connect("split", "left", "each", "x")
    flow.connect("each", "step")
    job = fed(play(flow, "split", window=1), *(("left", number) for number in range(9)))
    job.yields("each", "a")
    assert job.does("step") == ("a",)
    job.yields("each", "b")
    job.does("step")
    assert job.does("each") == (0,)
    assert job.take() == ("each", 1)


def test_a_generator_that_holds_what_its_readers_need_is_asked_to_its_end(flow, play):
    flow.add_routine(source, limits="db")
    flow.add_routine(step, "step", limits="db")
    flow.connect("source", "step")
    job = play(flow, "source", window=1)
    for number in range(3):
        job.yields("source", number)
    job.does("source")
    assert [job.does("step") for _ in range(3)] == [(0,), (1,), (2,)]
    assert job.status == "completed"


def test_a_limited_generator_on_a_cycle_keeps_its_place_until_it_ends(flow, play):
    flow.add_routine(routine(lambda x: (yield)), "turn", max_concurrency=1)
    flow.chain("turn", "turn")
    job = play(flow, "turn", {"x": 1}, window=1)
    job.yields("turn", 2)
    assert job.take() == ("turn", 1)
    assert job.take() is None
    job.gives("turn")
    assert job.take() == ("turn", 2)


def test_an_attempt_beyond_its_timeout_gives_back_what_it_had_also_when_its_job_is_cancelled(flow, play):
    limits = Limits(flow.limits)
    job = play(of_step(flow, limits="db", timeout=3), "source", limits=limits)
    job.yields("source", 1)
    job.does("source")
    job.take()
    job.cancel()
    job.ring(3)
    assert job.status == "cancelled"
    assert limits.holders("db") == []


def test_a_stream_that_is_not_read_holds_such_a_generator_back(flow, play):
    flow.add_routine(source, limits="db")
    flow.add_routine(step, "step", limits="db")
    flow.add_routine(step, "free")
    flow.connect("source", "step")
    flow.connect("source", "free")
    job = play(flow, "source", window=1, streaming=True)
    job.yields("source", 1)
    assert job.take() == ("free", 1)
    job.gives("free", 1)
    assert job.take() is None


def test_such_a_generator_is_held_back_while_its_readers_can_go_on(flow, play):
    flow.add_routine(source, limits="api")
    flow.add_routine(step, "step", limits="api")
    flow.connect("source", "step")
    job = play(flow, "source", window=2)
    for number in range(2):
        job.yields("source", number)
    assert job.take() == ("step", 0)
    job.yields("source", 2)
    assert job.take() is None
    job.gives("step")
    assert job.take() == ("step", 1)


def test_such_a_generator_is_held_back_while_its_readers_only_wait_for_a_moment(flow, play):
    flow.add_routine(source, limits="db")
    flow.add_routine(step, "step", rate_limit="1/s")
    flow.connect("source", "step")
    job = play(flow, "source", window=1)
    job.yields("source", 0)
    job.does("step")
    job.yields("source", 1)
    assert job.take() is None
    job.ring(1)
    assert job.take() == ("step", 1)
