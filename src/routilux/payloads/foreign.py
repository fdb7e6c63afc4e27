"""Types of packages that may be there: arrays of NumPy, tables of Arrow and pandas.

A package that is not loaded has no values, so writing loads none; reading loads the one that a tag of this closed table
belongs to. An array is its bytes; a table is an Arrow stream, and a frame that would not come back equal is refused.
"""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

from routilux.loading import loaded
from routilux.payloads.forms import Form

PLAIN_KINDS = "biufcSUmM"
"""Of NumPy's kinds of types those that are nothing but their bytes."""

SAFE_ARROW = 15
"""Earlier versions unpickle what a stream tells them to."""


def foreign_form(kind: type) -> Form | None:
    """The form of a type of such a package, if it is one."""
    package = str(kind.__module__).partition(".")[0]
    module = sys.modules.get(package) if package in _PACKAGES else None
    if module is None or getattr(module, kind.__name__, None) is not kind:
        return None
    if package == "numpy" and issubclass(kind, loaded("numpy", "generic")):
        return FOREIGN_BY_TAG["numpy.scalar"]
    return FOREIGN_BY_TAG.get(f"{package}.{kind.__name__}")


def _dtype(text: Any) -> Any:
    dtype = loaded("numpy", "dtype")(text if isinstance(text, str) else None)
    if dtype.kind not in PLAIN_KINDS:
        raise ValueError(f"arrays of {dtype} cannot be stored")
    return dtype


def _text_of(dtype: Any) -> str:
    if dtype.kind not in PLAIN_KINDS:
        raise ValueError(f"arrays of {dtype} cannot be stored; store lists of what is in them")
    return str(dtype.str)


def _write_array(value: Any) -> list[Any]:
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    return [_text_of(value.dtype), list(value.shape), order, _in_base64(value.tobytes(order))]


def _read_array(parts: list[Any]) -> Any:
    text, shape, order, encoded = parts
    data, dtype = _from_base64(encoded), _dtype(text)
    array = loaded("numpy", "ndarray")(tuple(shape), dtype, data, 0, None, order)
    if array.nbytes != len(data):
        raise ValueError("its shape is not that of its bytes")
    return array.copy(order)


def _write_scalar(value: Any) -> list[Any]:
    array = loaded("numpy", "asarray")(value)
    parts = [_text_of(array.dtype), _in_base64(array.tobytes())]
    back = _read_scalar(parts)
    if type(back) is not type(value) or repr(back) != repr(value):
        raise ValueError(f"this numpy.{type(value).__name__} cannot be stored; convert it")
    return parts


def _read_scalar(parts: list[Any]) -> Any:
    text, data = parts
    return _read_array([text, [], "C", data])[()]


def _write_table(value: Any) -> list[Any]:
    sink = loaded("pyarrow", "BufferOutputStream")()
    with loaded("pyarrow.ipc", "new_stream")(sink, value.schema) as stream:
        stream.write_table(value)
    return [_in_base64(sink.getvalue())]


def _read_table(parts: list[Any]) -> Any:
    (data,) = parts
    version = loaded("pyarrow", "__version__")
    if int(version.partition(".")[0]) < SAFE_ARROW:
        raise ValueError(f"pyarrow {version} is not safe to read it with; install {SAFE_ARROW} or later")
    table = loaded("pyarrow.ipc", "open_stream")(_from_base64(data)).read_all()
    table.validate(full=True)
    return table


def _write_frame(value: Any) -> list[Any]:
    table = loaded("pyarrow", "Table").from_pandas(value)
    loaded("pandas.testing", "assert_frame_equal")(table.to_pandas(), value, check_exact=True, check_freq=False)
    return _write_table(table)


def _read_frame(parts: list[Any]) -> Any:
    return _read_table(parts).to_pandas()


def _write_series(value: Any) -> list[Any]:
    return [value.name, *_write_frame(value.to_frame("values"))]


def _read_series(parts: list[Any]) -> Any:
    name, data = parts
    return _read_frame([data])["values"].rename(name)


def _in_base64(data: Any) -> str:
    return b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _saying_what_is_missing(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except ModuleNotFoundError as error:
        raise ValueError(f"it needs the package {error.name!r}, which is not installed") from error


def _form(tag: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> Form:
    return Form(object, tag, partial(_saying_what_is_missing, write), partial(_saying_what_is_missing, read), True)


FOREIGN_BY_TAG = {
    one.tag: one
    for one in (
        _form("numpy.ndarray", _write_array, _read_array),
        _form("numpy.scalar", _write_scalar, _read_scalar),
        _form("pyarrow.Table", _write_table, _read_table),
        _form("pandas.DataFrame", _write_frame, _read_frame),
        _form("pandas.Series", _write_series, _read_series),
    )
}
_PACKAGES = frozenset(tag.partition(".")[0] for tag in FOREIGN_BY_TAG)
