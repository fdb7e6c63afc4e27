"""The execution modes: where handlers run."""

from __future__ import annotations

import enum

from routilux.errors import SettingError
from routilux.suggestions import nearest


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
    AUTO = enum.auto()
    """In sequence or on threads, as the engine finds best; a mode of jobs, not of routines."""


def mode_of_handlers(name: object) -> ExecutionMode:
    """The mode of this name that handlers can run in; raises `SettingError` where there is none."""
    mode = mode_named(name)
    if mode is ExecutionMode.AUTO:
        raise SettingError(
            'execution_mode="auto" is for a flow or a job, which then finds out what its routines need. '
            "Leave the mode of the routine away."
        )
    return mode


def mode_named(name: object) -> ExecutionMode:
    """The mode of this name; raises `SettingError` where there is none."""
    modes = [mode.value for mode in ExecutionMode]
    if name not in modes:
        raise SettingError(f"execution_mode: there is no mode {name!r}.{nearest(name, modes)}")
    return ExecutionMode(str(name))
