"""Arrays and numbers of NumPy come back equal, of the same type and shape."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as some_numpy

from routilux.errors import PayloadError
from routilux.payloads import Codec

CODEC = Codec()
dtypes = some.one_of(
    some_numpy.boolean_dtypes(),
    some_numpy.integer_dtypes(),
    some_numpy.unsigned_integer_dtypes(),
    some_numpy.floating_dtypes(sizes=(16, 32, 64)),
    some_numpy.complex_number_dtypes(sizes=(64, 128)),
    some_numpy.datetime64_dtypes(),
    some_numpy.timedelta64_dtypes(),
    some_numpy.unicode_string_dtypes(min_len=1),
    some_numpy.byte_string_dtypes(min_len=1),
)


@given(some_numpy.arrays(dtypes, some_numpy.array_shapes(min_dims=0, min_side=0, max_side=3)), some.sampled_from("CF"))
def test_an_array_comes_back(array: Any, order: Any) -> None:
    array = np.asarray(array, order=order)
    back = CODEC.decode(CODEC.encode({"array": array}))["array"]
    assert (type(back), back.dtype, back.shape) == (np.ndarray, array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable
    assert back.flags.f_contiguous == array.flags.f_contiguous


@given(dtypes.filter(lambda dtype: dtype.isnative), some.data())
def test_a_number_comes_back(dtype: Any, data: some.DataObject) -> None:
    scalar = data.draw(some_numpy.arrays(dtype, ()))[()]
    back = CODEC.decode(CODEC.encode([scalar]))[0]
    assert type(back) is type(scalar)
    assert back.tobytes() == scalar.tobytes()


def test_a_strided_view_comes_back_as_an_array_of_its_own() -> None:
    view = np.arange(20).reshape(4, 5)[::2, 1::2]
    assert (CODEC.decode(CODEC.encode(view)) == view).all()


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([1, 2], [True, False]),
        np.longlong(1) if np.longlong is not np.int64 else np.array([None]),
    ],
    ids=["objects", "records", "masked", "longlong"],
)
def test_what_is_more_than_its_bytes_is_refused(array: Any) -> None:
    with pytest.raises(PayloadError, match=r"value\['x'\]: .*cannot be stored"):
        CODEC.encode({"x": array})


def test_a_class_that_says_it_is_numpys_is_not_believed() -> None:
    pretender = type("ndarray", (), {"__module__": "numpy"})
    with pytest.raises(PayloadError, match="cannot be stored"):
        CODEC.encode(pretender())


def test_what_is_read_decides_nothing_of_what_is_imported() -> None:
    before = set(sys.modules)
    with pytest.raises(PayloadError, match="there is no tag"):
        CODEC.decode(b'{"$":"wave.open","v":["x"]}')
    assert set(sys.modules) == before
