"""Everything that can be wrong says so: which flow, routine and slot, and what to do."""

from __future__ import annotations

import asyncio
import functools
import math
import re
import threading

import pytest

from routilux import Context, Continue, Flow, Retry, Routine, Stop, routine
from routilux.errors import (
    DefinitionError,
    EmissionError,
    FlowBusyError,
    HandlerInputError,
    HandlerReturnError,
    ResultError,
    SelfWaitError,
    SettingError,
    UnfinishedJobError,
    UnreachableRoutineWarning,
)
from tests.leftovers import ours

BOTH = pytest.mark.parametrize("mode", ["sequential", "concurrent"])


@routine
def numbers(n):
    yield from range(n)


def failing(handler, params=None, *, mode="sequential", **settings):
    """The exception that stops a job of one routine, `work`."""
    flow = Flow("test", execution_mode=mode, **settings)
    flow.add_routine(handler, "work")
    job = flow.execute("work", params)
    assert job.status == "failed"
    with pytest.raises(Exception) as caught:
        job.raise_for_status()
    return caught.value


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "execution_mode",
            "paralel",
            "no mode 'paralel'. Known: 'asyncio', 'auto', 'concurrent', 'distributed',",
        ),
        ("execution_mode", "sequentiel", "Did you mean 'sequential'"),
        ("execution_mode", None, "no mode None"),
        ("error_strategy", "stop", r"must be Stop\(\), Continue\(\), Skip\(\) or Retry"),
        ("error_strategy", Stop, "error_strategy must be"),
        ("max_workers", 0, "max_workers must be a whole number from 1, or None, not 0"),
        ("max_workers", -1, "not -1"),
        ("max_workers", "4", "not '4'"),
        ("max_workers", True, "not True"),
        ("max_history_size", -1, "max_history_size must be a whole number from 0"),
        ("max_history_size", math.nan, "not nan"),
        ("history_ttl_seconds", -1, "history_ttl_seconds must be a finite number of seconds"),
        ("history_ttl_seconds", math.nan, "not nan"),
        ("history_ttl_seconds", math.inf, "not inf"),
        ("timeout", 0, "timeout must be more than 0 seconds"),
        ("timeout", "soon", "timeout must be a finite number"),
        ("max_activations", 0, "max_activations must be a whole number from 1"),
        ("max_parked", 2.5, "max_parked must be a whole number"),
        ("max_workers", {"threads": 3}, "no mode 'threads'"),
        ("max_workers", {"concurrent": 0}, "max_workers of concurrent must be a whole number from 1, or None, not 0"),
        ("max_pending", 0, "max_pending must be a whole number from 1, or None, not 0"),
        ("max_pending", "10", "max_pending must be a whole number from 1"),
        ("strict", "yes", "strict must be True or False"),
        ("insecure_cluster", 1, "insecure_cluster must be True or False, not 1"),
        ("durability", "disk", "durability must be one of 'process', 'power', not 'disk'"),
        ("max_payload", 0, "max_payload must be a whole number from 1"),
        ("max_wokers", 3, "no setting 'max_wokers'. Did you mean 'max_workers'"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_flow_and_execute(setting, value, said):
    with pytest.raises(SettingError, match=said):
        Flow("test", **{setting: value})
    flow = Flow("test")
    flow.add_routine(numbers)
    with pytest.raises(SettingError, match=said):
        flow.execute("numbers", {"n": 1}, **{setting: value})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"error_strategy": "retry"}, "error_strategy must be"),
        ({"retries": -1}, "max_retries must be a whole number from 0"),
        ({"retries": 1, "error_strategy": Retry()}, "say the same thing"),
        ({"retries": 1, "retry_delay": "1s"}, "delay must be seconds or a list of seconds"),
        ({"retries": 1, "retry_delay": []}, "delay must be seconds or a list"),
        ({"retries": 1, "retry_delay": [1, -1]}, "delay must be a finite number"),
        ({"retries": 1, "retry_delay": -1}, "delay must be a finite number"),
        ({"retries": 1, "retry_backoff": 0.5}, "backoff must be a number from 1"),
        ({"retries": 1, "retry_max_delay": -1}, "max_delay"),
        ({"retries": 1, "retry_jitter": 2}, "jitter is a share"),
        ({"retries": 1, "retry_jitter": -0.1}, "jitter must be a number from 0"),
        ({"retries": 1, "retry_on": "errors"}, "on must be exception types"),
        ({"retries": 1, "retry_on": int}, "on must be exception types"),
        ({"retries": 1, "retry_on": (ValueError, 3)}, "on must be exception types"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"timeout": -2}, "timeout must be a finite number"),
        ({"max_concurrency": 0}, "max_concurrency must be a whole number from 1"),
        ({"max_concurrency": -1}, "max_concurrency must be a whole number from 1, or None, not -1"),
        ({"max_concurrency": True}, "max_concurrency must be a whole number from 1, or None, not True"),
        ({"max_concurrency": "2"}, "max_concurrency must be a whole number from 1, or None, not '2'"),
        ({"limits": ""}, "limits must be a limit's name or a list of names, not ''"),
        ({"limits": ["db", 3]}, r"limits must be a limit's name or a list of names, not \['db', 3\]"),
        ({"limits": 3}, "limits must be a limit's name or a list of names, not 3"),
        ({"limits": None}, "limits must be a limit's name or a list of names, not None"),
        ({"rate_limit": "10"}, 'rate_limit must be written like "10/s", "100/min" or "5000/h", not \'10\''),
        ({"rate_limit": "fast"}, "rate_limit must be written like .*, not 'fast'"),
        ({"rate_limit": "0/s"}, "rate_limit must be written like .*, not '0/s'"),
        ({"rate_limit": 10}, "rate_limit must be written like .*, not 10"),
        ({"crash_retries": -1}, "crash_retries must be a whole number from 0, not -1"),
        ({"crash_retries": None}, "crash_retries must be a whole number from 0, not None"),
        ({"crash_retries": True}, "crash_retries must be a whole number from 0, not True"),
        ({"delivery": "once"}, "delivery must be one of 'at_least_once', 'at_most_once', not 'once'"),
        ({"version": 1.5}, "version must be a text or a whole number, not 1.5"),
        ({"inline": "yes"}, "inline must be True or False, not 'yes'"),
        ({"execution_mode": "threads"}, "no mode 'threads'"),
        ({"execution_mode": "multiprocesing"}, "Did you mean 'multiprocessing'"),
        ({"keeps_state": "no"}, "keeps_state must be True, False or None"),
        ({"time_out": 3}, "no option 'time_out'. Did you mean 'timeout'"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, said):
    with pytest.raises(SettingError, match=said):
        routine(**options)(lambda x: x)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"db": 0}, "limits: 'db' must be a number from 1, or a rate as \"10/s\", not 0"),
        ({"db": -2}, "limits: 'db' must be a number from 1, .* not -2"),
        ({"db": 1.5}, "not 1.5"),
        ({"db": True}, "not True"),
        ({"db": None}, "not None"),
        ({"db": "fast"}, "limits: 'db' must be written like \"10/s\", .* not 'fast'"),
        ({"db": "10"}, "limits: 'db' must be written like .* not '10'"),
        ({"": 1}, "the name of a limit must be a text that is not empty, not ''"),
        ({3: 1}, "the name of a limit must be a text that is not empty, not 3"),
        (["db"], r"limits must be a mapping from names to .*, not \['db'\]"),
        (3, "limits must be a mapping from names to .*, not 3"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_by_the_flow(limits, said):
    with pytest.raises(SettingError, match=said):
        Flow("test", limits=limits)


def test_a_limit_that_the_flow_does_not_have_is_named_with_the_nearest():
    for limits, said in (({"database": 1}, "Did you mean 'database'?"), ({}, "There are none.")):
        flow = Flow("test", limits=limits)
        flow.add_routine(numbers, "read", limits="databse")
        with pytest.raises(DefinitionError, match="Flow 'test', routine 'read': the flow has no limit 'databse'") as it:
            flow.execute("read", {"n": 1})
        assert said in str(it.value)


def test_what_follows_the_last_retry_is_no_retry():
    with pytest.raises(SettingError, match="then must be Stop"):
        Retry(then=Retry())


@BOTH
def test_a_message_that_does_not_fit_the_handler_fails_with_the_names(mode):
    class Area(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("shape", handler=self.area)
            self.define_event("output")

        def area(self, width, height):
            return width * height

    for shape, said in (
        (3, "takes width, height from a mapping, and a int arrived"),
        ({"width": 1}, r"the mapping that arrived lacks \['height'\]"),
        ({"width": 1, "height": 2, "depth": 3}, r"has \['depth'\] too many"),
    ):
        error = failing(Area(), {"shape": shape}, mode=mode)
        assert isinstance(error, HandlerInputError)
        assert re.search(f"Flow 'test', routine 'work', slot 'shape': .*{said}", str(error))


@BOTH
def test_emitting_on_an_undeclared_event_fails_the_activation(mode):
    @routine(events=["small"])
    def work(ctx: Context):
        ctx.emit("smal", 1)

    error = failing(work, mode=mode)
    assert isinstance(error, EmissionError)
    assert "Flow 'test', routine 'work': it declares no event 'smal'. Did you mean 'small'?" in str(error)


def test_one_emission_is_not_two_values():
    @routine
    def work(ctx: Context):
        ctx.emit("output", 1, a=2)

    assert "One emission is one value" in str(failing(work))


def test_emitting_after_the_handler_has_ended_is_an_error():
    kept = []

    @routine
    def work(ctx: Context):
        kept.append(ctx)

    @routine
    def fails(ctx: Context):
        kept.append(ctx)
        raise ValueError

    failing(fails)
    flow = Flow("late")
    flow.add_routine(work)
    flow.execute("work")
    for ctx in kept:
        with pytest.raises(EmissionError, match="came after the handler had ended"):
            ctx.emit("output", 1)


def test_a_value_without_an_event_for_it_fails():
    class Mute(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=lambda x: x)

    error = failing(Mute(), {"x": 1})
    assert isinstance(error, HandlerReturnError)
    assert "declares no event 'output'" in str(error)
    assert "declares no event 'output'" in str(failing(routine(events=["other"])(lambda x: x), {"x": 1}))


@BOTH
def test_a_handler_that_returns_what_was_not_run_fails(mode):
    async def coroutine():
        return 1

    def coroutine_of():
        return coroutine()

    error = failing(lambda: (x for x in range(3)), mode=mode)
    assert isinstance(error, HandlerReturnError)
    assert "routine 'work': its handler returned a generator that nobody runs" in str(error)
    error = failing(coroutine_of, mode=mode)
    assert "its handler returned a coroutine that nobody awaits" in str(error)

    def gives_generators():
        yield (x for x in range(3))

    assert "returned a generator" in str(failing(gives_generators, mode=mode))


def test_a_generator_function_that_gives_no_generator_fails():
    def runs_it(function):
        @functools.wraps(function)
        def wrapper():
            return list(function())

        return wrapper

    @routine
    @runs_it
    def work():
        yield 1

    assert "is a generator function, but calling it gave a list" in str(failing(work))


class UnprintableError(Exception):
    """Its text cannot be had."""

    def __str__(self):
        raise RuntimeError("no text")


@BOTH
def test_an_exception_that_cannot_be_printed_is_a_failure_like_any_other(mode):
    def work(x):
        raise UnprintableError

    flow = Flow("test", execution_mode=mode, error_strategy=Continue())
    flow.chain(numbers, work)
    job = flow.execute("numbers", {"n": 3})
    assert job.status == "completed"
    assert job.counts["work"].failed == 3
    assert job.errors[0].message == "UnprintableError: <str() of it raised RuntimeError>"
    assert [one["error"] for one in job.history if one["error"]] == [job.errors[0].message] * 3
    assert "UnprintableError" in str(job.errors[0])
    assert "raise UnprintableError" in job.errors[0].traceback


@BOTH
def test_stop_iteration_in_a_handler_is_a_failure(mode):
    error = failing(lambda: next(iter([])), mode=mode)
    assert isinstance(error, RuntimeError)
    assert "routine 'work': its handler raised StopIteration" in str(error)
    assert isinstance(error.__cause__, StopIteration)


class Enough(BaseException):
    """Not an Exception."""


@BOTH
@pytest.mark.parametrize("kind", [SystemExit, Enough, GeneratorExit])
@pytest.mark.parametrize("generator", [False, True])
def test_what_is_no_exception_stops_the_job_and_is_raised_by_execute(mode, kind, generator):
    def work(x):
        raise kind("enough")

    def source():
        yield 1
        raise kind("enough")

    flow = Flow("test", execution_mode=mode, error_strategy=Continue())
    if generator:
        flow.add_routine(source)
        entry, params = "source", {}
    else:
        flow.chain(numbers, work)
        entry, params = "numbers", {"n": 3}
    with pytest.raises(kind):
        flow.execute(entry, params)
    assert ours() == []
    flow.add_routine(lambda: 1, "still")
    with pytest.warns(UnreachableRoutineWarning):
        assert flow.execute("still").result == 1


def test_keyboard_interrupt_in_a_handler_cancels_the_job_and_is_raised():
    jobs = []

    def work(x):
        jobs.append(flow._launch.under_way)
        raise KeyboardInterrupt

    flow = Flow("test", error_strategy=Continue())
    flow.chain(numbers, work)
    with pytest.raises(KeyboardInterrupt):
        flow.execute("numbers", {"n": 3})
    assert flow._launch.under_way == {}

    def source():
        yield 1
        raise KeyboardInterrupt

    flow = Flow("test")
    flow.add_routine(source)
    with pytest.raises(KeyboardInterrupt):
        flow.execute("source")


@BOTH
def test_a_flow_is_not_changed_while_its_jobs_run(mode):
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go_on.wait(30)

    flow = Flow("busy", execution_mode=mode)
    flow.add_routine(work)
    job = flow.start("work")
    assert begun.wait(30)
    for change in (lambda: flow.add_routine(numbers), lambda: flow.connect("work", "work")):
        with pytest.raises(FlowBusyError, match="Flow 'busy': .* 1 running job"):
            change()
    with pytest.raises(UnfinishedJobError, match="is running. Call wait"):
        job.raise_for_status()
    go_on.set()
    assert job.wait(30)
    flow.add_routine(numbers)


@BOTH
@pytest.mark.parametrize("block", [False, True])
def test_a_handler_may_run_another_job_of_the_same_flow(mode, block):
    flow = Flow("nested", execution_mode=mode, max_workers=1)

    def countdown(n):
        below = flow.execute("countdown", {"n": n - 1}).result if n else []
        return [n, *below]

    flow.add_routine(countdown)
    if block:
        with flow:
            assert flow.execute("countdown", {"n": 5}).result == [5, 4, 3, 2, 1, 0]
    else:
        assert flow.execute("countdown", {"n": 5}).result == [5, 4, 3, 2, 1, 0]
    assert ours() == []


def refused_wait(mode, jobs, started, work):
    """Starts a job of one handler, which waits for what is in `jobs` once it is `started`, and fails by that."""
    flow = Flow("self", execution_mode=mode)
    flow.add_routine(work)
    jobs.append(flow.start("work"))
    started.set()
    assert jobs[0].wait(30)
    with pytest.raises(SelfWaitError) as refused:
        jobs[0].raise_for_status()
    return refused


@BOTH
def test_a_handler_may_not_wait_for_its_own_job(mode):
    def work():
        started.wait(30)
        jobs[0].wait()

    started, jobs = threading.Event(), []
    refused = refused_wait(mode, jobs, started, work)
    assert refused.match("Flow 'self': a handler waits for the job that it is part of")


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])
@pytest.mark.parametrize("wait", ["wait", "wait_async", "await"])
def test_a_coroutine_may_not_wait_for_its_own_job(mode, wait):
    async def work():
        await asyncio.to_thread(started.wait, 30)
        if wait == "wait":
            jobs[0].wait()
        elif wait == "wait_async":
            await jobs[0].wait_async()
        else:
            await jobs[0]

    started, jobs = threading.Event(), []
    assert refused_wait(mode, jobs, started, work).match("Flow 'self'")


