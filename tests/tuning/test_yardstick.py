"""What has been done is weighed by what it took alone."""

import pytest

from routilux.tuning.load import Load
from routilux.tuning.tuning import PilotedTuning
from routilux.tuning.yardstick import REMEMBERED, Runs, Yardstick

WAITING = Load(100, 1.0, 0.01, 10, float("inf"), 100.0)


def test_activations_of_different_routines_are_worth_what_each_took_alone() -> None:
    yardstick = Yardstick()
    yardstick.learn({"short": Runs(100, 0.1), "long": Runs(2, 0.9)}, 1.0)
    assert yardstick.work({"short": Runs(1000, 77.0)}, 8) == pytest.approx(1.0)
    assert yardstick.work({"long": Runs(4, 0.0), "short": Runs(200, 0.0)}, 8) == pytest.approx(2.0)


def test_what_the_engine_takes_is_part_of_what_each_is_worth() -> None:
    yardstick = Yardstick()
    yardstick.learn({"a": Runs(60, 0.0), "b": Runs(40, 0.5)}, 1.0)
    assert yardstick.work({"a": Runs(60, 0.0), "b": Runs(40, 0.0)}, 2) == pytest.approx(1.0)


def test_what_never_ran_alone_is_worth_the_least_that_it_can_be() -> None:
    assert Yardstick().work({"new": Runs(10, 4.0)}, 4) == pytest.approx(1.0)


def test_what_changes_is_followed() -> None:
    yardstick = Yardstick()
    yardstick.learn({"a": Runs(100 * REMEMBERED, 100.0 * REMEMBERED)}, 0.0)
    for _ in range(5):
        yardstick.learn({"a": Runs(REMEMBERED, 2.0 * REMEMBERED)}, 0.0)
    assert yardstick.work({"a": Runs(1, 0.0)}, 1) == pytest.approx(2.0, rel=0.05)


def test_a_job_whose_later_activations_are_longer_is_not_taken_to_be_slower_for_it() -> None:
    tuning = PilotedTuning(2)
    workers = tuning.learn(WAITING, {"short": Runs(98, 0.5), "long": Runs(2, 0.5)})
    assert workers > 1
    tuning.measure({"long": Runs(workers * 8, 0.0)}, 2.0)  # fewer than before, and each of them a quarter of a second
    assert tuning.workers == workers
    assert tuning.decisions[0].fate == "kept"


def test_a_job_whose_later_activations_are_shorter_is_not_taken_to_be_faster_for_it() -> None:
    tuning = PilotedTuning(2)
    workers = tuning.learn(WAITING, {"short": Runs(98, 0.01), "long": Runs(2, 0.99)})
    tuning.measure({"short": Runs(10_000, 1.0)}, 2.0)
    assert workers > 1
    assert tuning.workers == 1
    assert tuning.decisions[0].fate == "undone"
