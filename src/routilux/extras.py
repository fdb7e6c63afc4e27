"""Loads what only some users have installed: the one place that imports a module while the program runs."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from routilux.errors import MissingExtraError


def load(module: str, extra: str, purpose: str) -> ModuleType:
    """The module of this package that needs the packages of an extra.

    Raises `MissingExtraError` with what to install where they are missing; `purpose` begins its sentence.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {error.name!r}, which is not installed. "
            f"Install it with: pip install 'routilux[{extra}]'"
        ) from error


def is_installed(package: str) -> bool:
    """Whether a package could be imported."""
    return importlib.util.find_spec(package) is not None
