"""The laws of DESIGN 4, for flows that nobody thought of, settled in orders that nobody chose.

A message is a pair: a path, which no two messages of one place share, and a number. What a handler does is
a function of its message alone, so the same messages come to every place of a flow whatever settles first -
unless it joins by arrival, takes the first of something, or stops; such flows hold the other laws.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from routilux import Context, Continue, Flow, Retry, Skip, batch, collect, first, gather, keyed, routine
from routilux.facts import Settled
from routilux.testing import ManualClock, ScriptedRun

FINAL = {"completed", "failed", "skipped", "cancelled"}


@dataclass
class Place:
    """What a routine of a random flow is: its kind, where its messages come from, and what makes it special."""

    name: str
    kind: str
    source: str
    number: int
    options: dict = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    """The fan-outs around what it emits that can still be gathered, outermost first."""


class Calls(Counter):
    """How often the handler of each place was called."""


KINDS = ["map", "map", "drop", "spread", "burst", "spread", "loop", "turning", "twins", "rows", "all", "gather"]
HASTY = ["pair", "first", "stopping"]
"""Kinds whose outcome depends on what comes first."""
DIRECT = {"map", "drop", "spread", "burst", "fragile", "stopping"}
"""Kinds that fire once for each message."""

STRATEGIES = [
    None,
    Skip(),
    Continue(),
    Retry(2, then=Skip()),
    Retry(1, delay=1, then=Continue()),
    Retry(3, delay=0.5),
]


@st.composite
def shapes(draw, *, hasty=False):
    """The places of a flow, each after the one it gets its messages from, and the number of the first message."""
    places = [Place("entry", "spread", "", 0, scopes=("entry",))]
    fan_outs = 1
    for index in range(1, draw(st.integers(1, 7)) + 1):
        source = draw(st.sampled_from(places[-3:]))
        kind = draw(st.sampled_from(KINDS + HASTY if hasty else KINDS))
        if kind in ("spread", "burst", "turning"):
            fan_outs += 1
            kind = kind if fan_outs < 4 else "map"
        if kind in ("gather", "first") and not source.scopes:
            kind = "all" if kind == "gather" else "map"
        name, scopes, options = f"{kind}{index}", source.scopes, {}
        number = draw(st.integers(0, 5))
        if kind in ("gather", "first"):
            keep = draw(st.integers(0, len(scopes) - 1))
            options["of"], scopes = scopes[keep], scopes[:keep]
        elif kind in ("rows", "all", "pair"):
            scopes = ()
        elif kind in ("spread", "burst"):
            scopes = (*scopes, name)
        elif kind in ("map", "drop"):
            options["strategy"] = draw(st.sampled_from(STRATEGIES))
            options["max_concurrency"] = draw(st.sampled_from([None, None, 1, 2]))
        places.append(Place(name, kind, source.name, number, options, scopes))
    return places, draw(st.integers(0, 5))


def fate(place, number):
    """How many attempts at a message of this number fail at a place."""
    strategy = place.options.get("strategy")
    if strategy is None or (number + place.number) % 3:
        return 0
    if isinstance(strategy, Retry) and strategy.then is None:
        return strategy.max_retries
    return number % 4


def handler_of(place, calls, written=lambda function: function):
    """The handler of a place; `calls` counts how often it was called, `written` says how handlers are written."""
    name, given_number = place.name, place.number

    def plain(x, ctx: Context):
        calls[name] += 1
        path, number = x
        if ctx.attempt <= fate(place, number):
            raise ValueError(f"{name} does not take {number}")
        if place.kind == "stopping" and number % 7 == given_number:
            raise ValueError(f"{name} stops at {number}")
        if place.kind == "drop" and number % 3 == given_number % 3:
            return None
        return path, (number * 7 + given_number) % 101

    def spread(x):
        calls[name] += 1
        path, number = x
        for item in range((number + given_number) % 4 if path else number + 2):
            yield (*path, item), number + item

    def burst(x, ctx: Context):
        calls[name] += 1
        path, number = x
        for item in range((number + given_number) % 4):
            ctx.emit("output", ((*path, item), number + item))

    def loop(x, ctx: Context):
        calls[name] += 1
        path, number = x
        ctx.emit(*(("again", (path, number - 1)) if number % 5 else ("output", (path, number))))

    def turning(x, ctx: Context):
        calls[name] += 1
        path, number = x
        if number % 3:
            ctx.emit("again", ((*path, "again"), number - 1))
        yield (*path, "a"), number
        yield (*path, "b"), number

    def together(left, right):
        calls[name] += 1
        return left[0], (left[1] + right[1]) % 101

    def rows(xs):
        calls[name] += 1
        yield from xs

    def whole(xs):
        calls[name] += 1
        return (name, len(xs)), sum(number for _, number in xs)

    def in_order(xs):
        calls[name] += 1
        return (name, *(path for path, _ in xs[:1])), sum(n * (at + 1) for at, (_, n) in enumerate(xs)) % 101

    match place.kind:
        case "spread":
            return routine(written(spread))
        case "burst":
            return routine(written(burst))
        case "loop":
            return routine(events=["output", "again"])(written(loop))
        case "turning":
            return routine(events=["output", "again"])(written(turning))
        case "twins":
            return routine(fires=keyed(0))(written(together))
        case "pair":
            return routine(written(together))
        case "rows":
            return routine(fires=batch(place.number + 1, timeout=2 if place.number % 2 else None))(written(rows))
        case "all":
            return routine(fires=collect())(written(whole))
        case "gather":
            return routine(fires=gather(of=place.options["of"]))(written(in_order))
        case "first":
            return routine(fires=first(place.number + 1, of=place.options["of"]))(written(in_order))
    return routine(written(plain))


def build(places, calls, *, clock=None, written=lambda function: function, **settings):
    """The flow of these places; every failure that leaves by an `error` event is counted by a routine of its own."""
    flow = Flow("random", clock=clock or ManualClock(), **settings)
    for place in places:
        if place.kind in ("twins", "pair"):
            for side in ("left", "right"):
                part = Place(f"{place.name}.{side}", "drop" if side == "left" else "map", "", place.number)
                flow.add_routine(handler_of(part, calls, written), part.name)
        options = {}
        if place.options.get("strategy") is not None:
            options["error_strategy"] = place.options["strategy"]
        if place.options.get("max_concurrency") is not None:
            options["max_concurrency"] = place.options["max_concurrency"]
        if place.options.get("mode") is not None:
            options["execution_mode"] = place.options["mode"]
        flow.add_routine(handler_of(place, calls, written), place.name, **options)
        if place.kind in ("twins", "pair"):
            for side in ("left", "right"):
                flow.connect(place.source, "output", f"{place.name}.{side}", "x")
                flow.connect(f"{place.name}.{side}", "output", place.name, side)
        elif place.source:
            slot = "xs" if place.kind in ("rows", "all", "gather", "first") else "x"
            flow.connect(place.source, "output", place.name, slot)
        if place.kind in ("loop", "turning"):
            flow.connect(place.name, "again", place.name, "x")
        if isinstance(place.options.get("strategy"), Continue):
            flow.add_routine(lambda failure: (failure.message, failure.attempt), f"{place.name}.error")
            flow.connect(place.name, "error", f"{place.name}.error", "failure")
    return flow


def multiset(job):
    return Counter((routine_id, value) for routine_id, values in job.results.items() for value in values)


def scripted(places, number, seed, calls=None, *, workers=4, **settings):
    flow = build(places, Calls() if calls is None else calls, **settings)
    return ScriptedRun(flow, "entry", {"x": ((), number)}, seed=seed, workers=workers)


def check_counts(run, calls, places):
    """Every activation that began has been called and recorded once, and none is left over."""
    job = run.job
    history = [(one["activation_id"], one["routine_id"], one["attempt"], str(one["status"])) for one in job.history]
    last = [(number, attempt) for number, _, attempt, status in history if status != "yielded"]
    assert len(set(last)) == len(last), "an attempt ended twice"
    ended = Counter(number for number, _, _, status in history if status in FINAL)
    assert set(ended.values()) <= {1}, "an activation ended twice"
    attempts = Counter(name for name, _ in {(name, (number, attempt)) for number, name, attempt, _ in history})
    for name, called in calls.items():
        assert attempts[name] <= called, "something was recorded that never ran"
    if job.status == "completed":
        assert set(ended) == set(range(1, run.course.machine.delivery.fired + 1)), "an activation was lost"
        assert attempts - Counter({name: attempts[name] for name in attempts if name not in calls}) == calls
        assert sum(one.executions for one in job.counts.values()) == len(ended)
        check_flow_of_messages(run, history, places)


def check_flow_of_messages(run, history, places):
    """What was emitted on an event is what its targets fired for."""
    names = {number: name for number, name, _, _ in history}
    emitted = Counter(
        (names[fact.activation_id], event)
        for fact in run.facts
        if isinstance(fact, Settled) and fact.error is None
        for event, _ in fact.emissions
    )
    fired = Counter(names.values())
    for place in places[1:]:
        arrived = emitted[place.source, "output"]
        if place.kind in DIRECT:
            assert fired[place.name] == arrived
        elif place.kind in ("loop", "turning"):
            assert fired[place.name] == arrived + emitted[place.name, "again"]
        elif place.kind in ("twins", "pair"):
            assert fired[f"{place.name}.left"] == fired[f"{place.name}.right"] == arrived
            assert fired[place.name] == min(emitted[f"{place.name}.{side}", "output"] for side in ("left", "right"))


@given(shapes(), st.integers(0, 2**32), st.integers(1, 6))
def test_what_settles_first_makes_no_difference_to_the_results(shape, seed, workers):
    places, number = shape
    expected = build(places, Calls()).execute("entry", {"x": ((), number)})
    run = scripted(places, number, seed, workers=workers)
    run.run()
    assert run.job.status == expected.status == "completed"
    assert multiset(run.job) == multiset(expected)
    assert sorted(run.job.stranded) == sorted(expected.stranded)


@given(shapes())
def test_threads_give_what_sequence_gives(shape):
    places, number = shape
    expected = build(places, Calls()).execute("entry", {"x": ((), number)}, error_strategy=Skip())
    fast = [place for place in places if not has_delay(place)]
    if len(fast) == len(places):
        job = build(places, Calls()).execute(
            "entry", {"x": ((), number)}, execution_mode="concurrent", max_workers=3, error_strategy=Skip()
        )
        assert job.status == expected.status
        assert multiset(job) == multiset(expected)


def has_delay(place):
    """Whether it waits for a moment, which a clock that stands still on threads never reaches."""
    return place.kind == "rows" or bool(getattr(place.options.get("strategy"), "delay", 0))


@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([0, 5, None]))
def test_no_activation_is_lost_or_run_twice(shape, seed, workers, kept):
    places, number = shape
    calls = Calls()
    run = scripted(places, number, seed, calls, workers=workers, max_history_size=None)
    run.run()
    assert run.job.status in ("completed", "failed")
    assert run.job.status.terminal
    check_counts(run, calls, places)
    again = scripted(places, number, seed, workers=workers, max_history_size=kept)
    again.run()
    assert len(again.job.history) == min(len(run.job.history), len(run.job.history) if kept is None else kept)
    assert again.job.counts == run.job.counts
    assert len(again.job.errors) <= (again.job.error_count if kept is None else kept)


@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.booleans())
def test_pauses_and_cancels_lose_nothing(shape, seed, workers, cancels):
    places, number = shape
    calls, chance = Calls(), random.Random(seed)
    run = scripted(places, number, seed, calls, workers=workers, max_history_size=None)
    job, machine = run.job, run.course.machine
    cancelled = False
    for _ in range(100_000):
        if machine.done:
            break
        what = chance.random()
        if what < 0.05:
            job.pause()
            assert run.take() is None, "something started in a paused job"
        elif what < 0.1 or not (run.step() or machine.done):
            job.resume()
        elif what < 0.11 and cancels:
            job.cancel("by chance")
            cancelled = cancelled or machine.end is not None
            assert run.take() is None, "something started in a cancelled job"
        if not machine.done and not machine.running and machine.end is None:
            assert job.waiting() or job.status == "paused", "a job that stands still does not say why"
    assert machine.done
    assert job.status.terminal
    assert (job.status == "cancelled") is (cancelled and str(machine.end) == "cancelled")
    check_counts(run, calls, places)
    if job.status == "completed" and not any(place.kind in HASTY for place in places):
        assert multiset(job) == multiset(build(places, Calls()).execute("entry", {"x": ((), number)}))


def told(facts):
    """Facts as values that compare: the exceptions of two runs are two objects."""
    return [one._replace(error=repr(one.error)) if isinstance(one, Settled) else one for one in map(plainly, facts)]


def plainly(fact):
    if not isinstance(fact, Settled):
        return fact
    return fact._replace(emissions=[(event, str(value)) for event, value in fact.emissions])


@given(shapes(hasty=True), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_facts_and_the_same_facts_the_same_records(shape, seed):
    places, number = shape
    runs = [scripted(places, number, seed, max_history_size=None) for _ in range(2)]
    for run in runs:
        run.run()
    assert told(runs[0].facts) == told(runs[1].facts)
    records = [
        (number, routine_id, attempt, status, cause, ended - began)
        for _, number, routine_id, attempt, status, cause, _, began, ended, _, _ in runs[0].replay()
    ]
    assert records == [
        (
            one["activation_id"],
            one["routine_id"],
            one["attempt"],
            str(one["status"]),
            one["cause"],
            round(one["execution_time"] * 1e9),
        )
        for one in runs[0].job.history
    ]


@given(shapes(), st.integers(1, 3))
def test_a_job_in_sequence_is_the_same_every_time(shape, workers):
    places, number = shape
    jobs = [build(places, Calls(), max_history_size=None).execute("entry", {"x": ((), number)}) for _ in range(2)]
    first_one, second = (
        [(one["activation_id"], one["routine_id"], one["attempt"], one["status"], one["cause"]) for one in job.history]
        for job in jobs
    )
    assert first_one == second
    assert {name: list(values) for name, values in jobs[0].results.items()} == dict(jobs[1].results)
