"""The laws of the machine, played through in orders that a test decides."""

from __future__ import annotations

import pytest

from routilux import Context, Continue, Flow, Retry, Routine, Skip, batch, collect, first, gather, keyed, routine
from routilux.errors import (
    ActivationLimitError,
    DefinitionError,
    HandlerInputError,
    ParkedLimitError,
    StrandedError,
    UnknownRoutineError,
)
from routilux.testing import ManualClock, ScriptedRun, first_difference


@routine
def numbers(n):
    yield from range(n)


@routine
def same(x):
    return x


@routine(events=["a", "b"])
def both(n, ctx: Context):
    for number in range(n):
        ctx.emit("a", number)
    for number in range(n):
        ctx.emit("b", number)


def scripted(flow, entry, params=None, **options) -> ScriptedRun:
    return ScriptedRun(flow, entry, params, **options)


# --- firing rules


def test_a_join_pairs_by_arrival_and_says_what_is_left():
    flow = Flow("join")
    flow.add_routine(numbers)
    flow.add_routine(lambda x: x if x != 1 else None, "some")
    flow.add_routine(lambda left, right: (left, right), "pair")
    flow.connect("numbers", "some")
    flow.connect("numbers", "output", "pair", "left")
    flow.connect("some", "output", "pair", "right")
    job = flow.execute("numbers", {"n": 3})
    assert job.results["pair"] == [(0, 0), (1, 2)]
    assert job.stranded == ["1 message in slot 'left' of 'pair' waits for slot 'right', fed by 'some'"]
    assert job.status == "completed"


def test_what_is_left_is_logged_once(caplog):
    flow = Flow("join")
    flow.add_routine(both)
    flow.add_routine(lambda left, right: (left, right), "pair")
    flow.add_routine(lambda x: None, "never")
    flow.connect("both", "a", "pair", "left")
    flow.connect("both", "b", "never", "x")
    flow.connect("never", "output", "pair", "right")
    flow.execute("both", {"n": 2})
    assert [record.name for record in caplog.records] == ["routilux"]
    assert "2 messages in slot 'left' of 'pair' wait for slot 'right', fed by 'never'" in caplog.text


def test_a_strict_flow_fails_on_what_is_left():
    flow = Flow("strict", strict=True)
    flow.add_routine(both)
    flow.add_routine(routine(fires=keyed(lambda x: x))(lambda left, right: left), "pair")
    flow.add_routine(lambda x: x + 1, "shift")
    flow.connect("both", "a", "pair", "left")
    flow.connect("both", "b", "shift", "x")
    flow.connect("shift", "output", "pair", "right")
    job = flow.execute("both", {"n": 2})
    assert job.status == "failed"
    with pytest.raises(
        StrandedError,
        match="Flow 'strict' is strict: 1 message in slot 'left'.*'partners with the same key'".replace(
            "'p", "p"
        ).replace("key'", "key"),
    ):
        job.raise_for_status()
    assert flow.execute("both", {"n": 2}, strict=False).results["pair"] == [1]


@pytest.mark.parametrize("order", [range(3), [2, 0, 1], [1, 2, 0]])
def test_a_keyed_join_pairs_what_belongs_together_in_any_order(order):
    flow = Flow("keyed")
    flow.add_routine(both)
    flow.add_routine(lambda x: {"id": x, "from": "left"}, "left")
    flow.add_routine(lambda x: {"id": x, "from": "right"}, "right")
    flow.add_routine(routine(fires=keyed("id"))(lambda one, other: (one["id"], other["id"])), "pair")
    flow.connect("both", "a", "left", "x")
    flow.connect("both", "b", "right", "x")
    flow.connect("left", "output", "pair", "one")
    flow.connect("right", "output", "pair", "other")
    assert first_difference(lambda: flow, "both", {"n": 3}, seeds=[*order, 7, 8, 9]) is None


def test_a_keyed_join_of_several_sets_of_one_key_makes_several_pairs():
    flow = Flow("sets")
    flow.add_routine(both)
    rule = keyed({"one": lambda x: x % 2, "other": lambda x: x % 2})
    flow.add_routine(routine(fires=rule)(lambda one, other: (one, other)), "pair")
    flow.connect("both", "a", "pair", "one")
    flow.connect("both", "b", "pair", "other")
    assert sorted(flow.execute("both", {"n": 5}).results["pair"]) == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]


