"""A contender, as a contract, and how one is found that may not be installed."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from benchmarks.patterns import Pattern

WORKERS = 2

CHUNKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Sizes to try where a contender wants to be told how many tasks travel together."""


class Contender(ABC):
    """Runs one pattern again and again, on workers that it starts when entered and ends when left."""

    chunks: Sequence[int] = (1,)
    """What `run` may be told of how many tasks travel together, to find the best."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern

    @abstractmethod
    def run(self, rounds: int, chunk: int) -> list[int]:
        """The results of the pattern's last level, sorted, each of its tasks having spun for so many rounds."""

    @property
    def cluster(self) -> Any:
        """Of a contender that is a cluster: what `Flow(cluster=...)` takes to use the same one."""
        raise NotImplementedError(f"{type(self).__name__} is no cluster.")

    @abstractmethod
    def close(self) -> None:
        """Ends the workers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def chunks_of(pattern: Pattern) -> list[int]:
    """The sizes that leave each worker some of the pattern's widest level."""
    return [chunk for chunk in CHUNKS if chunk * WORKERS <= max(map(len, pattern.levels))]


def installed(package: str) -> bool:
    """Whether a package is here."""
    return importlib.util.find_spec(package) is not None


def opened(name: str, pattern: Pattern) -> Contender:
    """The peer of this name with its workers; its package must be installed."""
    contender: Contender = importlib.import_module(f"benchmarks.contenders.{name}").open_for(pattern)
    return contender
