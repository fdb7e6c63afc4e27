"""The pilot of auto mode: numbers in, decisions out."""

import pytest

from routilux.insight.term import Term
from routilux.tuning.decision import Fate
from routilux.tuning.load import Load, best, forecast
from routilux.tuning.pilot import MOST_TRIALS, PROCESSES, Pilot, Stage
from routilux.tuning.sending import Sending

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


# --- processes


def away(pilot: Pilot, load: Load) -> int:
    """Learns of a load, is told that it can be sent, and gives how many workers there are then."""
    pilot.learn(load, 0)
    assert pilot.needs_proof
    pilot.prove(Sending(), 0)
    pilot.learn(Load(), 0)
    return pilot.workers


def test_python_that_computes_goes_to_processes_where_that_is_allowed_and_proven() -> None:
    pilot = Pilot(4, 64, 4)
    decision = pilot.learn(solo(0.005, 0.005), 0)
    assert decision is not None
    assert (decision.after, pilot.needs_proof) == (1, True)
    assert pilot.prove(Sending(None, 1e-6), 0) is None
    jump = pilot.learn(Load(), 0)
    assert jump is not None
    assert (jump.after, jump.mode, jump.fate) == (4, PROCESSES, Fate.OPEN)
    assert jump.predicted == pytest.approx(800, rel=0.05)


def test_handlers_that_also_wait_get_more_processes_than_there_are_cores() -> None:
    pilot = Pilot(2, 64, 4)
    assert away(pilot, solo(0.004, 0.002)) == 4
    assert pilot.kind is PROCESSES
    pilot = Pilot(2, 64, 4)
    assert away(pilot, solo(0.004, 0.004)) == 2


def test_what_cannot_be_sent_stays_and_is_not_asked_about_again() -> None:
    pilot = Pilot(4, 64, 4)
    pilot.learn(solo(0.005, 0.005), 0)
    told = pilot.prove(Sending("'step' cannot be sent: it has a lock"), 0)
    assert told is not None
    assert (told.after, told.reason) == (1, "'step' cannot be sent: it has a lock")
    for _ in range(3):
        pilot.learn(solo(0.005, 0.005), 0)
        assert (pilot.workers, pilot.needs_proof) == (1, False)


def test_what_can_wait_side_by_side_goes_to_threads_though_processes_are_allowed() -> None:
    pilot = Pilot(4, 64, 4)
    jumped(pilot, solo(0.010, 0.0001))
    assert pilot.kind is not PROCESSES


@pytest.mark.parametrize(
    ("load", "sending"),
    [
        (solo(20e-6, 20e-6, count=4000), Sending()),
        (solo(0.005, 0.005), Sending(None, 0.020)),
        (solo(0.005, 0.005, others=0.0), Sending()),
    ],
    ids=["too short", "too much to send", "a chain"],
)
def test_what_would_not_pay_stays(load: Load, sending: Sending) -> None:
    pilot = Pilot(4, 64, 4)
    pilot.learn(load, 0)
    pilot.prove(sending, 0)
    pilot.learn(Load(), 0)
    assert pilot.workers == 1


def test_what_a_source_gives_keeps_a_thread_of_the_caller_busy_wherever_it_goes() -> None:
    for others, pays in ((20.0, True), (OPEN, False)):
        pilot = Pilot(2, 64, 4)
        pilot.learn(solo(60e-6, 60e-6, others=others, count=4000), 0)
        assert pilot.needs_proof == pays


def test_processes_are_measured_for_long_and_undone_if_they_give_nothing() -> None:
    pilot = Pilot(4, 64, 4)
    assert away(pilot, solo(0.005, 0.005)) == 4
    assert pilot.measure(300, 1.0, 0) is None
    undone = pilot.measure(402, 2.0, 0)
    assert undone is not None
    assert (undone.fate, undone.mode, pilot.workers, pilot.stage) == (Fate.UNDONE, PROCESSES, 1, Stage.REST)
    again = pilot.learn(solo(0.005, 0.005), 0)
    assert again is not None
    assert (again.after, again.reason) == (1, "processes did not help before")


def test_processes_that_help_are_kept_until_they_do_no_more() -> None:
    pilot = Pilot(4, 64, 4)
    away(pilot, solo(0.005, 0.005))
    kept = pilot.measure(1500, 2.0, 0)
    assert kept is not None
    assert (kept.fate, pilot.workers) == (Fate.KEPT, 4)
    while pilot.stage is not Stage.REST:
        pilot.measure(1500, 2.0, 0)
    left = pilot.measure(100, 2.0, 0)
    assert left is not None
    assert (left.after, pilot.workers, left.mode) == (1, 1, PROCESSES)


def test_what_turns_out_to_be_unsendable_ends_what_was_in_processes() -> None:
    pilot = Pilot(4, 64, 4)
    away(pilot, solo(0.005, 0.005))
    told = pilot.prove(Sending("'step' emits a lock"), 0)
    assert told is not None
    assert (told.before, told.after, pilot.workers) == (4, 1, 1)


def test_threads_that_have_come_to_give_less_than_one_are_left() -> None:
    pilot = Pilot(2)
    jumped(pilot, solo(0.010, 0.003))
    while pilot.stage is not Stage.REST:
        pilot.measure(3000, 10.0, 0)
    left = pilot.measure(90 * 10, 10.0, 0)
    assert left is not None
    assert (left.after, pilot.workers) == (1, 1)
