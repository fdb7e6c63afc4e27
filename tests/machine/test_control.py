"""Control, limits, timers and back-pressure: facts go in, and nothing but what follows is looked at."""

import pytest

from routilux import Continue, Skip, collect, gather, keyed, routine
from routilux.errors import HandlerTimeoutError, JobCancelledError, JobTimeoutError
from routilux.facts import Measured, Settled, Taken
from routilux.machine.timers import Alarm, Timers


@routine
def source():
    yield


@routine
def step(x):
    return None


@routine(fires=collect())
def everything(xs):
    return None


@pytest.fixture
def line(flow):
    """source -> step -> everything"""
    flow.chain(source, step, everything)
    return flow


def with_step(flow, **options):
    flow.add_routine(source)
    flow.add_routine(step, "step", **options)
    flow.chain("source", "step", everything)
    return flow


# --- what a worker of another kind takes, what is measured in vain


def test_a_worker_of_a_mode_that_the_job_has_nothing_for_is_given_nothing(line, play):
    job = play(line, "source")
    job.post(Taken(job.moment, "multiprocessing"))
    assert job.running == []
    assert job.take() == ("source",)


def test_what_is_measured_of_a_job_that_is_not_recorded_is_not_kept(line, play):
    job = play(line, "source")
    job.take()
    job.post(Settled(job.running_of("source")[0], 1, 0, 0, measured=Measured(cpu_ns=1)))
    assert job.machine.ledger.recorded is None
    assert [record[:2] for record in job.records] == [("source", 1)]


# --- pause, resume, cancel, stop


def test_nothing_starts_while_paused_and_what_runs_is_kept(line, play):
    job = play(line, "source")
    job.yields("source", 1)
    job.take_all()
    job.pause()
    assert job.status == "paused"
    job.gives("source", 2, more=True)
    job.gives("step", "one")
    assert job.take() is None
    job.resume()
    assert job.status == "running"
    assert job.take_all() == [("source",), ("step", 2)]


def test_a_pause_and_a_resume_may_come_twice(line, play):
    job = play(line, "source")
    for _ in range(2):
        job.pause()
    job.resume()
    job.resume()
    assert job.take() == ("source",)


def test_a_paused_job_does_not_end_and_what_waits_for_its_end_is_not_handed_over(line, play):
    job = play(line, "source")
    job.take()
    job.pause()
    job.gives("source")
    assert job.status == "paused"
    assert not job.machine.ready
    job.resume()
    assert job.does("everything") == ([],)
    assert job.status == "completed"


def test_timers_go_on_while_paused_and_their_work_waits(flow, play):
    job = play(with_step(flow, retries=1, retry_delay=5), "source")
    job.yields("source", 1)
    job.does("source")
    job.fails("step", ValueError())
    job.pause()
    job.ring(5)
    assert job.take() is None
    job.resume()
    assert job.take() == ("step", 1)


def test_a_finished_job_can_no_more_be_paused_cancelled_or_started(line, play):
    job = play(line, "source")
    job.does("source")
    job.does("everything")
    job.pause()
    job.cancel()
    assert job.take() is None
    assert job.status == "completed"


def test_a_cancelled_job_waits_for_what_runs_and_drops_what_it_gives(line, play):
    job = play(line, "source")
    job.yields("source", 1)
    job.take_all()
    job.cancel("no more")
    job.cancel("once again")
    assert job.status == "cancelling"
    assert job.take() is None
    job.gives("step", "dropped")
    assert job.status == "cancelling"
    job.settle("source", error=ValueError("late"))
    assert job.status == "cancelled"
    assert job.left == []
    assert job.records[-2:] == [("step", 1, "cancelled"), ("source", 1, "failed")]
    assert "was cancelled: no more." in str(job.machine.cause_of_end)
    assert isinstance(job.machine.cause_of_end, JobCancelledError)


def test_what_has_written_together_with_its_outcome_has_completed_though_nothing_follows_from_it(line, play):
    job = play(line, "source")
    job.yields("source", 1)
    job.take_all()
    job.cancel()
    job.post(Settled(job.running_of("step")[0], 1, 0, 0, emissions=[("output", 2)], wrote=1))
    assert job.records[-1] == ("step", 1, "completed")
    job.settle("source")
    assert (job.status, job.left) == ("cancelled", [])


