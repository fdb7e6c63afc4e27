"""Runs the Python blocks of the README and of `docs/` as tests.

Blocks of one file share their names, top to bottom.
`<!--- skip: next -->` above a block leaves it out.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def enter_folder(names: dict[str, Any]) -> None:
    """What the blocks of a file write, as a store, goes into a folder of its own."""
    names["_before"], names["_folder"] = Path.cwd(), tempfile.TemporaryDirectory()
    os.chdir(names["_folder"].name)


def leave_folder(names: dict[str, Any]) -> None:
    os.chdir(names["_before"])
    names["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