def test_a_key_for_each_slot_is_needed():
    flow = Flow("keys")
    flow.add_routine(both)
    flow.add_routine(routine(fires=keyed({"one": "id"}))(lambda one, other: one), "pair")
    flow.connect("both", "a", "pair", "one")
    flow.connect("both", "b", "pair", "other")
    with pytest.raises(DefinitionError, match="routine 'pair': keyed names no key for slot 'other'"):
        flow.check("both", {"n": 1})


def test_a_batch_fires_full_and_at_the_end_with_what_is_left():
    flow = Flow("batches")
    flow.chain(numbers, routine(fires=batch(3))(lambda xs: list(xs)))
    assert flow.execute("numbers", {"n": 7}).results["<lambda>"] == [[0, 1, 2], [3, 4, 5], [6]]


def test_many_connections_into_one_slot_mix():
    flow = Flow("mix")
    flow.add_routine(both)
    flow.add_routine(routine(fires=batch(10))(lambda xs: sorted(xs)), "all")
    flow.connect("both", "a", "all", "xs")
    flow.connect("both", "b", "all", "xs")
    assert flow.execute("both", {"n": 3}).results["all"] == [[0, 0, 1, 1, 2, 2]]


def test_a_batch_fires_when_its_time_is_up():
    clock = ManualClock()
    tries = []

    def slow(x):
        tries.append(x)
        if x == 2 and tries.count(2) == 1:
            raise OSError
        return x

    flow = Flow("timed", clock=clock)
    flow.add_routine(numbers)
    flow.add_routine(slow, retries=1, retry_delay=10)
    flow.add_routine(routine(fires=batch(10, timeout=2))(lambda xs: (list(xs), clock.now() / 1e9)), "batch")
    flow.chain("numbers", "slow", "batch")
    assert flow.execute("numbers", {"n": 3}).results["batch"] == [([0, 1], 2.0), ([2], 10.0)]


def test_a_full_batch_makes_its_timer_stale():
    clock = ManualClock()
    flow = Flow("stale", clock=clock)
    flow.chain(numbers, routine(fires=batch(2, timeout=5))(lambda xs: list(xs)))
    job = flow.execute("numbers", {"n": 4})
    assert job.results["<lambda>"] == [[0, 1], [2, 3]]
    run = scripted(flow, "numbers", {"n": 3})
    while run.take():
        run.settle(run.running[0][0]) if run.running else None
        if run.course.machine.timers:
            run.pass_time()
    run.run()
    assert sorted(x for xs in run.job.results["<lambda>"] for x in xs) == [0, 1, 2]


def test_collects_one_after_another_wait_for_what_is_upstream():
    flow = Flow("collects")
    flow.add_routine(numbers)
    flow.add_routine(routine(fires=collect())(lambda xs: sum(xs)), "sum")
    flow.add_routine(numbers, "again")
    flow.add_routine(routine(fires=collect())(lambda xs: list(xs)), "list")
    flow.chain("numbers", "sum", "again", "list")
    assert flow.execute("numbers", {"n": 3}).result == [0, 1, 2]


def test_a_collect_of_nothing_gives_an_empty_list_once():
    flow = Flow("nothing")
    flow.add_routine(numbers)
    flow.add_routine(lambda x: None, "none")
    flow.add_routine(routine(fires=collect())(lambda xs: list(xs)), "all")
    flow.chain("numbers", "none", "all")
    assert flow.execute("numbers", {"n": 3}).results["all"] == [[]]


def test_held_slots_keep_their_message_and_gate_the_others():
    flow = Flow("hold")

    @routine(events=["x", "config"])
    def feed(ctx: Context):
        ctx.emit("x", 1)
        ctx.emit("x", 2)
        ctx.emit("config", 10)
        ctx.emit("x", 3)
        ctx.emit("config", 20)
        ctx.emit("x", 4)

    for name, rule in (("all", None), ("batch", batch(2)), ("keyed", keyed(lambda x: x)), ("collect", collect())):
        options = {} if rule is None else {"fires": rule}
        flow.add_routine(routine(hold=["config"], **options)(lambda x, config: (x, config)), name)
    flow.add_routine(feed)
    for name in ("all", "batch", "keyed", "collect"):
        flow.connect("feed", "x", name, "x")
        flow.connect("feed", "config", name, "config")
    results = flow.execute("feed").results
    assert results["all"] == results["keyed"] == [(1, 10), (2, 10), (3, 10), (4, 20)]
    assert results["batch"] == [([1, 2], 10), ([3, 4], 20)]
    assert results["collect"] == [([1, 2, 3, 4], 20)]