def test_a_cancel_while_paused_ends_the_job(line, play):
    job = play(line, "source")
    job.pause()
    job.cancel()
    assert job.status == "cancelled"


def test_stop_keeps_the_first_error_and_starts_nothing_more(line, play):
    job = play(line, "source")
    for number in range(2):
        job.yields("source", number)
    job.take_all()
    first_error = ValueError("first")
    job.settle(job.running_of("step")[0], error=first_error)
    assert job.status == "running"
    assert job.take() is None
    job.settle("step", error=ValueError("second"))
    job.gives("source")
    assert job.status == "failed"
    assert job.machine.cause_of_end is first_error
    assert job.machine.ledger.error_count == 2


def test_after_a_stop_a_cancel_changes_nothing(line, play):
    job = play(line, "source")
    job.yields("source", 1)
    job.take_all()
    job.settle("step", error=ValueError())
    job.cancel()
    job.gives("source")
    assert job.status == "failed"


# --- failures


def test_what_leaves_by_error_is_joined_like_any_other_message(flow, play):
    flow.add_routine(source)
    flow.add_routine(step, "step", error_strategy=Continue())
    flow.add_routine(everything)
    flow.connect("source", "step")
    flow.connect("step", "error", "everything", "xs")
    job = play(flow, "source")
    job.yields("source", 7)
    job.does("source")
    job.fails("step", ValueError("seven"))
    (failures,) = job.does("everything")
    assert [(one.message, dict(one.arguments), one.activation_id) for one in failures] == [
        ("ValueError: seven", {"x": 7}, 2)
    ]


def test_a_retry_without_delay_goes_behind_what_is_ready(flow, play):
    job = play(with_step(flow, retries=1), "source", window=4)
    for number in range(2):
        job.yields("source", number)
    assert job.take_all() == [("source",), ("step", 0), ("step", 1)]
    job.gives("source")
    job.settle("step", error=ValueError())
    assert job.take() == ("step", 0)
    assert ("step", 1, "retried") in job.records


def test_a_job_is_not_over_while_a_retry_is_due(flow, play):
    job = play(with_step(flow, retries=2, retry_delay=10, retry_backoff=3), "source")
    job.yields("source", 1)
    job.does("source")
    for due in (10, 40):
        job.fails("step", ValueError())
        assert job.take() is None
        assert job.status == "running"
        assert job.due == due
        job.ring(due)
    job.does("step", "at last")
    assert job.does("everything") == (["at last"],)
    assert [one for one in job.records if one[0] == "step"] == [
        ("step", 1, "retried"),
        ("step", 2, "retried"),
        ("step", 3, "completed"),
    ]


def test_a_message_whose_field_is_missing_fails_the_routine_it_was_meant_for(flow, play):
    flow.add_routine(source)
    flow.add_routine(step, "step", error_strategy=Skip(), max_concurrency=1)
    flow.connect("source", "output", "step", "x", field="size")
    job = play(flow, "source")
    job.yields("source", {"name": 1})
    assert job.records == [("source", 1, "yielded"), ("step", 1, "skipped")]
    job.yields("source", {"size": 3})
    assert job.take_all() == [("source",), ("step", 3)]
    assert "On the connection source.output -> step.x" in job.machine.ledger.errors[0].message


class Contrary:
    """A key that makes trouble when it is compared."""

    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return 1

    def __eq__(self, other):
        raise ValueError("compared")


class Fickle:
    """A key whose hash can be asked for once and no more."""

    def __init__(self, value):
        self.asked = 0

    def __eq__(self, other):
        return isinstance(other, Fickle)

    def __hash__(self):
        self.asked += 1
        if self.asked > 1:
            raise ValueError("hashed")
        return 1


@routine(events=["left", "right"])
def split():
    return None


