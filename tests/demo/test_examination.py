"""The demo on real files: its numbers against an independent computation, and equal in every mode."""

import ast
import functools
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from routilux.demo import build_flow
from routilux.demo.comparison import Run, all_equal, run_in
from routilux.demo.measures import Broken, Module
from routilux.demo.source import python_files, standard_library, tree_of
from routilux.execution_mode import ExecutionMode

BROKEN = {
    "bytes.py": (b"x = '\xff\xfe'\n", "read"),
    "encoding.py": (b"# -*- coding: no-such-codec -*-\n", "read"),
    "syntax.py": (b"def f(:\n", "parse"),
    "null.py": (b"x = 1\x00\n", "parse"),
    "deep.py": (b"x = " + b"(" * 5_000 + b"1" + b")" * 5_000 + b"\n", "parse"),
}
"""Files that cannot be examined, and the routine that is to notice it."""

BRANCHES = ["If", "IfExp", "For", "AsyncFor", "While", "ExceptHandler", "comprehension", "match_case", "Assert"]

every_mode = pytest.mark.parametrize("mode", [mode for mode in ExecutionMode if mode is not ExecutionMode.DISTRIBUTED])
"""A cluster takes seconds to start, so it is only in the test of all modes together."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of the standard library as they are, and files broken in every way we know."""
    directory = tmp_path_factory.mktemp("tree")
    for package in ("json", "email", "asyncio"):
        shutil.copytree(standard_library() / package, directory / package)
    for name, (raw, _) in BROKEN.items():
        (directory / name).write_bytes(raw)
    return directory


@pytest.fixture(scope="module")
def run_of(tree: Path) -> Callable[[ExecutionMode], Run]:
    """The examination of the tree in a mode, which is made once."""
    return functools.cache(lambda mode: examined(tree, mode))


def counted(node: ast.AST) -> tuple[int, int, int, int, int]:
    """Functions, classes, branches, docstrings and imports below a node, by plain recursion."""
    kind = type(node).__name__
    function = kind in {"FunctionDef", "AsyncFunctionDef"}
    branches = len(getattr(node, "values", ())) - 1 if kind == "BoolOp" else kind in BRANCHES
    named = function or kind in {"ClassDef", "Module"}
    documented = named and ast.get_docstring(node) is not None  # type: ignore[arg-type]
    own = (function, kind == "ClassDef", branches, documented, len(node.names) if "Import" in kind else 0)  # type: ignore[attr-defined]
    return tuple(map(sum, zip(own, *map(counted, ast.iter_child_nodes(node)), strict=True)))  # type: ignore[return-value]


def examined(directory: Path, mode: ExecutionMode, limit: int | None = None) -> Run:
    return run_in(mode, build_flow(), directory, limit)


def numbers(module: Module) -> tuple[int, int, int, int, int]:
    return module.functions, module.classes, module.branches, module.docstrings, module.imports


@every_mode
def test_the_numbers_are_those_of_an_independent_computation(
    tree: Path, mode: ExecutionMode, run_of: Callable[[ExecutionMode], Run]
) -> None:
    expected = {
        path.relative_to(tree).as_posix(): counted(ast.parse(path.read_bytes()))
        for path in tree.rglob("*.py")
        if path.name not in BROKEN or path.parent != tree
    }
    found = run_of(mode).survey.ranking
    assert {module.name: numbers(module) for module in found} == expected
    assert len(found) == len(expected) > 50


@every_mode
def test_the_most_complex_module_stands_first(mode: ExecutionMode, run_of: Callable[[ExecutionMode], Run]) -> None:
    ranking = run_of(mode).survey.ranking
    assert [module.complexity for module in ranking] == sorted((one.complexity for one in ranking), reverse=True)


@every_mode
def test_each_broken_file_is_a_failure_of_the_routine_that_noticed_it(
    mode: ExecutionMode, run_of: Callable[[ExecutionMode], Run]
) -> None:
    broken = run_of(mode).survey.broken
    assert {file.name: file.routine_id for file in broken} == {name: where for name, (_, where) in BROKEN.items()}
    assert all(file.reason for file in broken)


@every_mode
def test_the_job_completes_and_counts_every_broken_file(tree: Path, mode: ExecutionMode) -> None:
    job = build_flow(execution_mode=mode).execute("walk", {"directory": tree})
    assert (job.status, job.error_count, job.stranded) == ("completed", len(BROKEN), [])
    assert len(job.results["examined"]) == len(list(python_files(tree)))


@every_mode
def test_the_files_that_the_library_breaks_on_purpose_are_counted_exactly(mode: ExecutionMode) -> None:
    directory = standard_library() / "test" / "tokenizedata"
    if not directory.is_dir():
        pytest.skip("this Python comes without the tests of its library")
    expected = set()
    for path in directory.glob("*.py"):
        try:
            ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            expected.add(path.name)
    assert {file.name for file in examined(directory, mode).survey.broken} == expected != set()


def test_every_mode_finds_the_same(run_of: Callable[[ExecutionMode], Run]) -> None:
    assert all_equal([run_of(mode) for mode in ExecutionMode])


def test_a_limit_takes_the_first_files_in_a_fixed_order(tree: Path) -> None:
    survey = examined(tree, ExecutionMode.SEQUENTIAL, limit=7).survey
    names = {file.name for file in (*survey.ranking, *survey.broken)}
    assert names == set(list(python_files(tree))[:7])


@every_mode
def test_an_empty_directory_gives_an_empty_survey(tmp_path: Path, mode: ExecutionMode) -> None:
    survey = examined(tmp_path, mode).survey
    assert (survey.ranking, survey.broken) == ((), ())


def test_a_directory_may_be_a_text_as_in_the_params_of_the_command_line(tree: Path) -> None:
    job = build_flow().execute("walk", {"directory": str(tree)})
    assert job.results["rank"] == [examined(tree, ExecutionMode.SEQUENTIAL).survey.ranking]


def test_installed_packages_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "theirs.py").write_text("")
    (tmp_path / "ours.py").write_text("")
    assert list(python_files(tmp_path)) == ["ours.py"]


@every_mode
def test_a_file_that_cannot_be_opened_is_a_handled_failure(tmp_path: Path, mode: ExecutionMode) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (broken,) = examined(tmp_path, mode).survey.broken
    assert (broken.name, broken.routine_id) == ("gone.py", "read")
    assert isinstance(broken, Broken)


@every_mode
def test_what_the_compiler_warns_of_is_neither_shown_nor_a_failure(tmp_path: Path, mode: ExecutionMode) -> None:
    for number in range(20):
        (tmp_path / f"old{number}.py").write_text("pattern = '\\d'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        survey = examined(tmp_path, mode).survey
    assert (len(survey.ranking), survey.broken) == (20, ())


def test_other_code_is_warned_as_before() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree_of("pattern = '\\d'\n")
        with pytest.raises(SyntaxError):
            ast.parse("pattern = '\\d'\n")