def test_a_handler_of_a_sequential_job_inside_a_worker_may_not_wait_for_its_own_job():
    def inner():
        (job,) = flow._launch.under_way.values()
        job.wait()

    def outer():
        return flow.execute("inner", execution_mode="sequential").errors[0].error

    flow, outside = Flow("inside"), Flow("outside", execution_mode="concurrent")
    flow.add_routine(inner)
    outside.add_routine(outer)
    assert isinstance(outside.execute("outer").result, SelfWaitError)


def test_results_that_are_not_there_are_errors():
    flow = Flow("results")
    flow.chain(numbers, lambda x: x)
    job = flow.execute("numbers", {"n": 2})
    with pytest.raises(ResultError, match="The flow has no routine 'lambda'. Did you mean '<lambda>'"):
        job.results["lambda"]
    with pytest.raises(ResultError, match="2 results, not exactly one"):
        job.result
    assert job.results.get("none", []) == []
    assert "none" not in job.results
    assert job.results["numbers"] == []
    assert "numbers" not in job.results
    assert len(job.results) == 1
    assert repr(job.results) == "Results({'<lambda>': [0, 1]})"


@BOTH
def test_a_job_that_runs_has_no_result_yet(mode):
    def work():
        yield 1
        begun.set()
        go_on.wait(30)

    begun, go_on = threading.Event(), threading.Event()
    flow = Flow("slow", execution_mode=mode)
    flow.add_routine(work)
    job = flow.start("work")
    assert begun.wait(30)
    with pytest.raises(UnfinishedJobError, match=f"Job {job.job_id} of flow 'slow' is running. Call wait\\(\\) first"):
        job.result
    go_on.set()
    assert job.wait(30)
    assert job.result == 1


