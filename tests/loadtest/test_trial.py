"""Whole load tests of systems on paper, whose answers are known."""

from __future__ import annotations

import io
import json

import pytest

from routilux.errors import LoadTestError
from routilux.loadtest.capacity import Cause
from routilux.loadtest.options import options_of
from routilux.loadtest.result import Exit, Judgement
from routilux.loadtest.search import Phase
from routilux.loadtest.trial import Trial, least_seconds
from tests.loadtest.paper import Pool


def outcome_of(pool=None, **options):
    return Trial(pool or Pool(), options_of(**options)).run()


def printed(result):
    text = io.StringIO()
    result.report(text)
    return text.getvalue()


@pytest.mark.parametrize("arrivals", ["poisson", "constant", "burst:5"])
@pytest.mark.parametrize(("workers", "service"), [(4, 0.01), (1, 0.01), (2, 0.5), (16, 0.002)])
def test_the_knee_of_a_pool_is_found_within_a_tenth_and_the_workers_named(workers, service, arrivals):
    result = outcome_of(Pool(workers, service), arrivals=arrivals)
    assert result.knee.rate == pytest.approx(workers / service, rel=0.1)
    assert result.ceilings[0].rate == pytest.approx(workers / service, rel=0.01)
    assert result.reason.cause is Cause.WORKERS
    assert result.steps[-1].phase is Phase.HOLD
    assert result.steps[-1].asked == pytest.approx(0.8 * result.knee.rate)
    assert result.exit_code is Exit.GOOD


def test_every_step_has_two_hundred_jobs_and_three_seconds():
    pool = Pool(2, 0.5)
    outcome_of(pool)
    assert all(jobs >= 199 and seconds >= 3 for jobs, seconds in pool.asked)


def test_the_same_seed_repeats_a_test_exactly():
    assert outcome_of(seed=3).as_dict() == outcome_of(seed=3).as_dict() != outcome_of(seed=4).as_dict()


def test_an_objective_without_a_rate_moves_the_knee_to_where_it_is_missed():
    result = outcome_of(Pool(1, 0.01), slo="p99=30ms")
    assert result.knee.rate < 90
    assert result.reason.cause is Cause.OBJECTIVE
    assert list(result.judgements.values()) == [Judgement.MET]


@pytest.mark.parametrize(
    ("slo", "judgement", "code"),
    [
        ("p99=50ms@100/s", Judgement.MET, Exit.GOOD),
        ("p99=5ms@100/s", Judgement.MISSED, Exit.MISSED),
        ("max=10s@500/s", Judgement.MISSED, Exit.MISSED),
        ("p99.9=50ms@100/s", Judgement.MET, Exit.GOOD),
    ],
)
def test_an_objective_is_tried_at_its_rate(slo, judgement, code):
    result = outcome_of(slo=slo)
    assert (list(result.judgements.values()), result.exit_code) == ([judgement], code)
    assert [step.phase for step in result.steps] == [Phase.FIXED]
    assert f"SLO {slo}: {judgement}." in printed(result)


def test_an_objective_that_nothing_meets_is_missed():
    result = outcome_of(slo="p99=1ms", max_rate=100)
    assert (result.knee.sustained, result.exit_code) == (None, Exit.MISSED)
    assert "No rate was sustained" in printed(result)


def test_a_rate_that_is_asked_for_and_not_sustained_has_a_reason():
    result = outcome_of(rate=500)
    assert (result.exit_code, result.reason.cause) == (Exit.MISSED, Cause.WORKERS)
    assert outcome_of(rate=300).exit_code is Exit.GOOD


def test_no_knee_is_found_below_the_highest_rate():
    result = outcome_of(max_rate=300)
    assert (result.knee.sustained, result.knee.broken, result.reason) == (300, None, None)
    assert "no knee was found" in printed(result)