def test_what_waits_for_a_held_slot_is_named():
    flow = Flow("hold")
    flow.add_routine(both)
    flow.add_routine(lambda x: None, "never")
    flow.add_routine(routine(hold=["config"])(lambda x, config: x), "use")
    flow.connect("both", "a", "use", "x")
    flow.connect("both", "b", "never", "x")
    flow.connect("never", "output", "use", "config")
    assert flow.execute("both", {"n": 1}).stranded == [
        "1 message in slot 'x' of 'use' waits for slot 'config', fed by 'never'"
    ]


def test_an_entry_param_for_an_unconnected_slot_holds_in_a_loop():
    flow = Flow("loop")
    flow.add_routine(lambda n, step: n - step if n > 0 else None, "down")
    flow.connect("down", "output", "down", "n")
    assert flow.execute("down", {"n": 10, "step": 5}).counts["down"].executions == 3


def test_an_entry_with_a_list_rule_waits_for_more():
    flow = Flow("entry")
    flow.add_routine(routine(fires=batch(3))(lambda xs: xs[0] + 1 if len(xs) < 3 else None), "more")
    flow.connect("more", "more")
    assert flow.execute("more", {"xs": 1}, max_activations=5).status == "failed"
    flow = Flow("entry")
    flow.add_routine(routine(fires=collect())(lambda xs: list(xs)), "all")
    assert flow.execute("all", {"xs": 1}).result == [1]
    assert flow.execute("all").result == []


# --- fan-outs


def fan_out(work=same, rule=None, **options) -> Flow:
    flow = Flow("fan", **options)
    flow.add_routine(numbers)
    flow.add_routine(work, "work")
    flow.add_routine(routine(fires=rule or gather())(lambda xs: list(xs)), "all")
    flow.chain("numbers", "work", "all")
    return flow


@pytest.mark.parametrize("seed", range(8))
def test_a_gather_gives_emission_order_whatever_settles_first(seed):
    run = scripted(fan_out(), "numbers", {"n": 6}, seed=seed)
    run.run()
    assert run.job.result == [0, 1, 2, 3, 4, 5]


def test_a_gather_of_nothing_fires_with_nothing():
    assert fan_out().execute("numbers", {"n": 0}).result == []


def test_items_that_emit_nothing_fail_or_are_retried_come_out_right():
    tries = []

    def work(x):
        tries.append(x)
        if x == 1:
            raise ValueError
        if x == 2 and tries.count(2) == 1:
            raise KeyError
        return None if x == 3 else x

    flow = fan_out(work, clock=ManualClock(), error_strategy=Retry(1, delay=1, on=KeyError, then=Skip()))
    assert flow.execute("numbers", {"n": 6}).result == [0, 2, 4, 5]


def test_items_that_emit_several_stay_together_and_in_order():
    @routine(events=["output"])
    def twice(x, ctx: Context):
        ctx.emit("output", (x, 1))
        ctx.emit("output", (x, 2))

    flow = fan_out(twice, gather(of="numbers"))
    for seed in range(5):
        run = scripted(flow, "numbers", {"n": 3}, seed=seed)
        run.run()
        assert run.job.result == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_generator_inside_a_fan_out_that_is_not_gathered_keeps_the_order():
    flow = Flow("inner")
    flow.add_routine(numbers, "outer")
    flow.add_routine(numbers, "inner")
    flow.add_routine(routine(fires=gather(of="outer"))(lambda xs: list(xs)), "all")
    flow.chain("outer", "inner", "all")
    for seed in range(5):
        run = scripted(flow, "outer", {"n": 4}, seed=seed)
        run.run()
        assert run.job.result == [0, 0, 1, 0, 1, 2]


def test_nested_gathers_close_from_the_inside():
    flow = Flow("nested")
    flow.add_routine(numbers, "outer")
    flow.add_routine(numbers, "inner")
    flow.add_routine(routine(fires=gather())(lambda xs: list(xs)), "close_inner")
    flow.add_routine(routine(fires=gather())(lambda xs: list(xs)), "close_outer")
    flow.chain("outer", "inner", "close_inner", "close_outer")
    for seed in range(8):
        run = scripted(flow, "outer", {"n": 4}, seed=seed)
        run.run()
        assert run.job.result == [[], [0], [0, 1], [0, 1, 2]]


