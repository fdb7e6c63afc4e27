"""The options that several commands have."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from routilux.cli.target import TargetError
from routilux.execution_mode import ExecutionMode
from routilux.settings import SettingArguments

Switch = Annotated[bool, Parameter(negative=())]
JOURNAL_KEY = "ROUTILUX_JOURNAL_KEY"
"""The environment variable that holds the journal key of a store."""
Json = Annotated[bool, Parameter(name="--json", negative=())]


def parameters(text: str) -> Mapping[str, Any]:
    """The entry params that a JSON object has; raises `TargetError` for anything else."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise TargetError(f"--params is no JSON: {error}. Write it as '{{\"name\": value}}'.") from None
    if not isinstance(found, dict):
        raise TargetError(f"--params must be a JSON object from names to values, not {text}.")
    return found


def journal_key() -> bytes | None:
    """The key of the store, which no argument has, because others see those."""
    key = os.environ.get(JOURNAL_KEY)
    return None if key is None else os.fsencode(key)


def settings_from(mode: ExecutionMode | None, workers: int | None) -> SettingArguments:
    """The settings that the command line says something of."""
    settings = SettingArguments()
    if mode is not None:
        settings["execution_mode"] = mode
    if workers is not None:
        settings["max_workers"] = workers
    return settings
