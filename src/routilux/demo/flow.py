"""The flow of the demonstration.

::

    files -> read -> parse -> measure_structure --> combine -> ranking
               |       |  `-> measure_imports ---'
               '-------'----error----> complain -> broken
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from routilux.api import Flow
from routilux.context import Context
from routilux.demo.measures import Imports, Module, Parsed, Source, Structure, imports_of, structure_of
from routilux.facts import Failure
from routilux.firing import collect, keyed
from routilux.routine import routine
from routilux.settings import SettingArguments
from routilux.strategies import Continue

DONE = "done"
"""The event that leaves the flow once for each file, for who wants to show progress."""


def python_files(folder: Path, limit: int | None = None) -> list[Path]:
    """The Python files below a folder in a fixed order, without those of installed packages."""
    found = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    return found[:limit]


@routine
def files(folder: Path, limit: int | None = None) -> Iterator[tuple[Path, Path]]:
    """Gives each file, with the folder that its name is shown relative to."""
    for path in python_files(folder, limit):
        yield folder, path


@routine(error_strategy=Continue())
def read(place: tuple[Path, Path]) -> Source:
    """Reads a file in the encoding that it declares."""
    folder, path = place
    raw = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    return Source(str(path.relative_to(folder)), raw.decode(encoding))


@routine(error_strategy=Continue())
def parse(source: Source) -> Parsed:
    """Parses a file; some of the library's own tests are broken on purpose."""
    return Parsed(source.path, source.text.count("\n") + 1, ast.parse(source.text, source.path))


@routine
def measure_structure(parsed: Parsed) -> Structure:
    """Counts what is in a file."""
    return structure_of(parsed)


@routine
def measure_imports(parsed: Parsed) -> Imports:
    """Counts what a file imports."""
    return imports_of(parsed)


@routine(fires=keyed("path"), events=["output", DONE])
def combine(structure: Structure, imports: Imports, ctx: Context) -> None:
    """Joins the two measurements of each file."""
    ctx.emit("output", Module(structure, imports.imports))
    ctx.emit(DONE, structure.path)


@routine(fires=collect())
def ranking(modules: list[Module]) -> list[Module]:
    """All files, the one with the most branches first."""
    return sorted(modules, key=lambda module: (-module.structure.branches, module.path))


@routine(events=["output", DONE])
def complain(failure: Failure, ctx: Context) -> None:
    """Notes a file that could not be read or parsed."""
    (argument,) = (failure.arguments or {}).values()
    name = argument.path if isinstance(argument, Source) else str(argument[1].relative_to(argument[0]))
    ctx.emit("output", (name, failure.routine_id, failure.message))
    ctx.emit(DONE, name)


@routine(fires=collect())
def broken(complaints: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """All files that failed, with the routine and the reason."""
    return sorted(complaints)


def build_flow(**settings: Unpack[SettingArguments]) -> Flow:
    """The flow; its entry is `files`, which takes a `folder` and a `limit`."""
    flow = Flow("standard_library", **settings)
    flow.chain(files, read, parse, measure_structure)
    flow.connect(parse, measure_imports)
    flow.connect("measure_structure", "output", combine, "structure")
    flow.connect("measure_imports", "output", "combine", "imports")
    flow.connect("combine", "output", ranking, "modules")
    flow.connect("read", "error", complain, "failure")
    flow.connect("parse", "error", "complain", "failure")
    flow.connect("complain", "output", broken, "complaints")
    return flow
