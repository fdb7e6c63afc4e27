"""What tests of limits share: a machine in the hands of a test, and what sees how many are inside at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from routilux.flow import FlowDefinition
from tests.machine.conftest import Play


class Inside:
    """Counts who is inside of something limited, and the most that ever were at once, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.entered: dict[str, int] = {}

    def enter(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._now[name] = self._now.get(name, 0) + 1
                self.most[name] = max(self.most.get(name, 0), self._now[name])
                self.entered[name] = self.entered.get(name, 0) + 1

    def leave(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._now[name] -= 1

    @property
    def now(self) -> int:
        return sum(self._now.values())


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def play() -> type[Play]:
    return Play


@pytest.fixture
def flow() -> Any:
    return FlowDefinition("flow", {"db": 1, "api": 2})
