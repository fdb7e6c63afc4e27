"""The Chrome trace-event format: every event is one that its readers accept, and says what happened."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise

import pytest

from routilux.exporters import chrome
from tests.exporters.recorded import HOSTILE, mixed
from tests.insight.tales import Tale

FIELDS = {
    "M": {"ph", "name", "pid", "tid", "args"},
    "X": {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"},
    "s": {"ph", "name", "cat", "id", "pid", "tid", "ts"},
    "f": {"ph", "name", "cat", "id", "pid", "tid", "ts", "bp"},
    "C": {"ph", "name", "pid", "tid", "ts", "args"},
}


@pytest.fixture(params=["sequential", "concurrent", "asyncio"])
def trace(request):
    return mixed(execution_mode=request.param, max_workers=4)


def events_of(trace, phase):
    return [event for event in chrome.document(trace)["traceEvents"] if event["ph"] == phase]


def test_every_event_has_the_fields_of_its_phase_and_plain_values(trace):
    document = json.loads(json.dumps(chrome.document(trace)))
    for event in document["traceEvents"]:
        assert set(event) == FIELDS[event["ph"]], event
        assert isinstance(event["name"], str)
        assert all(type(event[name]) is int for name in ("pid", "tid"))
        assert all(event.get(name, 0) >= 0 for name in ("ts", "dur"))


def test_slices_of_one_thread_nest_and_never_cross(trace):
    by_thread = {}
    for event in events_of(trace, "X"):
        by_thread.setdefault((event["pid"], event["tid"]), []).append(event)
    for events in by_thread.values():
        events.sort(key=lambda event: (event["ts"], -event["dur"]))
        open_until = []
        for event in events:
            ends = round((event["ts"] + event["dur"]) * 1e3)
            while open_until and open_until[-1] <= round(event["ts"] * 1e3):
                open_until.pop()
            assert not open_until or ends <= open_until[-1]
            open_until.append(ends)


def test_each_attempt_is_a_slice_of_its_own_length(trace):
    slices = [event for event in events_of(trace, "X") if event["cat"] == "activation"]
    assert sorted(event["name"] for event in slices) == sorted(one.routine_id for one in trace.attempts)
    assert sum(event["dur"] for event in slices) == pytest.approx(sum(one.run_time for one in trace.attempts) * 1e6)
    assert [event["args"]["error"] for event in slices if "error" in event["args"]] == ["ValueError: cut off"]


def test_arrows_begin_in_the_emitters_slice_and_end_where_the_receiver_begins(trace):
    starts = {event["id"]: event for event in events_of(trace, "s")}
    ends = {event["id"]: event for event in events_of(trace, "f")}
    assert set(starts) == set(ends)
    assert all(starts[number]["ts"] <= ends[number]["ts"] for number in starts)
    slices = [event for event in events_of(trace, "X") if event["cat"] == "activation"]
    for event in (*starts.values(), *ends.values()):
        place = event["pid"], event["tid"]
        around = [one for one in slices if (one["pid"], one["tid"]) == place and one["ts"] <= event["ts"]]
        assert any(event["ts"] <= one["ts"] + one["dur"] for one in around)


def test_a_join_has_an_arrow_from_each_that_contributed():
    tale = Tale().tell(1, "left", wait=1).tell(2, "right", wait=2).tell(3, "join", [1, 2], wait=1)
    events = chrome.document(tale.trace())["traceEvents"]
    assert [event["ts"] for event in events if event["ph"] == "s"] == [pytest.approx(999.999), pytest.approx(2999.999)]
    assert [event["ts"] for event in events if event["ph"] == "f"] == [3000.0, 3000.0]


def test_parts_of_an_attempt_stand_in_it_where_they_were_measured():
    tale = Tale().tell(1, "half", cpu=1, wait=3).sees("half", gil_share=1.0)
    parts = [event for event in chrome.document(tale.trace())["traceEvents"] if event.get("cat") == "kind of time"]
    assert [(event["name"], event["ts"], event["dur"]) for event in parts] == [
        ("Python", 0.0, 1000.0),
        ("waiting in handlers", 1000.0, 3000.0),
    ]


def test_counters_end_at_zero(trace):
    for name in ("active workers", "queue depth"):
        counted = [event for event in events_of(trace, "C") if event["name"] == name]
        assert counted[-1]["args"] == {name: 0}
        assert max(event["args"][name] for event in counted) >= 1
        assert all(before["ts"] < after["ts"] for before, after in pairwise(counted))


def test_a_file_is_compressed_when_its_name_says_so(tmp_path):
    trace = Tale().tell(1, HOSTILE, cpu=1).trace()
    chrome.write(trace, tmp_path / "trace.json")
    chrome.write(trace, str(tmp_path / "trace.json.gz"))
    plain = (tmp_path / "trace.json").read_bytes()
    assert gzip.decompress((tmp_path / "trace.json.gz").read_bytes()) == plain
    assert json.loads(plain) == json.loads(json.dumps(chrome.document(trace)))


def test_a_job_in_which_nothing_ran_has_names_and_no_slices():
    events = chrome.document(Tale().trace())["traceEvents"]
    assert {event["ph"] for event in events} <= {"M", "C"}
