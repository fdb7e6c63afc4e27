"""The search for the knee."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from routilux.loadtest.search import BISECTIONS, FACTOR, MOST_STEPS, KneeSearch, Phase


def searched(search, knee):
    """Tells the search of a system that sustains exactly what is not above the knee; gives what was asked."""
    asked = []
    while (ask := search.ask) is not None:
        asked.append(ask)
        search.tell(ask.rate <= knee)
    return asked


@given(start=st.floats(0.1, 1000), knee=st.floats(0.1, 1000))
def test_the_knee_lies_between_what_is_sustained_and_what_is_not(start, knee):
    assume(1e-3 < knee / start < 1e3)
    search = KneeSearch(start)
    searched(search, knee)
    assert search.sustained <= knee < search.broken
    assert search.broken / search.sustained <= FACTOR ** (1 / 2**BISECTIONS) * 1.0001


def test_the_climb_is_by_half_and_then_the_gap_is_halved_twice():
    asked = searched(KneeSearch(100), 400)
    assert [round(ask.rate) for ask in asked] == [100, 150, 225, 338, 506, 413, 374]
    assert [ask.phase for ask in asked] == [Phase.CLIMB] * 5 + [Phase.BISECT] * 2


def test_a_start_above_the_knee_leads_down():
    search = KneeSearch(1000)
    asked = searched(search, 400)
    assert [round(ask.rate) for ask in asked][:4] == [1000, 667, 444, 296]
    assert search.sustained <= 400 < search.broken


def test_what_nearly_went_well_is_tried_once_more():
    search = KneeSearch(100)
    search.tell(False, nearly=True)
    assert (search.ask.rate, search.broken) == (100, None)
    search.tell(False, nearly=True)
    assert (search.ask.rate < 100, search.broken) == (True, 100)
    search = KneeSearch(100)
    search.tell(False, nearly=True)
    search.tell(True)
    assert (search.sustained, search.broken) == (100, None)


def test_nothing_above_the_highest_rate_is_tried():
    search = KneeSearch(100, 200)
    assert [ask.rate for ask in searched(search, 1e9)] == [100, 150, 200]
    assert (search.sustained, search.broken) == (200, None)


def test_a_system_without_a_knee_ends_the_search():
    assert len(searched(KneeSearch(1), float("inf"))) == MOST_STEPS
    assert len(searched(KneeSearch(1), 0)) == MOST_STEPS
