"""The execution modes: where handlers run."""

from __future__ import annotations

import enum

from routilux.errors import SettingError, nearest


class ExecutionMode(enum.StrEnum):
    """Where handlers run."""

    SEQUENTIAL = enum.auto()
    """One after another, in the caller's thread."""
    CONCURRENT = enum.auto()
    """On threads of this process."""
    ASYNCIO = enum.auto()
    """On an event loop: coroutines that wait side by side."""
    MULTIPROCESSING = enum.auto()
    """In processes of their own on this machine."""
    DISTRIBUTED = enum.auto()
    """On a cluster."""


def mode_named(name: object) -> ExecutionMode:
    """The mode of this name; raises `SettingError` where there is none."""
    modes = [mode.value for mode in ExecutionMode]
    if name not in modes:
        raise SettingError(f"execution_mode: there is no mode {name!r}.{nearest(name, modes)}")
    return ExecutionMode(str(name))
