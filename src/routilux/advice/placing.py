"""A configuration as settings of a flow, and settings as text that a person can review and keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from routilux.execution_mode import ExecutionMode
from routilux.insight.configuration import Configuration
from routilux.settings import SettingArguments


def settings_of(configuration: Configuration, chosen: Mapping[str, ExecutionMode]) -> SettingArguments:
    """The settings that make a flow run so; `chosen` are the routines that it takes a placement to move."""
    workers = {
        mode.value: configuration.workers_of(mode) for mode in configuration.used if mode in configuration.workers
    }
    settings = SettingArguments(execution_mode=configuration.mode.value)
    if set(workers) == {configuration.mode.value}:
        settings["max_workers"] = workers[configuration.mode.value]
    elif workers:
        settings["max_workers"] = workers
    if chosen:
        settings["placement"] = {routine_id: mode.value for routine_id, mode in chosen.items()}
    return settings


def as_toml(settings: Mapping[str, Any], remarks: tuple[str, ...] = ()) -> str:
    """Settings as TOML: `Flow("orders", **tomllib.loads(text))`."""
    lines = [f"# {remark}" for remark in remarks]
    tables = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    lines += [f"{name} = {_value(value)}" for name, value in settings.items() if name not in tables]
    for name, values in tables.items():
        lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {_value(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def as_python(settings: Mapping[str, Any], remarks: tuple[str, ...] = ()) -> str:
    """Settings as a module: `Flow("orders", **SETTINGS)`."""
    lines = [f"# {remark}" for remark in remarks]
    return "\n".join([*lines, "SETTINGS = {", *(f"    {k!r}: {v!r}," for k, v in settings.items()), "}"]) + "\n"


def _value(value: object) -> str:
    """Texts, numbers and truth are written in JSON as in TOML."""
    return json.dumps(value, ensure_ascii=False)
