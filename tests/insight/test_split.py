"""What time goes into, and of what kind a routine is."""

from __future__ import annotations

import pytest

from routilux.insight.split import gil_share_in_time, shapes_of, splits_of
from routilux.insight.trace import Observed, ThreadState
from routilux.insight.verdict import Kind, verdicts_of
from tests.insight.tales import Tale, fan

PYTHON, NATIVE, GIL, LOCK = ThreadState.PYTHON, ThreadState.NATIVE, ThreadState.GIL, ThreadState.LOCK
MISSED = ThreadState.MISSED
NET, FILE, SLEEP, CHILD = ThreadState.NET, ThreadState.FILE, ThreadState.SLEEP, ThreadState.CHILD


def many(count=30, *, cpu=0.0, wait=0.0, workers=1, gil=True, **observed):
    """A routine with so many equal attempts."""
    tale = Tale().sees("it", **observed)
    for number in range(1, count + 1):
        tale.tell(number, "it", fired=0, cpu=cpu, wait=wait)
    return tale.trace(workers=workers, gil=gil)


def queueing(*, cpu, lucky):
    """Handlers that queue for the GIL, so that looks come late; of ten, two find it free and only wait for so long."""
    tale = Tale().sees("it", states={PYTHON: 30, GIL: 20, MISSED: 90})
    for number in range(1, 41):
        tale.tell(number, "it", fired=0, cpu=cpu, wait=lucky if number % 5 == 0 else lucky + 40)
    return tale.trace(workers=8)


def test_alone_all_that_is_no_cpu_time_is_waiting():
    (split, *_) = splits_of(many(cpu=2, wait=3, gil_share=0.25))
    assert split == pytest.approx((0.0005, 0.0015, 0.003, 0.0))
    assert split.cpu == pytest.approx(0.002)
    assert split.service == pytest.approx(0.005)


def test_what_is_shorter_than_the_taking_of_time_is_no_waiting():
    (split, *_) = splits_of(many(cpu=2, wait=0.01))
    assert split == pytest.approx((0.00201, 0, 0, 0))


@pytest.mark.parametrize(("few", "pause", "wait"), [(1, 25, 0.0), (2, 25, 0.025), (1, 200, 0.2)])
def test_what_few_attempts_waited_for_a_little_was_not_theirs(few, pause, wait):
    tale = Tale()
    for number in range(1, 40):
        tale.tell(number, "it", fired=0, cpu=1, wait=pause if number <= few else 0.01)
    first, *_, last = splits_of(tale.trace())
    assert first.wait == pytest.approx(wait)
    assert last == pytest.approx((0.00101, 0, 0, 0))


def test_a_routine_never_seen_to_wait_was_only_put_off_by_other_processes():
    (split, *_) = splits_of(many(cpu=2, wait=3, states={PYTHON: 40}))
    assert split == pytest.approx((0.002, 0, 0, 0.003))


def test_alone_what_was_found_without_a_core_did_not_wait():
    (split, *_) = splits_of(many(cpu=1, wait=8, states={NET: 30, ThreadState.CORE: 10}))
    assert split == pytest.approx((0.001, 0, 0.006, 0.002))


def test_among_many_workers_the_probe_says_how_much_of_the_rest_is_waiting():
    (split, *_) = splits_of(many(cpu=1, wait=10, workers=8, states={NET: 50, GIL: 50}))
    assert split.wait == pytest.approx(0.005)
    assert split.contention == pytest.approx(0.005)


def test_among_many_workers_without_a_probe_the_median_is_waiting():
    tale = Tale()
    for number in range(1, 31):
        tale.tell(number, "it", fired=0, cpu=1, wait=10 + (30 if number % 3 == 0 else 0))
    splits = splits_of(tale.trace(workers=8))
    assert sum(split.wait for split in splits) == pytest.approx(30 * 0.010)


def test_an_attempt_whose_cpu_was_not_measured_has_that_of_the_others():
    tale = Tale()
    for number in range(1, 4):
        tale.tell(number, "it", fired=0, cpu=2, wait=2)
    tale.attempts[0] = tale.attempts[0]._replace(cpu_ns=None)
    trace = tale.trace()
    assert splits_of(trace)[0] == pytest.approx((0.002, 0, 0.002, 0))


