"""Random flows on the real drivers of every mode: the results are those of sequential mode.

Handlers are closures, which travel by value. As what they count does not come back from processes, only results and
the counts of the job are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import Retry, Skip
from routilux.clock import SystemClock
from tests.leftovers import ours
from tests.modes.contract import awaited
from tests.properties.test_random_flows import Calls, build, multiset, shapes

# What hangs, hangs again when Hypothesis tries it smaller, and nobody would end that: so its process ends.
pytestmark = pytest.mark.timeout(120, method="thread")

MANY = settings().max_examples
"""As many examples as the profile says, of what costs nothing; of what starts processes, far fewer."""

MODES = ["sequential", "concurrent", "asyncio", "distributed"]


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """Processes that serve all examples."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def hurried(places):
    """The same places with shorter delays, for a clock that is real."""
    for place in places:
        strategy = place.options.get("strategy")
        if isinstance(strategy, Retry) and strategy.delay:
            place.options["strategy"] = replace(strategy, delay=0.001)
    return places


def check(shape, **how):
    """Runs a shape in sequence and as `how` says, and compares."""
    places, number = hurried(shape[0]), shape[1]
    entry_params = {"x": ((), number)}
    plain = [replace(place, options={**place.options, "mode": None}) for place in places]
    expected = build(plain, Calls()).execute("entry", entry_params, error_strategy=Skip())
    job = build(places, Calls(), clock=SystemClock(), error_strategy=Skip(), **how).execute("entry", entry_params)
    assert job.status == expected.status == "completed"
    assert multiset(job) == multiset(expected)
    assert sorted(job.stranded) == sorted(expected.stranded)
    if not any(place.kind == "rows" for place in places):
        assert job.counts == expected.counts
    assert ours() == []


@settings(max_examples=MANY // 4)
@given(shapes(), st.integers(1, 4))
def test_threads(shape, workers):
    check(shape, execution_mode="concurrent", max_workers=workers)


@settings(max_examples=MANY // 4)
@given(shapes(), st.sampled_from([1, 4, None]))
def test_auto(shape, workers):
    check(shape, execution_mode="auto", max_workers=workers)


@settings(max_examples=MANY // 4)
@given(shapes(), st.sampled_from([1, 2, None]))
def test_plain_handlers_in_asyncio_mode(shape, workers):
    check(shape, execution_mode="asyncio", max_workers={"concurrent": workers or 4})


@settings(max_examples=MANY // 4)
@given(shapes(), st.sampled_from([1, 2, None]), st.sampled_from(["asyncio", "asyncio", "concurrent", "sequential"]))
def test_coroutines(shape, workers, mode):
    check(shape, execution_mode=mode, max_workers={"asyncio": workers or 100}, written=awaited)


@settings(max_examples=MANY // 8)
@given(shapes())
def test_an_executor_of_processes(executor, shape):
    check(shape, execution_mode="distributed", executor=executor)


@settings(max_examples=MANY // 8)
@given(shapes(), st.sampled_from(MODES), st.data())
def test_every_routine_in_a_mode_of_its_own(executor, shape, home, data):
    for place in shape[0]:
        place.options["mode"] = data.draw(st.sampled_from([None, *MODES]), label=place.name)
    check(shape, execution_mode=home, executor=executor)


@settings(max_examples=max(1, MANY // 50))
@given(shapes(), st.integers(1, 2), st.sampled_from(["multiprocessing", "concurrent"]), st.data())
def test_worker_processes(shape, workers, home, data):
    if home != "multiprocessing":
        for place in shape[0]:
            place.options["mode"] = data.draw(st.sampled_from([None, "multiprocessing"]), label=place.name)
    check(shape, execution_mode=home, max_workers={"multiprocessing": workers})
