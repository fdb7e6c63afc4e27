"""Whether something grows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.loadtest.growth import growth_of, growths_of, theil_sen


@given(slope=st.integers(-1000, 1000), level=st.integers(-1000, 1000), count=st.integers(2, 30))
def test_the_slope_of_a_line_is_its_slope(slope, level, count):
    assert theil_sen(range(count), [level + slope * moment for moment in range(count)]) == slope


def test_a_few_outliers_do_not_bend_the_slope():
    values = [10.0 + moment for moment in range(30)]
    values[5], values[20] = 1e6, -1e6
    assert theil_sen(range(30), values) == pytest.approx(1, abs=0.1)


def readings(slope, noise, seed=1, count=50):
    source = random.Random(seed)
    return [1000 + slope * moment + source.gauss(0, noise) for moment in range(count)]


def test_what_climbs_steadily_grows():
    growth = growth_of(range(50), readings(2, 5), random.Random(1))
    assert growth.growing
    assert growth.low < 2 < growth.high
    assert growth.slope == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("seed", range(10))
def test_noise_does_not_grow(seed):
    assert not growth_of(range(50), readings(0, 20, seed), random.Random(seed)).growing


def test_what_grows_by_less_than_a_fiftieth_does_not_grow():
    growth = growth_of(range(50), readings(0.3, 0.01), random.Random(1))
    assert growth.low > 0
    assert not growth.growing


def test_what_fills_up_at_first_and_then_rests_does_not_grow():
    values = [min(moment, 9) * 100.0 for moment in range(50)]
    assert not growth_of(range(50), values, random.Random(1)).growing


@pytest.mark.parametrize("count", [0, 1, 8])
def test_a_few_readings_say_nothing(count):
    growth = growth_of(range(count), [float(moment) for moment in range(count)], random.Random(1))
    assert (growth.known, growth.growing) == (False, False)


def test_only_what_every_reading_has_is_looked_at():
    taken = [{"rss": 1.0, "files": 3.0}, {"rss": 1.0}]
    assert list(growths_of([0, 1], taken, random.Random(1))) == ["rss"]
    assert growths_of([], [], random.Random(1)) == {}
