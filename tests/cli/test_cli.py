"""Every documented command, run as a user would."""

from __future__ import annotations

import subprocess
import sys

import pytest

RUN = "import sys; from routilux.cli import main; sys.argv[0] = 'routilux'; main()"


def routilux(*arguments: str, cwd=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )


@pytest.fixture
def flows(tmp_path):
    """A folder with a module that has a flow."""
    (tmp_path / "my_flows.py").write_text(
        "from routilux import Flow, routine\n"
        "orders = Flow('orders')\n"
        "orders.add_routine(lambda items: len(items), 'count')\n"
        "def make():\n    return orders\n"
        "number = 3\n"
    )
    return tmp_path


def test_help_names_the_commands():
    done = routilux("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "graph" in done.stdout


@pytest.mark.parametrize("command", ["demo", "graph"])
def test_the_help_of_each_command_has_examples(command):
    done = routilux(command, "--help")
    assert done.returncode == 0
    assert f"routilux {command}" in done.stdout


def test_version_prints_the_version():
    assert routilux("--version").stdout.strip() == "0.1.0"


def test_demo_examines_a_folder_in_one_mode(tmp_path):
    (tmp_path / "good.py").write_text("def f():\n    return 1\n")
    (tmp_path / "bad.py").write_text("def f(:\n")
    done = routilux("demo", str(tmp_path), "--mode", "concurrent")
    assert done.returncode == 0, done.stderr
    assert "Examining 2 Python files" in done.stdout
    assert "1 files could not be examined" in done.stdout
    assert "sequential" not in done.stdout


def test_demo_says_where_there_is_no_folder(tmp_path):
    done = routilux("demo", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "There is no folder" in done.stderr


def test_demo_refuses_a_limit_that_means_nothing(tmp_path):
    done = routilux("demo", str(tmp_path), "--limit", "0")
    assert done.returncode == 2
    assert "--limit" in done.stderr


@pytest.mark.parametrize("name", ["orders", "make"])
def test_graph_shows_a_flow_or_what_a_function_makes(flows, name):
    done = routilux("graph", f"my_flows:{name}", cwd=flows)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Flow 'orders': 1 routine")
    assert routilux("graph", f"my_flows:{name}", "--format", "mermaid", cwd=flows).stdout.startswith("flowchart LR")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("my_flows", "Write module:name"),
        ("no_such_module:flow", "There is no module 'no_such_module'"),
        ("my_flows:order", "Did you mean 'orders'?"),
        ("my_flows:number", "is no flow"),
    ],
)
def test_graph_says_what_is_wrong_with_the_place_of_a_flow(flows, place, said):
    done = routilux("graph", place, cwd=flows)
    assert done.returncode == 2
    assert said in done.stderr


def test_without_the_extra_the_command_says_what_to_install():
    hidden = "import sys; sys.modules['cyclopts'] = None; from routilux.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'routilux[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