def test_a_flow_is_opened_once():
    with Flow("open") as flow, pytest.raises(FlowBusyError, match="open already"), flow:
        pass


def test_ports_are_named_by_texts():
    class Wrong(Routine):
        def __init__(self, name):
            super().__init__()
            self.define_event(name)

    for name in (None, 3, ""):
        with pytest.raises(DefinitionError, match="name of a event must be a text"):
            Wrong(name)


@pytest.mark.parametrize("where", ["key", "field", "predicate"])
@BOTH
def test_user_code_that_is_no_handler_cannot_harm_the_engine(mode, where):
    from routilux import keyed

    def broken(value):
        raise LookupError("broken")

    flow = Flow("odd", execution_mode=mode, error_strategy=Continue())
    flow.add_routine(numbers)
    if where == "key":
        flow.add_routine(routine(fires=keyed(broken))(lambda x: x), "odd")
        flow.connect("numbers", "odd")
    elif where == "field":
        flow.add_routine(lambda x: x, "odd")
        flow.connect("numbers", "output", "odd", "x", field="missing")
    else:
        flow.add_routine(broken, "odd", error_strategy=Retry(3, on=broken, then=Continue()))
        flow.connect("numbers", "odd")
    job = flow.execute("numbers", {"n": 3})
    assert job.status == "completed"
    assert job.counts["odd"].failed == 3
    assert {failure.kind for failure in job.errors} == ({"error"} if where == "predicate" else {"input"})


def test_a_strategy_that_raises_stops_the_job():
    from routilux import ErrorStrategy

    class Broken(ErrorStrategy):
        def decide(self, error, attempt, seed):
            raise RuntimeError("cannot decide")

    error = failing(lambda: 1 / 0, error_strategy=Broken())
    assert isinstance(error, ZeroDivisionError)
    assert "itself raised RuntimeError" in error.__notes__[0]


@pytest.mark.parametrize("answer", [None, True, "stop", 1.5])
def test_a_strategy_that_gives_no_answer_stops_the_job(answer):
    from routilux import ErrorStrategy

    class Vague(ErrorStrategy):
        def decide(self, error, attempt, seed):
            return answer

    error = failing(lambda: 1 / 0, error_strategy=Vague())
    assert isinstance(error, ZeroDivisionError)
    assert "which is no answer" in error.__notes__[0]


def test_a_delay_is_a_whole_number_of_nanoseconds():
    from routilux.decision import TryAgain

    with pytest.raises(SettingError, match="whole number of nanoseconds, not 1.5"):
        TryAgain(1.5)
