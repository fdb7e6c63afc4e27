"""The command `routilux`, which needs the extra `cli`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

MISSING = 1
"""The exit code where the extra is not installed."""


def main() -> None:
    """Runs the command line, or says what to install for it."""
    try:
        run: Callable[[], None] = importlib.import_module("routilux.cli.commands").run
    except ModuleNotFoundError as missing:
        if missing.name is not None and missing.name.startswith("routilux"):
            raise
        print(
            f"The command line of Routilux needs {missing.name!r}. Install it: pip install 'routilux[cli]'",
            file=sys.stderr,
        )
        sys.exit(MISSING)
    run()
