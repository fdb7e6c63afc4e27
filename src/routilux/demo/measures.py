"""What the demo says of a module: small frozen values, and how they come from a syntax tree.

Trees are ten times as large as the text, and stay where they were made; only these travel further.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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
class Outline:
    """What is left of a module's syntax tree."""

    name: str
    nodes: dict[str, int]
    """How many there are of each class of `ast`."""
    operators: int
    """How many `and` and `or` there are."""
    docstrings: int
    """Of the module, its classes and functions."""
    imports: int
    """How many names are imported."""


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


def outline_of(name: str, tree: ast.Module) -> Outline:
    """Counts what there is in a tree, in one walk over it."""
    nodes: Counter[str] = Counter()
    operators = docstrings = imports = 0
    for node in ast.walk(tree):
        nodes[type(node).__name__] += 1
        if isinstance(node, ast.BoolOp):
            operators += len(node.values) - 1
        elif isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTIONS)):
            docstrings += ast.get_docstring(node, clean=False) is not None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            imports += len(node.names)
    return Outline(name, dict(nodes), operators, docstrings, imports)


def structure_of(outline: Outline) -> Structure:
    """Functions, classes and branches, nested ones included."""

    def count(*kinds: type[ast.AST]) -> int:
        return sum(outline.nodes.get(kind.__name__, 0) for kind in kinds)

    branches = count(*_BRANCHES) + outline.operators
    return Structure(outline.name, count(*_FUNCTIONS), count(ast.ClassDef), branches)


def wording_of(outline: Outline) -> Wording:
    """Docstrings and imported names."""
    return Wording(outline.name, outline.docstrings, outline.imports)


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
