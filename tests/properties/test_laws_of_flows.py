"""The laws of DESIGN, for random flows under random orders of settling, with failures, pauses and cancels."""

from __future__ import annotations

import functools
import os
import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routilux import Continue, Flow, Retry, Skip, batch, collect, gather, keyed, routine
from routilux.testing import ManualClock, ScriptedRun

settings.register_profile("quick", max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("deep", max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
PROFILE = settings.get_profile(os.environ.get("ROUTILUX_PROPERTIES", "quick"))

STEPS = ("same", "double", "drop", "spread", "fail", "flaky", "countdown", "gathered", "joined")
"""What a step of a random flow may be; none of them pairs by arrival."""


class World:
    """A random flow, and what its handlers saw."""

    def __init__(self, steps, ending, strategy):
        self.calls: Counter[str] = Counter()
        self.tried: set[tuple[str, str]] = set()
        self.flow = Flow("random", clock=ManualClock(), error_strategy=strategy, max_activations=5000)
        self.flow.add_routine(self.counted("source", self.source), "source")
        self.last = "source"
        for number, step in enumerate(steps):
            self.add(step, f"{step}{number}")
        rules = {"collect": collect(), "batch": batch(3), "open": None}
        if rules[ending] is not None:
            closing = routine(fires=rules[ending])(self.counted("end", lambda xs: sorted(map(repr, xs))))
            self.flow.add_routine(closing, "end")
            self.flow.connect(self.last, "end")

    def counted(self, name, function):
        """The function, with its calls counted; a generator's call is one."""

        @functools.wraps(function)
        def call(*args):
            self.calls[name] += 1
            return function(*args)

        return call

    def source(self, n):
        yield from range(n)

    def add(self, step, name):
        """Adds a step after the last one."""
        flow, before = self.flow, self.last
        if step == "gathered":
            flow.add_routine(self.counted(f"{name}_fan", self.fan), f"{name}_fan")
            flow.add_routine(self.counted(f"{name}_work", lambda x: x), f"{name}_work")
            flow.add_routine(routine(fires=gather())(self.counted(name, lambda xs: tuple(xs))), name)
            flow.chain(before, f"{name}_fan", f"{name}_work", name)
        elif step == "joined":
            flow.add_routine(self.counted(f"{name}_left", lambda x: ("k", x)), f"{name}_left")
            flow.add_routine(self.counted(f"{name}_right", lambda x: ("k", x)), f"{name}_right")
            rule = keyed(lambda pair: repr(pair[1]))
            flow.add_routine(routine(fires=rule)(self.counted(name, lambda a, b: (a[1], b[1]))), name)
            for side, slot in (("left", "a"), ("right", "b")):
                flow.connect(before, f"{name}_{side}")
                flow.connect(f"{name}_{side}", "output", name, slot)
        else:
            options = {"retries": 2, "retry_delay": 5} if step == "flaky" else {}
            handler = getattr(self, step)
            flow.add_routine(self.counted(name, lambda x: handler(name, x)), name, **options)
            flow.connect(before, name)
            if step == "countdown":
                flow.add_routine(self.counted(f"{name}_again", lambda x: x - 1 if x > 0 else None), f"{name}_again")
                flow.connect(name, f"{name}_again")
                flow.connect(f"{name}_again", name)
        self.last = name

    def fan(self, x):
        for number in range(weight(x) % 4):
            yield (weight(x), number)

    def same(self, name, x):
        return x

    def double(self, name, x):
        return (x, x)

    def drop(self, name, x):
        return None if weight(x) % 3 == 0 else x

    def spread(self, name, x):
        return [x]

    def fail(self, name, x):
        if weight(x) % 5 == 1:
            raise ValueError("by value")
        return x

    def flaky(self, name, x):
        if weight(x) % 2 and (name, repr(x)) not in self.tried:
            self.tried.add((name, repr(x)))
            raise ConnectionError("once")
        return x

    def countdown(self, name, x):
        return min(weight(x), 6)


def weight(x) -> int:
    """A small number that is a function of a value alone."""
    return x if isinstance(x, int) else sum(map(ord, repr(x))) % 17


def multiset(job) -> Counter:
    return Counter((name, repr(value)) for name, values in job.results.items() for value in values)


flows = st.tuples(
    st.lists(st.sampled_from(STEPS), max_size=5),
    st.sampled_from(["collect", "open"]),
    st.sampled_from([Skip(), Continue(), Retry(1, delay=3, then=Skip())]),
)


@PROFILE
@given(shape=flows, n=st.integers(0, 6), seed=st.integers(0, 10**6), workers=st.integers(1, 5))
def test_any_order_of_settling_gives_the_results_of_sequence(shape, n, seed, workers):
    expected = World(*shape).flow.execute("source", {"n": n})
    run = ScriptedRun(World(*shape).flow, "source", {"n": n}, seed=seed, workers=workers)
    run.run()
    assert run.job.status == expected.status
    if expected.status == "completed":
        assert multiset(run.job) == multiset(expected)


@PROFILE
@given(shape=flows, n=st.integers(0, 6), seed=st.integers(0, 10**6))
def test_no_activation_is_lost_or_run_twice(shape, n, seed):
    world = World(*shape)
    run = ScriptedRun(world.flow, "source", {"n": n}, seed=seed, max_history_size=None)
    run.run()
    records = run.job.history
    assert len(records) == sum(world.calls.values()) + sum(one["status"] == "yielded" for one in records)
    attempts = Counter((one["activation_id"], one["attempt"]) for one in records if one["status"] != "yielded")
    assert set(attempts.values()) <= {1}
    finals = Counter(one["activation_id"] for one in records if one["status"] not in ("yielded", "retried"))
    assert set(finals.values()) <= {1}
    if run.job.status == "completed":
        assert sorted(finals) == list(range(1, run.course.machine.delivery.fired + 1))


@PROFILE
@given(
    shape=st.tuples(st.lists(st.sampled_from(STEPS), max_size=5), st.sampled_from(["collect", "batch", "open"]), flows),
    n=st.integers(0, 8),
    seed=st.integers(0, 10**6),
    limits=st.tuples(st.integers(0, 20), st.integers(1, 4)),
)
def test_every_job_ends_or_says_why_it_waits_whatever_is_asked_of_it(shape, n, seed, limits):
    steps, ending, (_, _, strategy) = shape
    chance = random.Random(seed)
    run = ScriptedRun(
        World(steps, ending, strategy).flow,
        "source",
        {"n": n},
        choose=chance.randrange,
        workers=limits[1],
        max_history_size=limits[0],
    )
    for _ in range(100):
        action = chance.random()
        if action < 0.1:
            run.job.pause()
        elif action < 0.2:
            run.job.resume()
        elif action < 0.21:
            run.job.cancel()
        elif not run.step():
            assert run.job.status.terminal or run.job.waiting() or run.job.status == "paused"
        assert len(run.job.history) <= limits[0]
        if run.job.status == "paused":
            assert run.take() is None
    run.job.resume()
    run.run()
    assert run.job.status.terminal
    assert run.running == []


@PROFILE
@given(shape=flows, n=st.integers(0, 6), seed=st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_facts_and_the_facts_give_the_same_records(shape, n, seed):
    def play():
        run = ScriptedRun(World(*shape).flow, "source", {"n": n}, seed=seed, max_history_size=None)
        run.run()
        return run

    one, other = play(), play()
    assert [type(fact) for fact in one.facts] == [type(fact) for fact in other.facts]
    keys = ("activation_id", "routine_id", "attempt", "status", "cause")
    history = [tuple(record[key] for key in keys) for record in one.job.history]
    assert history == [tuple(record[key] for key in keys) for record in other.job.history]
    assert history == [(record[1], record[2], record[3], record[4], record[5]) for record in one.replay()]