def test_joins_inside_a_fan_out_belong_to_it():
    flow = Flow("joined")
    flow.add_routine(numbers)
    flow.add_routine(same, "left")
    flow.add_routine(same, "right")
    flow.add_routine(routine(fires=keyed(lambda x: x))(lambda a, b: (a, b)), "pair")
    flow.add_routine(routine(fires=gather(of="numbers"))(lambda xs: list(xs)), "all")
    flow.connect("numbers", "left")
    flow.connect("numbers", "right")
    flow.connect("left", "output", "pair", "a")
    flow.connect("right", "output", "pair", "b")
    flow.connect("pair", "all")
    for seed in range(6):
        run = scripted(flow, "numbers", {"n": 4}, seed=seed)
        run.run()
        assert run.job.result == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_messages_of_different_scopes_meet_in_the_one_around_them():
    flow = Flow("scopes")
    flow.add_routine(numbers, "outer")
    flow.add_routine(numbers, "left")
    flow.add_routine(numbers, "right")
    flow.add_routine(routine(fires=gather(of="left"))(lambda xs: sum(xs)), "sum")
    flow.add_routine(lambda a, b: (a, b), "pair")
    flow.add_routine(routine(fires=gather(of="outer"))(lambda xs: sorted(xs)), "all")
    flow.connect("outer", "left")
    flow.connect("outer", "right")
    flow.connect("left", "sum")
    flow.connect("sum", "output", "pair", "a")
    flow.connect("right", "output", "pair", "b")
    flow.connect("pair", "all")
    assert flow.execute("outer", {"n": 3}).result == [(0, 0), (0, 0), (1, 1)]


def test_a_join_that_cannot_fire_does_not_keep_a_gather_from_closing():
    flow = Flow("stuck")
    flow.add_routine(numbers)
    flow.add_routine(lambda x: x or None, "some")
    flow.add_routine(routine(fires=keyed(lambda x: x))(lambda a, b: a), "pair")
    flow.add_routine(routine(fires=gather(of="numbers"))(lambda xs: list(xs)), "all")
    flow.add_routine(routine(fires=collect())(lambda xs: list(xs)), "end")
    flow.connect("numbers", "some")
    flow.connect("numbers", "output", "pair", "a")
    flow.connect("some", "output", "pair", "b")
    flow.connect("pair", "all")
    flow.connect("all", "end")
    job = flow.execute("numbers", {"n": 3})
    assert job.result == [[1, 2]]
    assert len(job.stranded) == 1


def test_batches_inside_a_fan_out_are_flushed_before_it_closes():
    flow = fan_out(routine(fires=batch(2))(lambda xs: sum(xs)), gather(of="numbers"))
    assert flow.execute("numbers", {"n": 5}).result == [1, 5, 4]


def test_collects_leave_the_fan_out():
    flow = Flow("leaves")
    flow.add_routine(numbers)
    flow.add_routine(routine(fires=collect())(lambda xs: list(xs)), "collected")
    flow.add_routine(routine(fires=gather(of="numbers"))(lambda xs: list(xs)), "gathered")
    flow.connect("numbers", "collected")
    flow.connect("numbers", "gathered")
    results = flow.execute("numbers", {"n": 2}).results
    assert results["collected"] == results["gathered"] == [[0, 1]]


def test_the_first_of_a_fan_out_are_handed_over_and_later_ones_dropped():
    assert fan_out(rule=first(2)).execute("numbers", {"n": 5}).results["all"] == [[0, 1]]
    assert fan_out(rule=first(9)).execute("numbers", {"n": 2}).results["all"] == [[0, 1]]


def test_a_fan_out_of_a_plain_function_over_branches_is_gathered():
    flow = Flow("branches")
    flow.add_routine(numbers)
    flow.add_routine(same, "split")
    flow.add_routine(lambda x: x * 10, "tens")
    flow.add_routine(lambda x: None if x == 1 else x, "ones")
    flow.add_routine(routine(fires=gather())(lambda xs: list(xs)), "all")
    flow.chain("numbers", "split", "tens", "all")
    flow.connect("split", "ones")
    flow.connect("ones", "all")
    assert flow.execute("numbers", {"n": 3}).results["all"] == [[0, 0], [10], [20, 2]]