def test_without_a_gil_all_cpu_time_is_native():
    assert splits_of(many(cpu=2, gil=False))[0] == pytest.approx((0, 0.002, 0, 0))


def test_looks_tell_how_much_of_cpu_time_holds_the_gil():
    assert shapes_of(many(states={NATIVE: 98}))["it"].gil_share == pytest.approx(0.02)
    assert shapes_of(many(states={PYTHON: 98}))["it"].gil_share == 1
    assert shapes_of(many())["it"].gil_share == 1


def test_among_several_threads_what_was_seen_to_hold_the_gil_is_held_against_all_cpu_time():
    seen = Observed(states={PYTHON: 18, NATIVE: 4, MISSED: 60})
    assert gil_share_in_time(seen, 0.005, cpu=0.99) == pytest.approx(0.1)
    assert gil_share_in_time(seen, 0.005, cpu=0.05) == 1
    assert gil_share_in_time(Observed(states={PYTHON: 10, MISSED: 60}), 0.005, cpu=1.0) is None


@pytest.mark.parametrize(
    ("trace", "kind"),
    [
        (many(cpu=5, states={PYTHON: 50}), Kind.PYTHON),
        (many(cpu=5, states={NATIVE: 50}), Kind.NATIVE),
        (many(cpu=1, wait=9, states={NET: 45, PYTHON: 5}), Kind.NET),
        (many(cpu=1, wait=9, states={FILE: 45, PYTHON: 5}), Kind.FILE),
        (many(cpu=1, wait=9, states={SLEEP: 45, PYTHON: 5}), Kind.SLEEP),
        (many(cpu=1, wait=9, states={CHILD: 45, PYTHON: 5}), Kind.CHILD),
        (many(cpu=1, wait=9, workers=8, states={LOCK: 35, GIL: 10, PYTHON: 5}), Kind.LOCK),
        (many(cpu=5, wait=5, states={SLEEP: 25, PYTHON: 25}), Kind.MIXED),
        (many(cpu=5, wait=35, workers=8, states={PYTHON: 12, GIL: 88}), Kind.PYTHON),
        (many(count=19, cpu=5, states={PYTHON: 50}), Kind.NOT_SURE),
        (many(cpu=5, states={PYTHON: 5}), Kind.NOT_SURE),
        (many(wait=5), Kind.NOT_SURE),
        (many(), Kind.NOT_SURE),
        (many(cpu=0.001), Kind.PYTHON),
        (many(cpu=5, wait=15, workers=8, states={PYTHON: 12, GIL: 20, MISSED: 88}), Kind.NOT_SURE),
        (queueing(cpu=5, lucky=0.0), Kind.PYTHON),
        (queueing(cpu=5, lucky=5.0), Kind.NOT_SURE),
        (many(cpu=5, gil=False), Kind.NATIVE),
    ],
)
def test_a_routine_is_named_for_what_it_spends_its_own_time_on(trace, kind):
    verdict = verdicts_of(trace)["it"]
    assert verdict.kind is kind
    assert verdict.reason
    assert str(verdict).startswith(kind.value)


def test_a_verdict_that_is_not_sure_says_what_is_missing():
    reasons = [
        verdicts_of(trace)["it"].reason
        for trace in (many(count=3), many(cpu=5), many(wait=5, states={PYTHON: 1}), many())
    ]
    assert reasons == [
        "only 3 attempts, 20 are needed",
        "only 0 looks, 20 are needed to tell Python from native code",
        "it waits 100% of its own time, but what for was not seen",
        "it takes no time that could be measured",
    ]


def test_a_routine_without_cpu_times_is_not_judged():
    trace = fan(25, cpu=1)
    trace = trace._replace(attempts=tuple(one._replace(cpu_ns=None) for one in trace.attempts))
    assert verdicts_of(trace)["leaf"].reason == "its CPU time was not measured"
