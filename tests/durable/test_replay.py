"""A job whose facts went through records stands where the first one stood."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routilux.facts import Taken
from routilux.machine.replay import replay
from tests.properties.standing import assert_stands_as
from tests.properties.test_random_flows import scripted, shapes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes(hasty=True), st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 120))
def test_a_job_is_restored_from_its_records(records, shape, seed, workers, steps):
    places, number = shape
    run = scripted(places, number, seed, workers=workers)
    for _ in range(steps):
        run.step()
    machine, kept = run.course.machine, records()
    written = [kept.write(fact) for fact in run.facts if not isinstance(fact, Taken)]

    restored = scripted(places, number, seed + 1, workers=workers).course.machine
    replay(restored, [kept.read(*one).fact for one in written[1:]])
    assert_stands_as(restored, machine)