@pytest.mark.parametrize("listeners", [1, 2])
def test_another_handler_of_a_routine_that_gathers_joins_as_any_other(listeners):
    class Both(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("xs", handler=self.everything, fires=gather())
            self.define_slot("y", handler=self.pair)
            self.define_slot("z", handler=self.pair)
            self.define_event("output")

        def everything(self, xs):
            return list(xs)

        def pair(self, y, z):
            return y, z

    flow = Flow("both")
    flow.add_routine(numbers)
    flow.add_routine(same)
    flow.add_routine(lambda x: -x, "negated")
    flow.add_routine(Both(), "both")
    flow.connect("numbers", "same")
    flow.connect("numbers", "negated")
    flow.connect("same", "output", "both", "xs")
    flow.connect("numbers", "output", "both", "y")
    flow.connect("negated", "output", "both", "z")
    if listeners == 2:
        flow.connect("negated", flow.add_routine(lambda x: None, "also"))
    results = flow.execute("numbers", {"n": 3}).raise_for_status().results["both"]
    assert sorted(results, key=str) == [(0, 0), (1, -1), (2, -2), [0, 1, 2]]


def test_a_fan_out_that_failed_is_closed_with_what_it_had_emitted():
    @routine(error_strategy=Continue())
    def source(n):
        for number in range(n):
            if number == 2:
                raise ValueError
            yield number

    flow = Flow("failed")
    flow.add_routine(source)
    flow.add_routine(routine(fires=gather())(lambda xs: list(xs)), "all")
    flow.add_routine(lambda failure: failure.message, "note")
    flow.connect("source", "all")
    flow.connect("source", "error", "note", "failure")
    results = flow.execute("source", {"n": 5}).results
    assert results["all"] == [[0, 1]]
    assert results["note"] == ["ValueError"]


def test_a_message_that_cannot_be_read_inside_a_fan_out_does_not_close_it_twice():
    flow = Flow("misfire", error_strategy=Skip())
    flow.add_routine(numbers)
    flow.add_routine(lambda x: {"v": x} if x % 2 else {}, "make")
    flow.add_routine(same, "use")
    flow.add_routine(routine(fires=gather())(lambda xs: list(xs)), "all")
    flow.connect("numbers", "make")
    flow.connect("make", "output", "use", "x", field="v")
    flow.connect("use", "all")
    job = flow.execute("numbers", {"n": 5})
    assert job.results["all"] == [[1, 3]]
    assert job.counts["use"].skipped == 3


def nested(**routines) -> Flow:
    """outer -> inner -> close, where `close` gathers what came of each `inner`, and more routines."""
    flow = Flow("nested")
    flow.add_routine(numbers, "outer")
    flow.add_routine(numbers, "inner")
    flow.add_routine(routine(fires=gather(of="inner"))(lambda xs: len(xs)), "close")
    flow.chain("outer", "inner", "close")
    for name, added in routines.items():
        flow.add_routine(added, name)
    return flow


def test_an_outer_gather_takes_items_of_the_fan_outs_inside():
    flow = nested(all=routine(fires=gather(of="outer"))(lambda xs: list(xs)))
    flow.connect("inner", "all")
    results = flow.execute("outer", {"n": 4}).results
    assert results["all"] == [[0, 0, 1, 0, 1, 2]]
    assert sorted(results["close"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("turned", [False, True])
def test_a_join_of_an_inner_and_an_outer_item_belongs_to_the_outer_fan_out(turned):
    flow = nested(
        same=same,
        pair=lambda a, b: (a, b),
        all=routine(fires=gather(of="outer"))(lambda xs: len(xs)),
    )
    flow.connect("outer", "same")
    flow.connect("inner", "output", "pair", "b" if turned else "a")
    flow.connect("same", "output", "pair", "a" if turned else "b")
    flow.connect("pair", "all")
    assert flow.execute("outer", {"n": 4}).results["all"] == [4]


def test_a_message_that_belongs_to_no_single_fan_out_cannot_be_gathered():
    flow = Flow("mixed")
    flow.add_routine(numbers)
    flow.add_routine(routine(fires=collect())(lambda xs: sum(xs)), "sum")
    flow.add_routine(routine(fires=gather(of="numbers"))(lambda xs: list(xs)), "all")
    flow.chain("numbers", "sum", "all")
    with pytest.raises(HandlerInputError, match="routine 'all': .*belongs to no single fan-out of 'numbers'"):
        flow.execute("numbers", {"n": 3}).raise_for_status()


def test_a_fan_out_that_is_skipped_is_closed_empty():
    class Split(Routine):
        def __init__(self):
            super().__init__(error_strategy=Skip())
            self.define_slot("x", handler=self.work)
            self.define_event("output")

        def work(self, x):
            raise ValueError

    flow = Flow("skipped")
    flow.add_routine(Split)
    flow.add_routine(routine(fires=gather(of="Split"))(lambda xs: list(xs)), "all")
    flow.chain("Split", "all")
    assert flow.execute("Split", {"x": 1}).result == []


def test_a_complaint_that_cannot_be_handed_on_may_stop_the_job():
    flow = Flow("complaint", error_strategy=Continue())
    flow.chain(numbers, lambda x: 1 / 0)
    flow.add_routine(lambda failure: failure, "note", error_strategy=Retry(0))
    flow.connect("<lambda>", "error", "note", "failure", field="no_such_thing")
    assert flow.execute("numbers", {"n": 3}).status == "completed"
    flow = Flow("complaint")
    flow.add_routine(lambda: 1 / 0, "work", error_strategy=Continue())
    flow.add_routine(lambda failure: failure, "note")
    flow.connect("work", "error", "note", "failure", field="no_such_thing")
    with pytest.raises(HandlerInputError, match="routine 'note': it carries 'no_such_thing'"):
        flow.execute("work").raise_for_status()


# --- limits and guards


def test_a_cycle_is_guarded_by_max_activations():
    flow = Flow("cycle", max_activations=100)
    flow.add_routine(lambda x: x + 1, "again")
    flow.connect("again", "again")
    job = flow.execute("again", {"x": 0})
    assert job.status == "failed"
    assert job.counts["again"].executions == 100
    with pytest.raises(ActivationLimitError, match="Flow 'cycle', routine 'again': activation number 101"):
        job.raise_for_status()


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_the_guard_holds_for_sources_and_bursts_too(mode):
    flow = Flow("burst", max_activations=50, execution_mode=mode)
    flow.chain(numbers, same)
    assert flow.execute("numbers", {"n": 49}).status == "completed"
    assert flow.execute("numbers", {"n": 50}).status == "failed"

    @routine
    def burst(n, ctx: Context):
        for number in range(n):
            ctx.emit("output", number)

    flow = Flow("burst", max_activations=50, execution_mode=mode)
    flow.chain(burst, same)
    job = flow.execute("burst", {"n": 1000})
    assert (job.status, job.counts.get("same")) == ("failed", None)


@pytest.mark.parametrize("rule", [{}, {"fires": keyed(lambda x: x)}])
def test_too_many_messages_for_partners_that_do_not_come_fail_the_job(rule):
    flow = Flow("parked", max_parked=10)
    flow.add_routine(numbers)
    flow.add_routine(lambda x: None, "never")
    flow.add_routine(routine(**rule)(lambda a, b: a), "pair")
    flow.connect("numbers", "output", "pair", "a")
    flow.connect("numbers", "output", "never", "x")
    flow.connect("never", "output", "pair", "b")
    job = flow.execute("numbers", {"n": 100})
    with pytest.raises(
        ParkedLimitError, match="routine 'pair': more than max_parked=10 messages wait in slot 'a' for 'b'"
    ):
        job.raise_for_status()
    assert flow.execute("numbers", {"n": 100}, max_parked=None).status == "completed"


def test_a_limited_routine_runs_only_so_many_at_once():
    flow = Flow("limited")
    flow.add_routine(both)
    flow.add_routine(lambda x: x, "few", max_concurrency=2)
    flow.add_routine(same, "many")
    flow.connect("both", "a", "few", "x")
    flow.connect("both", "b", "many", "x")
    run = scripted(flow, "both", {"n": 4}, workers=8)
    run.take()
    run.settle("both")
    while run.take():
        pass
    assert [name for name, _ in run.running] == ["few", "few", "many", "many", "many", "many"]
    assert [str(one) for one in run.job.waiting()] == [
        "few: limit: max_concurrency=2 is reached, held by activation 2, 3 (2 of them)"
    ]
    run.settle("few")
    assert run.take() == ("few", 4)
    run.run()
    assert sorted(run.job.results["few"]) == [0, 1, 2, 3]


def test_a_limited_routine_gives_its_place_back_while_it_waits_for_a_retry():
    tries = []

    def work(x):
        tries.append(x)
        if tries.count(x) == 1:
            raise OSError
        return x

    flow = Flow("lane", clock=ManualClock())
    flow.add_routine(numbers)
    flow.add_routine(work, max_concurrency=1, retries=1, retry_delay=5)
    flow.chain("numbers", "work")
    run = scripted(flow, "numbers", {"n": 2})
    run.run()
    assert tries == [0, 1, 0, 1]
    flow = Flow("lane", error_strategy=Skip())
    flow.add_routine(numbers)
    flow.add_routine(lambda x: 1 / x, "inverse", max_concurrency=1)
    flow.connect("numbers", "output", "inverse", "x")
    assert flow.execute("numbers", {"n": 3}).results["inverse"] == [1.0, 0.5]


def test_what_waits_for_a_limited_routine_is_dropped_when_the_job_stops():
    flow = Flow("lane")
    flow.add_routine(numbers)
    flow.add_routine(lambda x: 1 / x, "inverse", max_concurrency=1)
    flow.connect("numbers", "inverse")
    job = flow.execute("numbers", {"n": 3}, execution_mode="concurrent", max_workers=3)
    assert (job.status, job.counts["inverse"].executions) == ("failed", 1)


def test_messages_that_cannot_be_read_do_not_take_a_limited_place():
    flow = Flow("lane", error_strategy=Skip())
    flow.add_routine(numbers)
    flow.add_routine(lambda x: x, "use", max_concurrency=1)
    flow.connect("numbers", "output", "use", "x", field="missing")
    assert flow.execute("numbers", {"n": 3}).counts["use"].skipped == 3


def test_an_unhashable_key_is_a_failure_of_the_join():
    flow = Flow("unhashable")
    flow.add_routine(lambda: [1], "give")
    flow.add_routine(routine(fires=keyed(lambda x: x))(lambda x: x), "join")
    flow.connect("give", "join")
    job = flow.execute("give")
    with pytest.raises(HandlerInputError, match="routine 'join': unhashable type: 'list' Reading the key"):
        job.raise_for_status()


# --- sources


def test_a_source_is_asked_only_when_there_is_room():
    asked = []

    @routine
    def source():
        for number in range(1000):
            asked.append(number)
            yield number

    flow = Flow("room")
    flow.chain(source, same)
    run = scripted(flow, "source", workers=2)
    run.take()
    run.settle("source")
    for _ in range(10):
        while run.take():
            pass
        if ("source", 1) in run.running:
            run.settle("source")
    assert len(asked) <= 2 + 4 + 1
    assert any("held back by 'same'" in one.why for one in run.job.waiting())


def test_the_youngest_generator_is_asked_first():
    order = []

    @routine
    def outer():
        for number in range(2):
            order.append(f"outer {number}")
            yield number

    @routine
    def inner(x):
        for number in range(2):
            order.append(f"inner {x}.{number}")
            yield number

    flow = Flow("young")
    flow.chain(outer, inner, same)
    flow.execute("outer")
    assert order == ["outer 0", "inner 0.0", "inner 0.1", "outer 1", "inner 1.0", "inner 1.1"]


def test_a_generator_on_a_cycle_is_never_held_back():
    @routine
    def spread(x):
        if x:
            yield x - 1
            yield x - 1

    flow = Flow("cycle")
    flow.add_routine(spread)
    flow.connect("spread", "spread")
    for mode in ("sequential", "concurrent"):
        assert flow.execute("spread", {"x": 5}, execution_mode=mode).counts["spread"].completed == 63


def test_a_plain_handler_on_a_cycle_that_emits_through_its_context():
    class Down(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("n", handler=self.work)
            self.define_event("again")
            self.define_event("output")

        def work(self, n):
            if n:
                self.emit("again", n - 1)
            else:
                self.emit("output", "done")

    flow = Flow("down")
    flow.add_routine(Down)
    flow.connect("Down", "again", "Down", "n")
    assert flow.execute("Down", {"n": 50}).result == "done"


# --- control


def test_pause_starts_nothing_and_keeps_what_comes():
    flow = Flow("pause")
    flow.chain(numbers, same)
    run = scripted(flow, "numbers", {"n": 3})
    run.take()
    run.job.pause()
    assert run.job.status == "paused"
    run.settle("numbers")
    assert run.take() is None
    assert {str(one) for one in run.job.waiting()} == {"same: the job is paused", "numbers: the job is paused"}
    run.run()
    assert run.job.status == "paused"
    run.job.resume()
    run.run()
    assert sorted(run.job.results["same"]) == [0, 1, 2]


def test_a_job_that_is_paused_at_its_end_is_over_when_it_is_resumed():
    flow = Flow("pause")
    flow.add_routine(same)
    run = scripted(flow, "same", {"x": 1})
    run.take()
    run.job.pause()
    run.settle("same")
    assert run.job.status == "paused"
    run.job.resume()
    assert run.job.status == "completed"
    run.job.pause()
    assert run.job.status == "completed"


def test_cancel_lets_what_runs_end_and_drops_what_it_emits():
    flow = Flow("cancel", error_strategy=Continue())
    flow.chain(numbers, lambda x: 1 / x)
    run = scripted(flow, "numbers", {"n": 5}, workers=3)
    run.take()
    run.settle("numbers")
    run.take()
    run.take()
    run.job.cancel("enough")
    run.job.cancel("twice")
    assert run.job.status == "cancelling"
    assert run.job.waiting() == []
    for name, _ in run.running:
        run.settle(name)
    assert run.job.status == "cancelled"
    assert run.job.counts["numbers"].cancelled == 1
    assert run.job.counts["<lambda>"].failed == 1
    assert run.job.error_count == 1
    with pytest.raises(Exception, match="was cancelled: enough"):
        run.job.raise_for_status()
    run.job.cancel("after")
    assert run.job.status == "cancelled"


def test_stop_starts_nothing_more():
    flow = Flow("stop")
    flow.add_routine(both)
    flow.add_routine(lambda x: 1 / x, "inverse")
    flow.add_routine(same)
    flow.connect("both", "a", "inverse", "x")
    flow.connect("both", "b", "same", "x")
    run = scripted(flow, "both", {"n": 2}, workers=1)
    run.run()
    assert run.job.status == "failed"
    assert "same" not in run.job.counts


def test_late_outcomes_are_counted_and_change_nothing():
    flow = Flow("late", error_strategy=Skip(), clock=ManualClock())
    flow.add_routine(same, timeout=1)
    run = scripted(flow, "same", {"x": 1})
    run.take()
    activation = next(iter(run.course.machine.running.values()))
    assert run.pass_time()
    assert run.job.status == "completed"
    assert run.job.counts["same"].skipped == 1
    run._settle(activation)
    assert run.job.late_outcomes == 1
    assert run.job.results == {}
    assert not run.pass_time()


def test_timers_whose_reason_has_gone_are_forgotten():
    flow = Flow("timers", clock=ManualClock())
    flow.add_routine(numbers)
    flow.add_routine(same, timeout=1000)
    flow.connect("numbers", "same")
    run = scripted(flow, "numbers", {"n": 2000}, workers=2)
    while not run.job.status.terminal:
        while run.take():
            pass
        run.settle(run.running[0][0])
    assert len(run.course.machine.timers.heap) < 600
    assert run.job.counts["same"].completed == 2000


def test_a_stopped_job_has_no_timers():
    flow = Flow("timers", clock=ManualClock())
    flow.add_routine(lambda: 1 / 0, "fail", retries=1, retry_delay=100)
    run = scripted(flow, "fail")
    run.take()
    run.settle("fail")
    assert [str(one) for one in run.job.waiting()] == ["fail: attempt 2 is due in 100.0 s"]
    run.job.cancel()
    assert run.job.status == "cancelled"
    assert run.course.machine.timers.next_due is None


# --- scripting


def test_a_scripted_run_does_what_it_is_told():
    flow = Flow("told")
    flow.chain(numbers, same)
    run = scripted(flow, "numbers", {"n": 1}, choose=lambda n: n - 1)
    with pytest.raises(UnknownRoutineError, match="No activation of 'same' is running"):
        run.settle("same")
    with pytest.raises(Exception, match="only goes on when it is stepped"):
        run.job.wait()
    run.run()
    assert run.job.wait()
    assert run.take() is None
    assert not run.step()


def test_the_same_seed_gives_the_same_job_and_facts_can_be_replayed():
    def records(seed):
        flow = fan_out(clock=ManualClock())
        run = scripted(flow, "numbers", {"n": 9}, seed=seed)
        run.run()
        return run, [dict(one, job_id=None) for one in run.job.history]

    one, first_records = records(5)
    _, second_records = records(5)
    _, others = records(6)
    assert first_records == second_records
    assert first_records != others
    replayed = [(record[1], record[2], record[3], record[4]) for record in one.replay()]
    keys = ("activation_id", "routine_id", "attempt", "status")
    assert replayed == [tuple(record[key] for key in keys) for record in one.job.history]


def test_a_flow_whose_result_depends_on_the_order_is_found_out():
    def make():
        flow = Flow("order")
        flow.chain(numbers, same, routine(fires=collect())(lambda xs: list(xs)))
        return flow

    found = first_difference(make, "numbers", {"n": 5}, seeds=range(50))
    assert found is not None
    assert "missing" in found
