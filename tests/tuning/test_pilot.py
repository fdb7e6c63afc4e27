"""The pilot of auto mode: numbers in, decisions out."""

import pytest

from routilux.insight.term import Term
from routilux.tuning.decision import Fate
from routilux.tuning.load import Load, best, forecast
from routilux.tuning.pilot import MOST_TRIALS, Pilot, Stage

OPEN = float("inf")


def solo(service: float, cpu: float, *, share: float | None = 1.0, others: float = OPEN, count: int = 100) -> Load:
    """So many activations that took so many seconds each, some of them of CPU time."""
    looks = (0.0, 0.0) if share is None else (share * 100, 100 - share * 100)
    return Load(count, service * count, cpu * count, 10, others * 10, *looks)


def jumped(pilot: Pilot, load: Load) -> int:
    pilot.learn(load, 0)
    assert pilot.stage is Stage.JUMPED
    return pilot.workers


def test_waiting_gets_as_many_threads_as_there_may_be() -> None:
    pilot = Pilot(2, 32)
    decision = pilot.learn(solo(0.010, 0.0001), 7)
    assert decision is not None
    assert (decision.before, decision.after, decision.epoch_ns, decision.fate) == (1, 32, 7, Fate.OPEN)
    assert decision.predicted == pytest.approx(3200)


def test_python_that_computes_is_left_where_it_is() -> None:
    pilot = Pilot(2)
    decision = pilot.learn(solo(0.005, 0.005), 0)
    assert decision is not None
    assert (decision.after, decision.term, pilot.stage) == (1, Term.GIL, Stage.REST)


def test_native_code_gets_threads_for_all_cores() -> None:
    pilot = Pilot(2)
    decision = pilot.learn(solo(0.005, 0.005, share=0.0), 0)
    assert decision is not None
    assert (decision.after, decision.term) == (8, Term.CORES)


def test_where_all_hangs_on_the_gil_it_is_asked_about_first() -> None:
    pilot = Pilot(2)
    decision = pilot.learn(solo(0.005, 0.005, share=None), 0)
    assert decision is not None
    assert decision.after == 1
    assert pilot.needs_gil_share
    assert pilot.learn(solo(0.005, 0.005, share=None), 0) is None
    assert pilot.learn(solo(0.005, 0.005, share=0.0), 0) is not None
    assert pilot.workers == 8


def test_of_what_only_waits_nobody_asks_about_the_gil() -> None:
    assert jumped(Pilot(2), solo(0.010, 0.0001, share=None)) > 1


def test_a_chain_gains_nothing_by_threads() -> None:
    pilot = Pilot(2)
    decision = pilot.learn(solo(0.004, 0.001, others=0.0), 0)
    assert decision is not None
    assert (decision.after, decision.term) == (1, Term.CRITICAL_PATH)


def test_what_is_shorter_than_a_hand_over_stays() -> None:
    pilot = Pilot(2)
    pilot.learn(solo(15e-6, 1e-6, count=10_000), 0)
    assert pilot.workers == 1


def test_nothing_is_decided_before_enough_has_run() -> None:
    pilot = Pilot(2)
    assert pilot.learn(solo(0.010, 0.0, count=4), 0) is None
    assert pilot.learn(solo(0.010, 0.0, count=4), 0) is not None


def test_a_jump_that_gives_nothing_is_undone() -> None:
    pilot = Pilot(2)
    workers = jumped(pilot, solo(0.010, 0.0001))
    decision = pilot.measure(100 * workers, workers * 1.0, 0)
    assert decision is not None
    assert (decision.fate, decision.measured, pilot.workers, pilot.stage) == (Fate.UNDONE, 100.0, 1, Stage.REST)


def test_a_jump_that_gives_something_is_kept_and_tried_to_be_bettered() -> None:
    pilot = Pilot(2)
    workers = jumped(pilot, solo(0.010, 0.003))
    kept = pilot.measure(3000, 10.0, 0)
    assert kept is not None
    assert (kept.fate, kept.measured) == (Fate.KEPT, 300.0)
    trial = pilot.measure(3000, 10.0, 1)
    assert trial is not None
    assert trial.before == workers < trial.after == pilot.workers


def test_a_trial_that_gives_nothing_is_undone_and_not_repeated() -> None:
    pilot = Pilot(2)
    workers = jumped(pilot, solo(0.010, 0.003))
    for _ in range(2):
        pilot.measure(3000, 10.0, 0)
    undone = pilot.measure(3030, 10.0, 0)
    assert undone is not None
    assert (undone.fate, pilot.workers, pilot.stage) == (Fate.UNDONE, workers, Stage.REST)
    assert pilot.measure(3000, 10.0, 0) is None


def test_trials_end() -> None:
    pilot = Pilot(2, 1000)
    jumped(pilot, solo(0.010, 0.003))
    rate, trials = 3000, 0
    for _ in range(20):
        decision = pilot.measure(rate, 10.0, 0)
        trials += decision is not None and decision.fate is Fate.OPEN
        rate = round(rate * 1.25)
        if pilot.stage is Stage.REST:
            break
    assert trials == MOST_TRIALS


def test_a_window_that_is_too_short_says_nothing() -> None:
    pilot = Pilot(2)
    jumped(pilot, solo(0.010, 0.003))
    assert pilot.measure(1000, 0.1, 0) is None
    assert pilot.measure(3, 0.3, 0) is None
    assert pilot.stage is Stage.JUMPED


def test_rests_become_longer_while_nothing_changes() -> None:
    pilot = Pilot(2)
    pilot.learn(solo(0.005, 0.005), 0)
    rests = [pilot.rest]
    for _ in range(9):
        pilot.learn(solo(0.005, 0.005), 0)
        rests.append(pilot.rest)
    assert rests == sorted(rests)
    assert rests[-1] == 30.0


def test_of_one_thread_is_foretold_what_was_measured() -> None:
    assert forecast(solo(0.01, 0.002), 1, 2).rate == pytest.approx(100)
    assert forecast(Load(), 4, 2).rate == 0.0
    assert best(Load(), 2, 8).workers == 1


def test_loads_add_up() -> None:
    both = solo(0.01, 0.0, share=0.5, others=2).plus(solo(0.03, 0.02, share=None, others=4))
    assert (both.service, both.cpu_each, both.breadth, both.gil_share) == pytest.approx((0.02, 0.01, 4.0, 0.5))
