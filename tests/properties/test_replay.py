"""A machine to which the facts of a job happened again goes on as the first one would have."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from routilux.facts import Settled, Taken
from routilux.machine.replay import replay
from routilux.page import Page, Pages
from tests.properties.standing import assert_stands_as, ready_in
from tests.properties.test_random_flows import HASTY, Calls, build, multiset, scripted, shapes


@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 120), st.booleans())
def test_a_job_that_broke_off_goes_on_where_it_was(shape, seed, workers, steps, pauses):
    places, number = shape
    run, chance = scripted(places, number, seed, workers=workers), random.Random(seed)
    for _ in range(steps):
        if pauses and chance.random() < 0.1:
            run.job.pause()
        elif not run.step():
            run.job.resume()
    machine = run.course.machine

    again = scripted(places, number, seed + 1, workers=workers)
    replay(again.course.machine, [fact for fact in run.facts[1:] if not isinstance(fact, Taken)])
    restored = again.course.machine
    assert_stands_as(restored, machine)

    again._ticks = run._ticks
    again.job.resume()
    again.run()
    assert again.job.status.terminal
    if machine.end is None and not any(place.kind in HASTY for place in places):
        assert multiset(again.job) == multiset(build(places, Calls()).execute("entry", {"x": ((), number)}))


class Written(Page):
    """A page that is held in memory."""

    def __init__(self, event, values):
        super().__init__(event, len(values))
        self._values = values

    def open(self):
        return self._values


def by_page(fact, most):
    """The same fact, with at most so many emissions on a page."""
    if not isinstance(fact, Settled):
        return fact
    pages = []
    for event, value in fact.emissions:
        last = pages[-1] if pages else ("", [])
        if last[0] == event and len(last[1]) < most:
            last[1].append(value)
        else:
            pages.append((event, [value]))
    return fact._replace(emissions=Pages([Written(*page) for page in pages]))


@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 120), st.integers(1, 4))
def test_pages_of_emissions_change_nothing_but_the_time_it_takes(shape, seed, workers, steps, most):
    places, number = shape
    run = scripted(places, number, seed, workers=workers)
    for _ in range(steps):
        run.step()
    facts = [fact for fact in run.facts[1:] if not isinstance(fact, Taken)]

    one, other = (
        scripted(places, number, seed + 1, workers=workers),
        scripted(places, number, seed + 1, workers=workers),
    )
    replay(one.course.machine, [by_page(fact, most) for fact in facts])
    replay(other.course.machine, facts)
    assert outline(one.course.machine) == outline(other.course.machine)
    assert one.course.machine.admission.pending == other.course.machine.admission.pending
    assert Counter(map(str, one.job.waiting())) == Counter(map(str, other.job.waiting()))

    for again in (one, other):
        again._ticks = run._ticks
        again.run()
    assert one.job.status == other.job.status
    assert one.job.results == other.job.results
    assert [record[1:6] for record in one.course.machine.ledger.records] == [
        record[1:6] for record in other.course.machine.ledger.records
    ]


def outline(machine):
    """What is ready, in order."""
    return [(one[0], one[1].routine_id, one[2], one[3], one[4], one[5]) for one in ready_in(machine)]
