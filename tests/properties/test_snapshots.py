"""A machine that was made of a snapshot, and was then told what followed, goes on as the first one would have."""

import random

from hypothesis import given
from hypothesis import strategies as st

from routilux.facts import Taken
from routilux.machine.replay import Replay, replay
from routilux.machine.snapshot import is_simple, take
from tests.properties.standing import Unbegun, assert_stands_as, moments
from tests.properties.test_random_flows import HASTY, Calls, build, multiset, scripted, shapes


@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 60), st.integers(0, 80))
def test_a_job_goes_on_from_a_snapshot_and_what_followed(shape, seed, workers, before, after):
    places, number = shape
    run, chance = scripted(places, number, seed, workers=workers), random.Random(seed)
    snapshot, seen = None, 0
    for step in range(before + after):
        if chance.random() < 0.1:
            run.job.pause()
        elif not run.step():
            run.job.resume()
        if step < before and is_simple(run.course.machine):
            snapshot, seen = take(run.course.machine), len(run.facts)
    machine = run.course.machine
    facts = [fact for fact in run.facts if not isinstance(fact, Taken)]
    whole = scripted(places, number, seed + 1, workers=workers)
    replay(whole.course.machine, facts[1:])

    again = Unbegun(build(places, Calls()), "entry", {"x": ((), number)}, seed=seed + 1, workers=workers)
    replaying = Replay(again.course.machine)
    if snapshot is not None:
        replaying.resume(snapshot, 0)
        facts = [fact for fact in run.facts[seen:] if not isinstance(fact, Taken)]
    for fact in facts:
        replaying.tell(fact)
    replaying.end()

    restored = again.course.machine
    assert_stands_as(restored, machine)
    if machine.end is None:
        assert moments(restored) == moments(whole.course.machine)

    for one in (again, whole):
        one._ticks = run._ticks
        one.job.resume()
        one.run()
    assert again.job.status.terminal
    assert again.job.status == whole.job.status or any(place.kind in HASTY for place in places)
    if machine.end is None and not any(place.kind in HASTY for place in places):
        assert multiset(again.job) == multiset(build(places, Calls()).execute("entry", {"x": ((), number)}))
