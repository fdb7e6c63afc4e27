"""What a job could be run on: a mode and a number of workers, and routines that have a mode of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from routilux.errors import SettingError
from routilux.execution_mode import ExecutionMode

MANY = 1000
"""How many coroutines run at once where nobody says."""

WORDS = {
    ExecutionMode.CONCURRENT: ("thread", "threads"),
    ExecutionMode.ASYNCIO: ("coroutine", "coroutines"),
    ExecutionMode.MULTIPROCESSING: ("process", "processes"),
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way to run a flow; raises `SettingError` for a mode that there is no model of."""

    mode: ExecutionMode
    """That of all routines but those in `modes`."""
    workers: Mapping[ExecutionMode, int] = field(default_factory=dict)
    """How many handlers run at once in each mode that is used; one where it is not said."""
    modes: Mapping[str, ExecutionMode] = field(default_factory=dict)
    """Of routines that have one of their own."""

    def __post_init__(self) -> None:
        for mode in self.used:
            if mode is not ExecutionMode.SEQUENTIAL and mode not in WORDS:
                raise SettingError(f"What happens in mode {mode.value!r} cannot be foretold; there is no model of it.")

    def mode_of(self, routine_id: str) -> ExecutionMode:
        """The mode of a routine."""
        return self.modes.get(routine_id, self.mode)

    def workers_of(self, mode: ExecutionMode) -> int:
        """How many handlers run in a mode at once."""
        return 1 if mode is ExecutionMode.SEQUENTIAL else self.workers.get(mode, 1)

    @property
    def used(self) -> tuple[ExecutionMode, ...]:
        """The modes in use, the chief one first."""
        return tuple(dict.fromkeys([self.mode, *self.modes.values()]))

    @property
    def total_workers(self) -> int:
        """How many threads and processes it takes; a loop is one, however many coroutines it runs."""
        return sum(1 if mode is ExecutionMode.ASYNCIO else self.workers_of(mode) for mode in self.used)

    def with_mode(self, routine_id: str, mode: ExecutionMode, workers: int) -> Configuration:
        """The same with another mode for one routine."""
        return Configuration(self.mode, {**self.workers, mode: workers}, {**self.modes, routine_id: mode})

    def __str__(self) -> str:
        others: dict[ExecutionMode, list[str]] = {}
        for routine_id, mode in self.modes.items():
            others.setdefault(mode, []).append(repr(routine_id))
        parts = [f"{', '.join(names)} in {_name(mode, self.workers_of(mode))}" for mode, names in others.items()]
        return "; ".join([_name(self.mode, self.workers_of(self.mode)), *parts])


def sequential() -> Configuration:
    """One handler after another."""
    return Configuration(ExecutionMode.SEQUENTIAL)


def threads(count: int) -> Configuration:
    """All handlers on so many threads."""
    return Configuration(ExecutionMode.CONCURRENT, {ExecutionMode.CONCURRENT: count})


def coroutines(count: int = MANY) -> Configuration:
    """All handlers on one event loop, as if each were a coroutine that awaits what it waits for."""
    return Configuration(ExecutionMode.ASYNCIO, {ExecutionMode.ASYNCIO: count})


def processes(count: int) -> Configuration:
    """All handlers in so many processes."""
    return Configuration(ExecutionMode.MULTIPROCESSING, {ExecutionMode.MULTIPROCESSING: count})


def usual(cores: int) -> list[Configuration]:
    """What is worth a question on a machine with so many cores."""
    counts = sorted({2, 4, 8, 16, 32, 64, cores})
    return [
        sequential(),
        *(threads(count) for count in counts if count > 1),
        coroutines(),
        *(processes(count) for count in sorted({1, 2, cores, 2 * cores})),
    ]


def window_of(mode: ExecutionMode, workers: int) -> int:
    """How many ready activations are enough for a mode, so that no generator is asked for more."""
    return 1 if mode is ExecutionMode.SEQUENTIAL else 2 * workers


def _name(mode: ExecutionMode, count: int) -> str:
    words = WORDS.get(mode)
    return mode.value if words is None or count == MANY else f"{mode.value}, {count} {words[count != 1]}"
