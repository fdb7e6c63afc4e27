"""When annotations of the two ends of a connection contradict each other."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import pytest

from routilux.hints import fits, is_list, item_of, list_item_of, name_of


class Animal: ...


class Dog(Animal): ...


class Barks(Protocol):
    def bark(self) -> None: ...


class Settings(TypedDict):
    name: str


T = TypeVar("T")
UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (int, int),
        (bool, int),
        (int, float),
        (float, complex),
        (int, complex),
        (Dog, Animal),
        (Animal, Dog),
        (None, int),
        (int, None),
        (Any, int),
        (int, Any),
        (object, int),
        (int, object),
        (int | None, int),
        (Optional[int], int),  # noqa: UP045
        (int | str, str),
        (Union[int, str], bytes | str),  # noqa: UP007
        (int | Any, str),
        (list[int], list),
        (list[int], Sequence[int]),
        (dict[str, int], Mapping),
        (Settings, dict),
        (Settings, Mapping[str, Any]),
        (Dog, Barks),
        (T, int),
        (UserId, int),
        (Literal["a", 1], str),
        (Literal["a"] | None, str),
        (type(None), int),
        (Annotated[int, "metres"], int),
    ],
)
def test_what_may_fit_fits(given, taken):
    assert fits(given, taken)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (str, int),
        (float, int),
        (int | None, str),
        (int | float, str | bytes),
        (list[int], dict),
        (Settings, int),
        (Dog, str),
        (Literal["a"], int),
        (Annotated[str, "name"], int),
        (complex, float),
    ],
)
def test_what_cannot_fit_does_not(given, taken):
    assert not fits(given, taken)


def test_the_items_of_streams_and_lists_are_known_where_they_are_said():
    assert item_of(Iterator[int]) is int
    assert item_of(collections.abc.Generator[str, None, int]) is str
    assert item_of(list[int]) is None
    assert item_of(None) is None
    assert list_item_of(list[int]) is int
    assert list_item_of(Sequence[str]) is str
    assert list_item_of(dict[str, int]) is None
    assert list_item_of(list) is None
    assert is_list(Sequence[int])
    assert is_list(None)
    assert not is_list(int)


def test_an_annotation_is_named_as_it_is_written():
    assert name_of(int) == "int"
    assert name_of(list[int]) == "list[int]"
    assert name_of(int | None) == "int | None"