@pytest.mark.parametrize(("key", "failed", "fired"), [(Contrary, 3, 0), (Fickle, 0, 2)])
def test_keys_that_raise_when_they_are_used_fail_their_message_and_nothing_else(flow, play, key, failed, fired):
    flow.add_routine(split)
    flow.add_routine(routine(fires=keyed(key))(lambda a, b: None), "match", error_strategy=Skip())
    flow.connect("split", "left", "match", "a")
    flow.connect("split", "right", "match", "b")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", 2), ("left", 3), ("right", 4))
    assert job.machine.ledger.error_count == failed
    assert len(job.take_all()) == fired


def test_a_message_that_belongs_to_no_one_fan_out_any_more_fails_at_its_gather(flow, play):
    flow.add_routine(source)
    flow.add_routine(everything)
    flow.add_routine(routine(fires=gather(of="source"))(lambda xs: None), "gathered", error_strategy=Skip())
    flow.chain("source", "everything", "gathered")
    job = play(flow, "source")
    job.yields("source", 1)
    job.does("source")
    assert job.does("gathered") == ([],)
    job.does("everything", "all")
    assert job.status == "completed"
    assert "belongs to no single fan-out of 'source'" in job.machine.ledger.errors[0].message


# --- timers


def test_an_attempt_that_takes_too_long_fails_and_its_late_outcome_is_ignored_and_counted(flow, play):
    job = play(with_step(flow, timeout=3, retries=1, error_strategy=Skip()), "source")
    job.yields("source", 1)
    job.does("source")
    assert job.take() == ("step", 1)
    assert job.due == 3
    job.ring(3)
    assert job.take() == ("step", 1)
    late = job.running_of("step")[0]
    assert job.records[-1] == ("step", 1, "retried")
    job.ring(6)
    assert job.records[-1] == ("step", 2, "skipped")
    job.settle(late, ("output", "too late"))
    assert job.machine.ledger.late == 1
    assert job.does("everything") == ([],)
    assert isinstance(job.machine.ledger.errors[0].error, HandlerTimeoutError)


def test_an_outcome_that_says_it_took_too_long_is_a_timeout_even_if_no_bell_rang(flow, play):
    job = play(with_step(flow, timeout=3, error_strategy=Skip()), "source")
    job.yields("source", 1)
    job.does("source")
    job.take()
    job.settle("step", ("output", 1), took=3.5)
    assert job.machine.ledger.errors[0].kind == "timeout"


def test_the_timer_of_an_attempt_that_ended_in_time_is_stale(flow, play):
    job = play(with_step(flow, timeout=3), "source")
    job.yields("source", 1)
    job.does("source")
    job.does("step", "one")
    job.take()
    job.ring(3)
    assert job.running == ["everything"]
    assert job.machine.ledger.error_count == 0


def test_a_job_that_takes_too_long_fails(line, play):
    job = play(line, "source", timeout=60)
    job.yields("source", 1)
    job.take_all()
    job.ring(60)
    assert job.take() is None
    job.gives("source")
    job.gives("step")
    assert job.status == "failed"
    assert isinstance(job.machine.cause_of_end, JobTimeoutError)


def test_a_cancelled_job_does_not_wait_for_a_handler_beyond_its_timeout(flow, play):
    job = play(with_step(flow, timeout=3, retries=5), "source")
    job.yields("source", 1)
    job.does("source")
    job.take()
    job.cancel()
    assert job.status == "cancelling"
    assert job.due == 3
    job.ring(3)
    assert job.status == "cancelled"
    assert job.records[-1] == ("step", 1, "failed")


def test_alarms_ring_in_order_and_only_those_of_one_kind_survive_a_stop():
    timers = Timers()
    for due, alarm in ((3, Alarm.RETRY), (1, Alarm.TIMEOUT), (2, Alarm.JOB), (1, Alarm.BATCH)):
        timers.set(due, alarm, due)
    assert timers.due(1) == [(Alarm.TIMEOUT, 1), (Alarm.BATCH, 1)]
    assert timers.retries == 1
    timers.set(4, Alarm.TIMEOUT, 4)
    timers.clear(Alarm.TIMEOUT)
    assert (timers.retries, timers.next_due) == (0, 4)


# --- limits


