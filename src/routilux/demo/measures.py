"""What the demo says of a module: small frozen values, and how they come from a syntax tree.

Trees are large and stay between the routine that parses and those that measure; only these travel further.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.comprehension,
    ast.match_case,
    ast.Assert,
)
"""Where execution may go two ways; a chain of `and` or `or` counts besides, once for each operator."""


@dataclass(frozen=True, slots=True)
class Structure:
    """How much there is to follow in one module."""

    name: str
    functions: int
    classes: int
    branches: int


@dataclass(frozen=True, slots=True)
class Wording:
    """What one module says of itself, and whom it names."""

    name: str
    docstrings: int
    imports: int


@dataclass(frozen=True, slots=True)
class Module:
    """All that is measured of one module; `name` is its path below the directory examined."""

    name: str
    functions: int
    classes: int
    branches: int
    docstrings: int
    imports: int

    @property
    def complexity(self) -> int:
        """The sum of McCabe's number over its functions: one for each, and one for each branch."""
        return self.functions + self.branches


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that could not be examined, where that was noticed, and why."""

    name: str
    routine_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The outcome of one examination, equal whenever the same files were examined."""

    ranking: tuple[Module, ...]
    """The most complex module first, and by name where two are equal."""
    broken: tuple[Broken, ...]
    """By name."""


def structure_of(name: str, tree: ast.Module) -> Structure:
    """Counts functions, classes and branches, nested ones included."""
    functions = classes = branches = 0
    for node in ast.walk(tree):
        if isinstance(node, Function):
            functions += 1
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, ast.BoolOp):
            branches += len(node.values) - 1
        elif isinstance(node, _BRANCHES):
            branches += 1
    return Structure(name, functions, classes, branches)


def wording_of(name: str, tree: ast.Module) -> Wording:
    """Counts docstrings (of the module, classes and functions) and imported names."""
    docstrings = imports = 0
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, Function)):
            docstrings += ast.get_docstring(node, clean=False) is not None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            imports += len(node.names)
    return Wording(name, docstrings, imports)


def joined(structure: Structure, wording: Wording) -> Module:
    """The two halves of one module together."""
    return Module(
        structure.name,
        structure.functions,
        structure.classes,
        structure.branches,
        wording.docstrings,
        wording.imports,
    )
