"""The flow of the demo: what its routines are, and how they are connected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from routilux.api import Flow
from routilux.demo import source
from routilux.demo.measures import (
    Broken,
    Module,
    Outline,
    Structure,
    Wording,
    joined,
    outline_of,
    structure_of,
    wording_of,
)
from routilux.facts import Failure
from routilux.firing import collect, keyed
from routilux.guard import text_of
from routilux.routine import FunctionRoutine, routine
from routilux.settings import SettingArguments
from routilux.strategies import Continue


@dataclass(frozen=True, slots=True)
class File:
    """A file to examine: the directory, and its path below it."""

    directory: Path
    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """The source text of one file."""

    name: str
    text: str


@routine
def walk(directory: Path | str, limit: int | None = None) -> Iterator[File]:
    """Finds the files; it is asked for the next one when there is room for it."""
    directory = Path(directory)
    for name in source.python_files(directory, limit):
        yield File(directory, name)


@routine(error_strategy=Continue())
def read(file: File) -> Text:
    """Reads and decodes one."""
    return Text(file.name, source.decoded((file.directory / file.name).read_bytes()))


@routine(error_strategy=Continue())
def parse(source_text: Text) -> Outline:
    """Parses it, and hands on what is to be known of the tree."""
    return outline_of(source_text.name, source.tree_of(source_text.text))


@routine
def structure(parsed: Outline) -> Structure:
    """Measures what is to be followed."""
    return structure_of(parsed)


@routine
def wording(parsed: Outline) -> Wording:
    """Measures what is said."""
    return wording_of(parsed)


@routine(fires=keyed("name"))
def join(structure: Structure, wording: Wording) -> Module:
    """Puts the two measures of a module together, whichever comes first."""
    return joined(structure, wording)


@routine
def failed(failure: Failure) -> Broken:
    """Keeps of a failure what a reader wants to know, and lets go of the text of the file."""
    assert failure.arguments is not None
    (examined,) = failure.arguments.values()
    error = failure.error
    reason = error.msg if isinstance(error, SyntaxError) else text_of(error)
    return Broken(examined.name, failure.routine_id, f"{type(error).__name__}: {reason}")


@routine
def examined(file: Module | Broken) -> str:
    """Says that a file is done. This leaves the flow, so that whoever streams it can show how far it is."""
    return file.name


@routine(fires=collect())
def rank(modules: list[Module]) -> tuple[Module, ...]:
    """Orders all modules, the most complex first."""
    return tuple(sorted(modules, key=lambda module: (-module.complexity, module.name)))


@routine(fires=collect())
def broken(files: list[Broken]) -> tuple[Broken, ...]:
    """Lists the files that could not be examined."""
    return tuple(sorted(files, key=lambda file: file.name))


Told: TypeAlias = Callable[[str, str], None]
"""Is told before a handler examines a file: the name of its routine, and that of the file."""


def build_flow(told: Told | None = None, **settings: Unpack[SettingArguments]) -> Flow:
    """The flow, with settings as `Flow` takes them; enter at `walk` with a `directory` and perhaps a `limit`.

    What leaves it: the name of each file from `examined`, and at the end one tuple each from `rank` and `broken`.
    """
    flow = Flow("examination", **settings)
    for one in (read, parse, structure, wording):
        flow.add_routine(one if told is None else _telling(one, told))
    flow.chain(walk, "read", "parse")
    for measure in ("structure", "wording"):
        flow.connect("parse", measure)
        flow.connect(measure, "output", join, measure)
    for faulty in ("read", "parse"):
        flow.connect(faulty, "error", failed, "failure")
    flow.connect(join, rank)
    flow.connect(failed, broken)
    for done in (join, failed):
        flow.connect(done, examined)
    return flow


def _telling(one: FunctionRoutine[[Any], Any], told: Told) -> FunctionRoutine[[Any], Any]:
    """The same routine, which tells what it is about to do."""

    @wraps(one.__wrapped__)
    def handler(*given: Any, **named: Any) -> Any:
        (file,) = (*given, *named.values())
        told(one.name, file.name)
        return one.__wrapped__(*given, **named)

    return routine(error_strategy=one.options.strategy)(handler)
