"""What is measured of one Python file."""

from __future__ import annotations

import ast
from dataclasses import dataclass

BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.match_case)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that could be read."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file that could be parsed."""

    path: str
    lines: int
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Structure:
    """How much there is in a file, and how much of it is explained."""

    path: str
    lines: int
    functions: int
    branches: int
    docstrings: int


@dataclass(frozen=True, slots=True)
class Imports:
    """How many names a file imports."""

    path: str
    imports: int


@dataclass(frozen=True, slots=True)
class Module:
    """All that is known of a file."""

    structure: Structure
    imports: int

    @property
    def path(self) -> str:
        """The file, relative to the folder that was examined."""
        return self.structure.path


def structure_of(parsed: Parsed) -> Structure:
    """Counts functions, branches and docstrings."""
    nodes = list(ast.walk(parsed.tree))
    return Structure(
        parsed.path,
        parsed.lines,
        functions=sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in nodes),
        branches=sum(isinstance(node, BRANCHES) for node in nodes),
        docstrings=sum(
            isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None for node in nodes
        ),
    )


def imports_of(parsed: Parsed) -> Imports:
    """Counts imported names."""
    nodes = (node for node in ast.walk(parsed.tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    return Imports(parsed.path, sum(len(node.names) for node in nodes))
