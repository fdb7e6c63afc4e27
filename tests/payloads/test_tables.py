"""Tables of Arrow and pandas come back equal, or are refused."""

import datetime as dt
from typing import Any

import pytest

from routilux.errors import PayloadError
from routilux.payloads import Codec

pyarrow = pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")

CODEC = Codec()


def test_an_arrow_table_comes_back() -> None:
    table = pyarrow.table({"id": [1, 2], "name": ["a", None], "tags": [["x"], []]})
    assert CODEC.decode(CODEC.encode(table)).equals(table, check_metadata=True)


@pytest.mark.parametrize(
    "columns",
    [
        {"id": [1, 2], "name": ["a", None], "price": [0.5, float("nan")]},
        {"kind": pandas.Categorical(["a", "b", "a"], ordered=True)},
        {"at": pandas.to_datetime(["2024-01-01"]).tz_localize("Europe/Berlin")},
        {"count": pandas.array([1, None], dtype="Int64")},
        {"day": [dt.date(2024, 1, 1)]},
        {},
    ],
    ids=lambda columns: "-".join(columns) or "empty",
)
def test_a_frame_comes_back(columns: dict[str, Any]) -> None:
    frame = pandas.DataFrame(columns)
    pandas.testing.assert_frame_equal(CODEC.decode(CODEC.encode(frame)), frame)


def test_the_index_of_a_frame_and_the_name_of_a_series_come_back() -> None:
    frame = pandas.DataFrame({"x": [1, 2]}, index=pandas.Index(["a", "b"], name="key"))
    pandas.testing.assert_frame_equal(CODEC.decode(CODEC.encode(frame)), frame)
    series = pandas.Series([1.5, 2.5], name=("a", 1))
    pandas.testing.assert_series_equal(CODEC.decode(CODEC.encode([series]))[0], series)


@pytest.mark.parametrize("column", [[object()], [1, "a"], [1, None, 2.5, "x"], [{1, 2}], [(1, 2)]])
def test_a_frame_that_would_not_come_back_equal_is_refused(column: list[Any]) -> None:
    with pytest.raises(PayloadError, match=r"^value\['frame'\]: "):
        CODEC.encode({"frame": pandas.DataFrame({"x": pandas.Series(column, dtype=object)})})


def test_a_damaged_table_is_refused() -> None:
    stored = CODEC.encode(pyarrow.table({"id": list(range(100))}))
    with pytest.raises(PayloadError):
        CODEC.decode(stored[:60] + b"A" * 40 + stored[100:])
