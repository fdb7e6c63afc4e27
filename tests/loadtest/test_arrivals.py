"""When jobs are to start."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.errors import SettingError
from routilux.loadtest.arrivals import Burst, Constant, Poisson, arrivals_named, replayed

PATTERNS = [Poisson(), Constant(), Burst(7), replayed([10, 11, 11.5, 14])]


@given(
    pattern=st.sampled_from(PATTERNS),
    rate=st.floats(0.5, 500),
    seconds=st.floats(0.1, 20),
    seed=st.integers(),
)
def test_arrivals_are_in_order_within_the_step_and_as_many_as_the_rate_asks(pattern, rate, seconds, seed):
    moments = pattern.moments(rate, seconds, random.Random(seed))
    assert moments == sorted(moments)
    assert all(0 <= moment < seconds for moment in moments)
    assert abs(len(moments) - rate * seconds) <= 8


def test_the_same_seed_gives_the_same_arrivals():
    first, again, other = (Poisson().moments(50, 10, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_gaps_between_independent_callers_are_as_long_as_their_mean_varies():
    moments = Poisson().moments(1000, 100, random.Random(3))
    gaps = [after - before for before, after in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)


def test_constant_arrivals_are_as_far_apart_as_the_rate_says():
    assert Constant().moments(4, 1, random.Random()) == [0, 0.25, 0.5, 0.75]


def test_a_burst_comes_at_once():
    assert Burst(2).moments(4, 1, random.Random()) == [0, 0, 0.5, 0.5]


def test_recorded_arrivals_keep_their_shape_at_another_rate():
    moments = replayed([5, 6, 6, 8]).moments(2, 4, random.Random())
    assert moments == pytest.approx([0, 0.5, 0.5, 1.5, 2, 2.5, 2.5, 3.5])


@pytest.mark.parametrize("pattern", ["poisson", "constant", "burst:12"])
def test_patterns_are_known_by_name(pattern):
    assert str(arrivals_named(pattern)) == pattern


@pytest.mark.parametrize("wrong", ["poison", "burst", "burst:0", "burst:x", "constant:3", ""])
def test_a_pattern_that_means_nothing_is_refused(wrong):
    with pytest.raises(SettingError, match="arrivals must be"):
        arrivals_named(wrong)


@pytest.mark.parametrize("wrong", [[], [1], [2, 2], [1, float("nan")]])
def test_recorded_arrivals_need_two_moments_that_differ(wrong):
    with pytest.raises(SettingError, match="two moments"):
        replayed(wrong)