def test_only_so_many_activations_of_a_limited_routine_run_at_once(flow, play):
    job = play(with_step(flow, max_concurrency=2), "source", window=10)
    for number in range(4):
        job.yields("source", number)
    assert job.take_all() == [("source",), ("step", 0), ("step", 1)]
    job.gives("step")
    assert job.take_all() == [("step", 2)]


def test_a_retry_goes_behind_those_that_wait_for_the_same_place(flow, play):
    job = play(with_step(flow, max_concurrency=1, retries=1, retry_delay=1), "source", window=10)
    for number in range(3):
        job.yields("source", number)
    job.take_all()
    job.settle("step", error=ValueError())
    assert job.take_all() == [("step", 1)]
    job.ring(1)
    assert job.take() is None
    job.gives("step")
    assert job.take_all() == [("step", 2)]
    job.gives("step")
    assert job.take_all() == [("step", 0)]


# --- back-pressure


def test_a_source_is_pulled_only_while_the_window_has_room(line, play):
    job = play(line, "source", window=2)
    job.yields("source", 1)
    job.yields("source", 2)
    assert job.take() == ("step", 1)
    assert job.take() == ("source",)


def test_of_open_generators_the_youngest_is_pulled_first(flow, play):
    flow.add_routine(source, "outer")
    flow.add_routine(routine(lambda x: (yield)), "inner")
    flow.chain("outer", "inner", everything)
    job = play(flow, "outer", window=4)
    job.yields("outer", "a")
    job.yields("outer", "b")
    assert job.take_all() == [("outer",), ("inner", "a"), ("inner", "b")]
    first_inner, second_inner = job.running_of("inner")
    job.gives("outer", "c", more=True)
    job.gives(first_inner, 1, more=True)
    job.gives(second_inner, 2, more=True)
    job.take()
    assert job.running_of("inner") == [second_inner]


def test_a_generator_on_a_cycle_is_not_held_back(flow, play):
    flow.add_routine(routine(lambda x: (yield)), "turn")
    flow.chain("turn", "turn")
    job = play(flow, "turn", {"x": 1}, window=1)
    job.yields("turn", 2)
    assert job.take_all() == [("turn", 2), ("turn", 1)]


def test_a_slow_reader_of_a_stream_holds_everything_back(flow, play):
    flow.chain(source, step)
    job = play(flow, "source", window=2, streaming=True)
    for number in range(2):
        job.yields("source", number)
    for number in range(2):
        job.does("step", number)
    assert job.left == [0, 1]
    assert job.take() is None
    assert job.status == "running"
    job.machine.delivery.left.popleft()
    assert job.take() == ("source",)


def test_ready_work_too_waits_for_a_reader_who_is_full(flow, play):
    flow.add_routine(source)
    for name in ("a", "b", "c"):
        flow.add_routine(step, name)
        flow.connect("source", name)
    job = play(flow, "source", window=2, streaming=True)
    job.yields("source", 1)
    job.does("a", 1)
    job.does("b", 2)
    assert job.take() is None
    job.machine.delivery.left.clear()
    assert job.take() == ("source",)
    assert job.take() == ("c", 1)


# --- the hot path


@pytest.mark.parametrize("value", [5, None])
@pytest.mark.parametrize("limit", [None, 3])
def test_the_hot_path_does_what_the_facts_do(line, play, value, limit):
    slow, fast = (play(line, "source", max_activations=limit, window=1) for _ in range(2))
    for job in (slow, fast):
        job.yields("source", 1)
        job.take()
    slow.gives("step", *([] if value is None else [value]))
    step_activation = fast.machine.answered(2, 1)
    fast.machine.settled(step_activation, value, 0, 0)
    assert fast.machine.take(0) is not None
    assert slow.take() == ("source",)
    slow.gives("source", *([] if value is None else [value]), more=True)
    source_activation = fast.machine.answered(1, 1)
    fast.machine.yielded(source_activation, value, 0, 0)
    assert fast.machine.ledger.records == slow.machine.ledger.records
    assert [one[:1] + one[2:5] for one in fast.machine.ready] == [one[:1] + one[2:5] for one in slow.machine.ready]
    assert [number for number, _ in fast.machine.suspended] == [number for number, _ in slow.machine.suspended]
    assert fast.status == slow.status
