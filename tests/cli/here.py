"""The command line in this process, for commands that import nothing of a user's."""

import subprocess
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from routilux.cli.commands import run


def here(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command prints and ends with."""
    printed, complained = StringIO(), StringIO()
    with chdir(directory), redirect_stdout(printed), redirect_stderr(complained):
        try:
            code = run(arguments)
        except SystemExit as left:
            code = left.code
    return subprocess.CompletedProcess(arguments, code, printed.getvalue(), complained.getvalue())
