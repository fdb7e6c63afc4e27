"""Reports as plain text, and recordings as files."""

from __future__ import annotations

import pytest

from routilux.advice.changes import compare_traces
from routilux.advice.report import bar, report, seconds, table
from routilux.advice.storage import load_trace, save_trace
from routilux.errors import RecordingError
from tests.insight.tales import fan


def test_numbers_stand_to_the_right_and_words_to_the_left():
    text = str(table("Title", ("who", "took"), [("a", "1.00 s"), ("long", "12.50 ms")]))
    assert text.splitlines() == ["Title", "  who       took", "  a       1.00 s", "  long  12.50 ms"]


def test_tables_and_texts_without_anything_are_left_out():
    assert report("said", None, "", table("empty", ("a",), [])).parts == ("said",)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.00 s"), (1.5, "1.50 s"), (0.0125, "12.50 ms"), (0.0000012, "1.2 µs")]
)
def test_durations_are_written_as_people_read_them(value, text):
    assert seconds(value) == text


def test_a_bar_never_leaves_its_column():
    assert [len(bar(share)) for share in (-1.0, 0.0, 0.5, 1.0, 7.0)] == [0, 0, 12, 24, 24]


def test_a_trace_is_saved_and_loaded_as_it_was(tmp_path):
    trace = fan(5, cpu=1.0)
    save_trace(trace, tmp_path / "trace.json")
    assert load_trace(tmp_path / "trace.json") == trace
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    with pytest.raises(RecordingError, match="of flow 'flow', not of 'other'"):
        load_trace(tmp_path / "trace.json", "other")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"format": "routilux-trace", "version": 1}'])
def test_what_is_no_recording_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(RecordingError):
        load_trace(tmp_path / "file")


def test_a_recording_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(RecordingError, match="routilux run"):
        load_trace(tmp_path / "nothing.json")


def test_a_routine_that_became_slower_is_named_first():
    found = compare_traces(fan(40, cpu=1.0), fan(40, cpu=2.0))
    assert found.worse
    assert str(found).startswith("Slower: 'leaf' by 100%.")
    assert found.to_dict()["routines"][0]["change"] == "slower"


def test_what_became_faster_is_no_reason_to_complain():
    assert compare_traces(fan(40, cpu=2.0), fan(40, cpu=1.0)).sentence == "Nothing is slower; faster: 'leaf'."
    assert compare_traces(fan(40, cpu=2.0), fan(40, cpu=2.0)).sentence == "Nothing is slower."
