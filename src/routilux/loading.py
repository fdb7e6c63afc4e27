"""Loads what not every program needs: the one place that imports modules while the program runs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from routilux.errors import MissingExtraError


def loaded(module: str, name: str) -> Any:
    """What a module has under a name."""
    return getattr(importlib.import_module(module), name)


def loaded_extra(module: str, name: str, extra: str, purpose: str) -> Any:
    """As `loaded`, for a module that needs the packages of an extra.

    Raises `MissingExtraError` with what to install where they are missing; `purpose` begins its sentence.
    """
    with needing(extra, purpose):
        return loaded(module, name)


@contextmanager
def needing(extra: str, purpose: str) -> Iterator[None]:
    """For imports of what an extra brings; raises as `loaded_extra` does."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'routilux[{extra}]'"
        ) from error


def is_installed(package: str) -> bool:
    """Whether a package could be imported."""
    return importlib.util.find_spec(package) is not None
