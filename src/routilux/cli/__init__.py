"""The command `routilux`: says what to install where its extra is missing, and hands over to `commands` else."""

from __future__ import annotations

import sys
from importlib import import_module

NEEDED = frozenset({"cyclopts", "msgspec", "rich"})
"""What the extra `cli` brings."""


def main() -> int:
    """Runs the command line, and gives the exit code: see `routilux.cli.exit_codes`."""
    try:
        commands = import_module("routilux.cli.commands")
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in NEEDED:
            raise
        print(
            f"routilux: the command line needs {missing.name!r}, which is not installed.\n"
            "Install it with:  pip install 'routilux[cli]'",
            file=sys.stderr,
        )
        return 1
    return int(commands.run(sys.argv[1:]))
