"""What can be counted of the project's taste, counted over the package as it is installed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import routilux

PACKAGE = Path(routilux.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MAX_LINES_OF_A_FILE = 400
MAX_LINES_OF_A_FUNCTION = 60
MAX_METHODS_OF_A_CLASS = 18
# What users see of a flow and of a job has a method for each thing that can be asked of it.
FACES = {"api.py": 26, "job.py": 24}

NAMES_THAT_SAY_NOTHING = re.compile(r"_?(utils?|helpers?|common|base|managers?|services?|misc|compat)")

# Whoever may import while it runs: {file: the modules it may load so}.
LATE_IMPORTS: dict[str, set[str]] = {}

# Where the user's code is called, and nowhere else.
MAY_CATCH_EVERYTHING = {
    "guard.py",
    "drivers/runner.py",
    "drivers/far.py",
    "drivers/invoke.py",
    "drivers/measuring.py",
    "drivers/sequential.py",
    "drivers/threads.py",
}

# Whatever gives the machine a moment, a thread, a chance or a voice of its own.
KEPT_FROM_THE_MACHINE = {
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "secrets",
    "threading",
    "time",
    "uuid",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_in(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def modules_imported_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind).split(".")[-1] in {"Exception", "BaseException"} for kind in kinds)


every_file = pytest.mark.parametrize("path", FILES, ids=name_of)


def test_the_package_has_files_to_look_at() -> None:
    assert "machine/machine.py" in {name_of(path) for path in FILES}


@every_file
def test_a_file_is_named_after_what_it_holds(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert [part for part in parts if NAMES_THAT_SAY_NOTHING.fullmatch(part)] == []


@every_file
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES_OF_A_FILE


@every_file
def test_a_function_fits_on_a_screen(path: Path) -> None:
    lengths = {function.name: lines_of(function) for function in functions_in(tree_of(path))}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES_OF_A_FUNCTION} == {}


@every_file
def test_a_class_does_not_do_everything(path: Path) -> None:
    classes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]
    limit = FACES.get(name_of(path), MAX_METHODS_OF_A_CLASS)
    methods = {one.name: sum(isinstance(node, Function) for node in one.body) for one in classes}
    assert {name: count for name, count in methods.items() if count > limit} == {}


@every_file
def test_imports_stand_at_the_top(path: Path) -> None:
    late = {module for function in functions_in(tree_of(path)) for module in modules_imported_in(function)}
    assert late <= LATE_IMPORTS.get(name_of(path), set())


@every_file
def test_no_function_rebinds_a_global(path: Path) -> None:
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Global)] == []


@every_file
def test_no_import_is_for_the_type_checker_only(path: Path) -> None:
    guards = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.If)]
    assert [node.lineno for node in guards if "TYPE_CHECKING" in ast.unparse(node.test)] == []


@every_file
def test_everything_is_caught_only_where_the_users_code_is_called(path: Path) -> None:
    handlers = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]
    lines = [handler.lineno for handler in handlers if catches_everything(handler)]
    assert lines == [] or name_of(path) in MAY_CATCH_EVERYTHING


@pytest.mark.parametrize("path", sorted((PACKAGE / "machine").rglob("*.py")), ids=name_of)
def test_the_machine_has_no_clock_no_thread_no_chance_and_no_log(path: Path) -> None:
    imported = {module.split(".")[0] for module in modules_imported_in(tree_of(path))}
    assert imported & KEPT_FROM_THE_MACHINE == set()
