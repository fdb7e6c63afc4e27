"""Percentiles, objectives and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.errors import SettingError
from routilux.loadtest.latencies import Spread, percentile_table, quantile, spread_of
from routilux.loadtest.objective import objectives_named
from routilux.loadtest.options import options_of
from routilux.loadtest.quantities import seconds_named


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.001, 1))
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(values, share):
    found = quantile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values) + 1e-6


def test_percentiles_of_a_thousand_different_latencies():
    spread = spread_of([number / 1000 for number in range(1000, 0, -1)])
    assert (spread.count, spread.p50, spread.p90, spread.p99) == (1000, 0.5, 0.9, 0.99)
    assert (spread.longest, spread.mean) == (1.0, pytest.approx(0.5005))


def test_one_in_a_thousand_is_told_of_ten_thousand_only():
    assert spread_of([1.0] * 9_999).p999 is None
    assert spread_of([1.0] * 10_000).p999 == 1.0


def test_without_a_job_there_is_no_percentile():
    assert spread_of([]) == Spread()
    assert "Total" in percentile_table([])


def test_the_table_of_percentiles_ends_with_all_jobs():
    lines = percentile_table([0.001 * number for number in range(1, 101)]).splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    table = [line.split() for line in lines if line and not line.startswith(("#", " " * 7 + "Value"))]
    counts = [int(cells[2]) for cells in table]
    assert counts == sorted(counts)
    assert table[-1][:2] == ["100.000000", "1.000000000000"]
    assert ["50.000000", "0.500000000000", "50", "2.00"] in table


@pytest.mark.parametrize(
    ("written", "metric", "seconds", "rate"),
    [
        ("p99=50ms", "p99", 0.05, None),
        ("p99=50ms@100/s", "p99", 0.05, 100),
        ("p99.9 < 2s @ 90/min", "p99.9", 2, 1.5),
        ("max=1.5s", "max", 1.5, None),
        ("mean<=250us@1/s", "mean", 0.00025, 1),
    ],
)
def test_objectives_are_read_as_they_are_written(written, metric, seconds, rate):
    (found,) = objectives_named(written)
    assert (found.metric, found.seconds, found.rate) == (metric, pytest.approx(seconds), rate)
    assert str(found) == written


def test_several_objectives_are_separated_by_commas():
    assert [one.metric for one in objectives_named(["p50=1ms,p99=2ms", "max=1s"])] == ["p50", "p99", "max"]


@pytest.mark.parametrize("wrong", ["p99", "p98=5ms", "p99=5 parsecs", "p99=50ms@often", "p99=50ms@", "=5ms"])
def test_an_objective_that_means_nothing_is_refused(wrong):
    with pytest.raises(SettingError, match="slo|written like"):
        objectives_named(wrong)


@pytest.mark.parametrize(("written", "seconds"), [("30m", 1800), ("50ms", 0.05), ("2 s", 2), (3, 3), ("1.5h", 5400)])
def test_durations_are_read_as_they_are_written(written, seconds):
    assert seconds_named("soak", written) == pytest.approx(seconds)


@pytest.mark.parametrize("wrong", ["soon", "-1s", -1, True, None, float("inf"), float("nan"), "5 x"])
def test_a_duration_that_means_nothing_is_refused(wrong):
    wanted = "a number with its unit" if isinstance(wrong, str) else "seconds, or a text"
    with pytest.raises(SettingError, match=f'soak must be {wanted}, as "50ms", "2s", "30m" or "7d", not'):
        seconds_named("soak", wrong)


@pytest.mark.parametrize("text", ["7", "0", "1.5"])
def test_a_duration_as_text_has_a_unit(text):
    with pytest.raises(SettingError, match=f"soak must be a number with its unit, .* not '{text}'"):
        seconds_named("soak", text)
    with pytest.raises(SettingError, match=f"slo 'p99={text}': the duration must be a number with its unit"):
        objectives_named(f"p99={text}")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"users": 0}, "users"),
        ({"users": True}, "users"),
        ({"users": 2, "rate": 5}, "leave out one"),
        ({"users": 2, "slo": "p99=1s@5/s"}, "leave out one"),
        ({"think": "1s"}, "how many users"),
        ({"rate": 0}, "rate must be more than 0"),
        ({"max_rate": -1}, "max_rate must be more than 0"),
        ({"soak": 0}, "soak must be more than 0"),
        ({"step_seconds": 0}, "step_seconds must be more than 0"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_options_that_mean_nothing_are_refused(wrong, message):
    with pytest.raises(SettingError, match=message):
        options_of(**wrong)


def test_the_rates_to_try_are_those_of_the_objectives_and_the_one_asked_for():
    assert options_of(rate=5, slo="p99=1s@9/s,p50=1s@2/s,max=3s").rates == (2, 5, 9)
    assert options_of().rates == ()
