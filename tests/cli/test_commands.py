"""Every documented command, run as a user would."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

FLOWS = """
from routilux import Flow
orders = Flow("orders")
orders.add_routine(lambda items: len(items), "count")
number = 3
def build():
    return orders
def build_from(path):
    return orders
def wrong():
    return 3
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The current directory of the commands: two modules, one of which cannot be imported."""
    (tmp_path / "shop.py").write_text(FLOWS)
    (tmp_path / "incomplete.py").write_text("import no_such_package\n")
    return tmp_path


def routilux(directory: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    start = f"import sys\n{before}\nfrom routilux.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["demo", "--help"], ["graph", "--help"]])
def test_help_shows_examples(directory: Path, arguments: list[str]) -> None:
    done = routilux(directory, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"routilux {arguments[0] if len(arguments) > 1 else 'demo'}" in done.stdout.partition("Examples:")[2]


def test_version_is_that_of_the_installed_package(directory: Path) -> None:
    done = routilux(directory, "--version")
    assert (done.returncode, done.stdout) == (0, f"{version('routilux')}\n")


def test_the_package_can_be_run_as_a_module(directory: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "routilux.cli", "--version"], cwd=directory, timeout=50, check=False)
    assert done.returncode == 0


def test_demo_examines_a_directory_in_every_mode(directory: Path) -> None:
    done = routilux(directory, "demo", ".")
    assert (done.returncode, done.stderr) == (0, "")
    assert "equal in all modes" in done.stdout


def test_demo_examines_a_part_of_the_standard_library_in_one_mode(directory: Path) -> None:
    done = routilux(directory, "demo", "--mode", "concurrent", "--limit", "10", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "Examining 10 Python files" in done.stdout
    assert "sequential" not in done.stdout


@pytest.mark.parametrize("wrong", [["nowhere"], [".", "--limit", "0"], [".", "--mode", "quick"], ["--workers", "x"]])
def test_demo_refuses_what_means_nothing(directory: Path, wrong: list[str]) -> None:
    done = routilux(directory, "demo", *wrong)
    assert done.returncode == 2
    assert "Invalid value" in done.stderr


@pytest.mark.parametrize("target", ["shop:orders", "shop:build"])
def test_graph_draws_a_flow_or_what_a_function_builds(directory: Path, target: str) -> None:
    text = routilux(directory, "graph", target)
    diagram = routilux(directory, "graph", target, "--format", "mermaid")
    assert text.stdout.startswith("Flow 'orders': 1 routine"), text.stderr
    assert diagram.stdout.startswith("flowchart LR"), diagram.stderr


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("shop", "names no flow. Write module:flow."),
        ("shop:order", "Did you mean 'orders'?"),
        ("shop:number", "is a int, not a Flow"),
        ("shop:wrong", "gave a int, not a Flow"),
        ("shop:build_from", "because it needs 'path'"),
        ("shop.py:orders", "it would be shop."),
        (".shop:orders", "is not the name of a module"),
        ("nowhere:orders", "There is no module 'nowhere'"),
        ("shop.inner:orders", "There is no module 'shop.inner'"),
    ],
)
def test_graph_says_what_is_wrong_with_a_target(directory: Path, target: str, message: str) -> None:
    done = routilux(directory, "graph", target)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_that_misses_another_is_not_called_missing_itself(directory: Path) -> None:
    done = routilux(directory, "graph", "incomplete:orders")
    assert done.returncode == 1
    assert "No module named 'no_such_package'" in done.stderr


@pytest.mark.parametrize("package", ["cyclopts", "msgspec", "rich"])
def test_without_the_extra_the_command_says_what_to_install(directory: Path, package: str) -> None:
    done = routilux(directory, "demo", before=f"sys.modules[{package!r}] = None")
    assert done.returncode == 1
    assert "pip install 'routilux[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
