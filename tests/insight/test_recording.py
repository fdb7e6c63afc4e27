"""A trace written and read again, and what else is no recording."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.errors import RecordingError
from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.recording import from_json, to_json
from routilux.insight.trace import Attempt, Host, Observed, ThreadState, Trace, attempts_of

WHOLE = st.integers(0, 2**60)
NAMES = st.text(min_size=1, max_size=8)


@st.composite
def traces(draw):
    attempts = []
    for _ in range(draw(st.integers(0, 5))):
        begun = draw(WHOLE)
        causes = tuple(draw(st.lists(st.integers(1, 99), max_size=3)))
        extra = draw(st.tuples(*[st.none() | WHOLE] * 3))
        who = draw(st.integers(1, 99)), draw(NAMES), draw(st.integers(1, 3)), draw(st.sampled_from(ActivationStatus))
        attempts.append(
            Attempt(*who, causes, draw(WHOLE), begun, begun + draw(WHOLE), draw(st.integers(-1, 9)), *extra)
        )
    states = st.dictionaries(st.sampled_from(ThreadState), st.floats(0, 1000), max_size=3)
    modes = st.none() | st.sampled_from(ExecutionMode)
    observed = st.builds(Observed, modes, st.none() | st.floats(0, 1), states, st.tuples(NAMES))
    start = draw(WHOLE)
    return Trace(
        flow_id=draw(NAMES),
        job_id="job",
        mode=draw(st.sampled_from(ExecutionMode)),
        workers=draw(st.integers(1, 64)),
        start=start,
        end=start + draw(WHOLE),
        host=Host(draw(st.integers(1, 64)), "3.11.7", "linux", draw(st.booleans()), 0.005),
        attempts=tuple(sorted(attempts, key=lambda one: one.begun)),
        routines=draw(st.dictionaries(NAMES, observed, max_size=3)),
        limits=draw(st.dictionaries(NAMES, st.integers(1, 9), max_size=2)),
        pauses=((1, 2),),
        streamed=draw(st.booleans()),
        workers_by_mode=draw(st.dictionaries(st.sampled_from(ExecutionMode), st.integers(1, 9), max_size=2)),
        foreign_load=draw(st.none() | st.floats(0, 8)),
        engine="0.1.0",
    )


@given(traces())
def test_a_trace_is_read_as_it_was_written(trace):
    assert from_json(to_json(trace)) == trace


def test_records_become_attempts_in_the_order_in_which_they_began():
    late = ("job", 2, "second", 1, "completed", 1, 10, 30, 40, 0, None)
    early = ("job", 1, "first", 1, "completed", 0, 0, 5, 10, 1, None)
    attempts = attempts_of([early, late], {(2, 1, 30): (7, None, None)}, {2: (1, 3)})
    assert [attempt.routine_id for attempt in attempts] == ["first", "second"]
    assert [attempt.causes for attempt in attempts] == [(), (1, 3)]
    assert [attempt.cpu_ns for attempt in attempts] == [None, 7]
    assert attempts == attempts_of([late, early], {(2, 1, 30): (7, None, None)}, {2: (1, 3)})


def broken(change):
    trace = Trace(
        flow_id="orders",
        mode=ExecutionMode.SEQUENTIAL,
        workers=1,
        start=0,
        end=9,
        host=Host(2),
        attempts=(Attempt(1, "a", 1, ActivationStatus.COMPLETED, (), 0, 1, 2, 0),),
    )
    data = json.loads(to_json(trace))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(version=2), "is of version 2, and this release reads version 1"),
        (lambda data: data.pop("format"), "no recording of a job"),
        (lambda data: data.pop("host"), "damaged: KeyError: 'host'"),
        (lambda data: data["attempts"][0].pop(), "damaged"),
        (lambda data: data["attempts"][0].__setitem__(6, "soon"), "damaged: ValueError: an attempt is"),
        (lambda data: data["attempts"][0].__setitem__(3, "vanished"), "damaged: ValueError: 'vanished'"),
        (lambda data: data["attempts"][0].__setitem__(7, 0), "out of order"),
        (lambda data: data.update(workers=0), "no worker"),
    ],
)
def test_a_recording_that_cannot_be_used_is_refused_with_the_reason(change, message):
    with pytest.raises(RecordingError, match=message):
        from_json(broken(change))


def test_a_recording_that_is_cut_off_is_refused():
    with pytest.raises(RecordingError, match="cut off"):
        from_json(broken(lambda data: None)[:-20])
    with pytest.raises(RecordingError, match="no recording of a job"):
        from_json("[]")


def test_a_recording_of_another_flow_is_refused():
    text = broken(lambda data: None)
    assert from_json(text, "orders").flow_id == "orders"
    with pytest.raises(RecordingError, match="of flow 'orders', not of 'bills'"):
        from_json(text, "bills")