def test_users_who_wait_have_the_capacity_and_no_more():
    result = outcome_of(users=10)
    (step,) = result.steps
    assert step.throughput == pytest.approx(400, rel=0.01)
    assert step.latency.mean == pytest.approx(0.025, rel=0.01)
    assert result.exit_code is Exit.GOOD
    assert "10 users who wait" in printed(result)
    assert outcome_of(users=1, think="10ms").steps[0].throughput == pytest.approx(50, rel=0.01)


def test_only_an_open_loop_sees_what_a_standstill_costs():
    stalls = [(start, start + 0.2) for start in (1, 3, 5, 7)]
    (closed,) = outcome_of(Pool(4, 0.008, stalls=stalls), users=4).steps
    (open_loop,) = outcome_of(Pool(4, 0.008, stalls=stalls), rate=300).steps
    assert closed.latency.p99 == pytest.approx(0.008)
    assert closed.latency.longest == pytest.approx(0.208)
    assert open_loop.latency.p99 > 10 * closed.latency.p99


def test_what_others_use_makes_a_test_inconclusive():
    result = outcome_of(Pool(foreign=0.6))
    assert result.exit_code is Exit.UNSURE
    assert "Other processes used 0.60 cores meanwhile: cannot conclude" in printed(result)


def test_jobs_that_are_started_late_make_a_test_invalid():
    result = outcome_of(Pool(late=0.006))
    assert result.exit_code is Exit.UNSURE
    assert "6.0 ms late" in printed(result)


def test_what_is_met_in_spite_of_others_is_met_and_what_is_missed_is_unsure():
    assert outcome_of(Pool(foreign=0.6), slo="p99=50ms@100/s").exit_code is Exit.GOOD
    assert outcome_of(Pool(foreign=0.6), slo="p99=5ms@100/s").exit_code is Exit.UNSURE


def test_jobs_that_fail_without_any_load_end_the_test():
    with pytest.raises(LoadTestError, match="the first says: ValueError: no"):
        outcome_of(Pool(broken=True))


def test_a_soak_of_a_system_that_leaks_says_what_grows():
    result = outcome_of(Pool(leak=1000.0), soak="10m")
    assert result.soak.growing == ("rss",)
    assert result.exit_code is Exit.MISSED
    assert len(result.soak.windows) == 50
    assert "What the process holds is growing: memory." in printed(result)


def test_a_soak_of_a_system_that_does_not_leak_is_flat():
    result = outcome_of(soak="10m", rate=100)
    assert (result.soak.growing, result.exit_code) == ((), Exit.GOOD)
    assert sum(window.offered for window in result.soak.windows) == pytest.approx(60_000, rel=0.01)
    assert "flat" in printed(result)


def test_users_can_be_soaked_too():
    assert outcome_of(soak=5, users=2).soak.windows[0].users == 2


def test_all_that_is_told_to_machines_is_plain():
    result = outcome_of(slo="p99=50ms", soak=60)
    assert json.loads(result.to_json()) == result.as_dict()
    assert result.as_dict()["exit_code"] == 0


def test_each_step_is_told_when_it_is_over():
    told = []
    Trial(Pool(), options_of(rate=100), told.append).run()
    assert [step.phase for step in told] == [Phase.WARM_UP] * 3 + [Phase.FIXED]


def test_the_table_of_percentiles_is_of_the_last_rate_that_was_held():
    result = outcome_of(rate=100)
    assert f"Total count    = {result.steps[-1].offered:12d}" in result.percentile_table()


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ({"rate": 100}, 9),
        ({"rate": 10}, 60),
        ({"slo": "p99.9=1s@100/s"}, 100.01),
        ({"slo": ["p50=1s@100/s", "p50=1s@50/s"]}, 9 + 12),
        ({"users": 3, "step_seconds": "1s", "soak": "1m"}, 63),
        ({"soak": "1m"}, None),
    ],
)
def test_how_long_it_takes_at_least_is_known_before(asked, least):
    assert least_seconds(options_of(**asked)) == (None if least is None else pytest.approx(least))
