"""Where a store is, as the command line is told: the path of a file, or the address of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from routilux.stores.opening import on_server


def _exists(_: Any, place: str) -> None:
    if not on_server(place) and not Path(place).is_file():
        raise ValueError(f"{place} does not exist, or is no file.")


Place = Annotated[str, Parameter(validator=_exists)]
"""Passwords are left to PGPASSWORD or a password file: others see arguments."""
