"""The demonstration, on real files: its numbers against an independent computation."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console

from routilux.demo.flow import build_flow, python_files
from routilux.demo.show import quiet_compiler, run_demo, standard_library
from routilux.settings import ExecutionMode

FOLDERS = ["json", "email", "lib2to3/tests", "asyncio"]
"""Folders of the standard library; where `lib2to3` still exists, it has files that are no Python 3."""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """A folder of real files of the library, and some that are broken in ways of their own."""
    folder = tmp_path_factory.mktemp("library")
    for name in FOLDERS:
        for path in python_files(standard_library() / name):
            copy = folder / name / path.relative_to(standard_library() / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (folder / "broken_syntax.py").write_text("def f(:\n")
    (folder / "broken_bytes.py").write_bytes(b"x = '\xff\xfe'\n")
    (folder / "broken_cookie.py").write_bytes(b"# -*- coding: no-such-codec -*-\n")
    (folder / "broken_null.py").write_bytes(b"x = 1\x00\n")
    return folder


def by_hand(folder: Path) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """The same numbers, counted by a plain loop."""
    kinds = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.match_case)
    found, broken = {}, set()
    for path in folder.rglob("*.py"):
        name = str(path.relative_to(folder))
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            broken.add(name)
            continue
        nodes = list(ast.walk(tree))
        functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        documented = [*functions, tree, *(node for node in nodes if isinstance(node, ast.ClassDef))]
        docstrings = [node for node in documented if ast.get_docstring(node, clean=False) is not None]
        imported = sum(len(node.names) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)))
        branches = sum(isinstance(node, kinds) for node in nodes)
        found[name] = (len(functions), branches, len(docstrings), imported)
    return found, broken


@pytest.mark.parametrize("mode", list(ExecutionMode))
def test_the_numbers_are_those_of_an_independent_computation(library, mode):
    with quiet_compiler():
        expected, expected_broken = by_hand(library)
        job = build_flow(execution_mode=mode).execute("files", {"folder": library}).raise_for_status()
    (modules,), (broken,) = job.results.of("ranking", "output"), job.results.of("broken", "output")
    found = {
        one.path: (one.structure.functions, one.structure.branches, one.structure.docstrings, one.imports)
        for one in modules
    }
    assert found == expected
    assert {name for name, _, _ in broken} == expected_broken
    assert expected_broken >= {f"broken_{kind}.py" for kind in ("syntax", "bytes", "cookie", "null")}
    assert len(found) > 80
    branches = [one.structure.branches for one in modules]
    assert branches == sorted(branches, reverse=True)


def test_broken_files_are_failures_of_the_routine_that_met_them(library):
    with quiet_compiler():
        job = build_flow().execute("files", {"folder": library})
    (broken,) = job.results.of("broken", "output")
    where = {name: routine_id for name, routine_id, _ in broken}
    assert where["broken_bytes.py"] == "read"
    assert where["broken_cookie.py"] == "read"
    assert where["broken_syntax.py"] == "parse"
    assert job.status == "completed"
    assert job.error_count == len(broken)
    assert job.stranded == []


def test_the_demonstration_shows_ranking_report_and_times_for_each_mode(library):
    text = io.StringIO()
    assert run_demo(library, list(ExecutionMode), limit=30, console=Console(file=text, width=120))
    shown = text.getvalue()
    assert "Examining 30 Python files" in shown
    assert shown.count("Bottleneck: ") == len(ExecutionMode)
    assert "Most branches" in shown
    assert "files could not be examined, and were handled" in shown
    assert "All modes found the same." in shown
    for mode in ExecutionMode:
        assert mode in shown
