"""What travels to a worker of a cluster and back, and what the worker does with it.

A batch is a call of `run_batch`. Every order in it is pickled by itself, and so is every answer, so that one that
cannot be read harms no other. A batch that takes much longer than was expected comes back early, with what it has.
"""

from __future__ import annotations

import os
import pickle
import platform
import threading
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter_ns
from typing import Any, NamedTuple

from routilux.drivers.far import Answer, FarSide, Order, Recipe, pack
from routilux.drivers.lesson import read_recipe
from routilux.errors import UnsendableError
from routilux.guard import guarded, text_of

LONGEST_NS = 150_000_000
"""A worker begins nothing more of a batch after this; the rest comes back as it was."""

STAYS_BYTES = 1_000_000
"""Values smaller than this are carried, as a reference would cost more."""


class Letter(NamedTuple):
    """One order on its way."""

    key: int
    number: int
    attempt: int
    where: str
    """Flow and routine, for messages."""
    order: bytes
    encloses: bool
    """Whether among its arguments are some `Enclosed`."""
    stays: frozenset[str]
    """The events whose values need not come back."""
    place: int
    """Where the first large value of them goes; -1: nowhere."""


class Reply(NamedTuple):
    """What came of a batch: as many answers, pickled one by one, as orders were begun."""

    worker: str
    answers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Enclosed:
    """Stands for a value that travels beside an order or an answer."""

    index: int


def run_batch(head: bytes, *rest: bytes) -> tuple[Any, ...]:
    """Runs orders one after another; gives a `Reply`, and the values that are to stay, by their places.

    `head` holds the keys of the recipes, the letters, and how many places there are; `rest` the recipes and then
    the enclosed values.
    """
    keys, letters, places = pickle.loads(head)
    batch = _Batch(dict(zip(keys, rest, strict=False)), rest[len(keys) :], places)
    try:
        reply = batch.run(letters)
    finally:
        batch.side.close()
    return reply, *batch.places


class _Batch:
    """One batch while it runs."""

    def __init__(self, recipes: dict[int, bytes], enclosed: tuple[bytes, ...], places: int) -> None:
        self.side = FarSide()
        self.places: list[bytes | None] = [None] * places
        self._recipes = recipes
        self._enclosed = enclosed
        self._broken: dict[int, BaseException] = {}

    def run(self, letters: list[Letter]) -> Reply:
        for key, blob in self._recipes.items():
            recipe, broken = guarded(_recipe, blob)
            if broken is None:
                self.side.learn(key, recipe)
            else:
                self._broken[key] = broken
        began = perf_counter_ns()
        answers: list[bytes] = []
        for letter in letters:
            if answers and perf_counter_ns() - began > LONGEST_NS:
                break
            answers.append(self._answer(letter))
        return Reply(f"{platform.node()}/{os.getpid()}/{threading.get_ident()}", tuple(answers))

    def _answer(self, letter: Letter) -> bytes:
        broken = self._broken.get(letter.key)
        if broken is not None:
            return _unread(letter, "its handler", broken)
        order, unread = guarded(self._order, letter)
        if unread is not None:
            return _unread(letter, "what it was given", unread)
        answer = self.side.run(order)
        if letter.place >= 0 and answer.error is None:
            answer = self._with_places(letter, answer)
        return self.side.pack(order, answer)

    def _order(self, letter: Letter) -> Order:
        order: Order = pickle.loads(letter.order)
        return order._replace(arguments=tuple(map(self._opened, order.arguments))) if letter.encloses else order

    def _opened(self, argument: Any) -> Any:
        if isinstance(argument, Enclosed):
            return pickle.loads(self._enclosed[argument.index])
        if type(argument) is list:
            return [self._opened(part) for part in argument]
        return argument

    def _with_places(self, letter: Letter, answer: Answer) -> Answer:
        """The answer without its first large value that may stay, which is put into its place."""
        for index, (event, value) in enumerate(answer.emissions):
            if event in letter.stays:
                packed, broken = guarded(pack, value)
                if broken is None and len(packed) >= STAYS_BYTES:
                    self.places[letter.place] = packed
                    emissions = list(answer.emissions)
                    emissions[index] = event, Enclosed(letter.place)
                    return answer._replace(emissions=emissions)
        return answer


@lru_cache(maxsize=256)
def _recipe(blob: bytes) -> Recipe:
    """A recipe, which keeps its handler from batch to batch as a worker process would."""
    return read_recipe(blob)


def _unread(letter: Letter, what: str, broken: BaseException) -> bytes:
    error = UnsendableError(
        f"{letter.where}: {what} could not be read on the worker: {type(broken).__name__}: {text_of(broken)}. "
        "The modules that it comes from must be importable there."
    )
    moment = perf_counter_ns()
    return pack(Answer(letter.number, letter.attempt, moment, moment, (), error, (), False, None))
