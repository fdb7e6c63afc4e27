"""The commands, as cyclopts reads them from functions: names and types are the options, docstrings are the help."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter
from cyclopts.types import ExistingDirectory
from cyclopts.validators import Number

from routilux.cli.target import TargetError, flow_at
from routilux.demo.comparison import all_equal
from routilux.demo.show import run_demo
from routilux.settings import ExecutionMode

EXAMPLES = """\
Examples:

  routilux demo                                  Examine Python's standard library in every mode
  routilux demo --mode concurrent --limit 200    A part of it, on threads only
  routilux demo src                              Another directory
  routilux graph shop:orders                     Draw the flow `orders` of shop.py as text
  routilux graph shop:orders --format mermaid    The same for a Markdown page
"""
