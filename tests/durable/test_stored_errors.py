"""An exception that was stored is caught, decided on and shown as the one that was raised."""

import asyncio
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from routilux import Flow, Retry, Stop, routine
from routilux.durable.error_records import MOST
from routilux.durable.records import Records
from routilux.durable.stored_error import StoredError
from routilux.errors import HandlerTimeoutError, WorkerLostError
from routilux.facts import Settled
from routilux.machine.step import apply
from tests.machine.conftest import Play

Make = Callable[..., Records]


class ShopError(Exception):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class SoldOutError(ShopError, LookupError):
    pass


class UnprintableError(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no")


class PickyError(Exception):
    def __init_subclass__(cls, *, colour: str, **named: Any) -> None:
        raise AssertionError


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def kept_and_read(records: Records, error: BaseException) -> Settled:
    fact = records.read(*records.write(Settled(1, 1, 0, 0, error=error))).fact
    assert isinstance(fact, Settled)
    return fact


def test_an_exception_of_a_class_that_is_not_known_keeps_its_name_text_and_known_kinds(records: Make) -> None:
    error = kept_and_read(records(), raised(SoldOutError("no more", 7))).error
    assert isinstance(error, (StoredError, LookupError))
    assert not isinstance(error, ShopError)
    assert (type(error).__name__, str(error), error.args, error.code) == ("SoldOutError", "no more", ("no more",), 7)
    assert error.stored_name == f"{__name__}:SoldOutError"
    assert "".join(traceback.format_exception_only(error)) == f"{__name__}.SoldOutError: no more\n"


def test_an_exception_whose_class_a_strategy_names_is_caught_as_it(records: Make) -> None:
    error = kept_and_read(records(known=[ShopError]), SoldOutError("no more", 7)).error
    assert isinstance(error, ShopError)
    assert not isinstance(error, SoldOutError)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        FileNotFoundError(2, "gone", "a.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("f.py", 1, 2, "x =", 1, 3)),
        StopIteration(3),
        SystemExit(4),
        KeyboardInterrupt(),
        asyncio.CancelledError("c"),
        WorkerLostError("killed"),
        HandlerTimeoutError("slow"),
        ImportError("no", name="wave", path="p"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_known_exception_is_caught_as_what_it_is(records: Make, error: BaseException) -> None:
    back = kept_and_read(records(), raised(error)).error
    for kind in type(error).__mro__:
        if kind.__module__ in ("builtins", "routilux.errors"):
            assert isinstance(back, kind)
    assert isinstance(back, Exception) == isinstance(error, Exception)
    assert (str(back), back.args) == (str(error), error.args)
    if isinstance(error, OSError) and isinstance(back, OSError):
        assert (back.errno, back.filename) == (error.errno, error.filename)


def test_causes_contexts_notes_and_frames_come_back(records: Make) -> None:
    inner = raised(KeyError("k"))
    outer = raised(ShopError("broken", 1), inner)
    outer.add_note("while packing")
    fact = kept_and_read(records(), outer)
    assert fact.error is not None
    assert fact.error.__notes__ == ["while packing"]
    assert [name for _, _, name in fact.frames] == ["raised"]
    cause = fact.error.__cause__
    assert isinstance(cause, KeyError)
    assert "Raised in another process" in cause.__notes__[0]
    assert "in raised" in cause.__notes__[0]
    assert fact.error.__suppress_context__


def test_frames_that_came_with_a_failure_are_kept(records: Make) -> None:
    kept, frames = records(), (("far.py", 3, "handler"),)
    assert kept.read(*kept.write(Settled(1, 1, 0, 0, error=ValueError(), frames=frames))).fact.frames == frames


def test_a_group_comes_back_with_its_members(records: Make) -> None:
    group = ExceptionGroup("several", [ValueError("a"), ShopError("b", 2)])
    back = kept_and_read(records(), group).error
    assert isinstance(back, ExceptionGroup)
    assert [str(one) for one in back.exceptions] == ["a", "b"]
    assert str(back) == str(group)
    assert back.subgroup(ValueError) is not None


def test_an_exception_that_cannot_be_printed_or_whose_values_cannot_be_stored_is_still_kept(records: Make) -> None:
    error = UnprintableError(object(), "x")
    error.lock = object()  # type: ignore[attr-defined]
    error.code = 3  # type: ignore[attr-defined]
    error.__notes__ = 7  # type: ignore[assignment]
    back: Any = kept_and_read(records(), error).error
    assert isinstance(back, ValueError)
    assert (str(back), back.code) == ("<str() of it raised RuntimeError>", 3)
    assert not hasattr(back, "lock")


def test_a_class_that_refuses_to_be_derived_from_is_left_out(records: Make) -> None:
    back = kept_and_read(records(known=[PickyError]), PickyError("p")).error
    assert isinstance(back, Exception)
    assert not isinstance(back, PickyError)
    assert str(back) == "p"


def test_exceptions_that_cause_each_other_end(records: Make) -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    back = kept_and_read(records(), first).error
    assert str(back.__cause__) == "2"
    assert back.__cause__.__cause__ is None


huge = some.integers(0, 200_000).map(lambda size: "\0é\ud800x" * (size // 4))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(huge, huge, some.integers(0, 300))
def test_a_stored_exception_is_bounded_whatever_it_is(records: Make, text: str, note: str, depth: int) -> None:
    kept = records()
    error: BaseException = ValueError(text)
    for _ in range(depth):
        error = raised(type("N" * 1000, (ShopError,), {})(text, 1), error)
        error.add_note(note)
    written = kept.write(Settled(1, 1, 0, 0, error=error))
    assert len(written.body) < MOST + 200
    assert isinstance(kept.read(*written).fact.error, Exception)


def test_what_stands_for_an_exception_can_be_sent_to_another_process(records: Make) -> None:
    back = kept_and_read(records(), SoldOutError("no more", 7)).error
    again = pickle.loads(pickle.dumps(back))
    assert isinstance(again, (StoredError, LookupError))
    assert (type(again).__name__, str(again), again.code) == ("SoldOutError", "no more", 7)


def test_a_replayed_job_decides_on_stored_exceptions_and_raises_them_as_the_first_one_did(
    records: Make,
) -> None:
    @routine(error_strategy=Retry(1, on=ShopError, then=Stop()))
    def sell(item: str) -> str:
        return item

    flow = Flow("shop")
    flow.add_routine(sell)
    kept, again = records(known=[ShopError]), Play(flow, "sell", {"item": "a"})
    for attempt, error in ((1, SoldOutError("no more", 7)), (2, raised(SoldOutError("none", 8), KeyError("a")))):
        assert again.take() == ("sell", "a")
        fact = kept.read(*kept.write(Settled(1, attempt, 0, 0, error=error))).fact
        apply(again.machine, fact)
    assert [status for _, _, status in again.records] == ["retried", "failed"]
    with pytest.raises(LookupError, match="none") as shown:
        raise again.machine.cause_of_end
    text = "".join(traceback.format_exception(shown.value))
    assert f"{__name__}.SoldOutError: none" in text
    assert f'File "{__file__}", line' in text
    assert "KeyError: 'a'" in text
