"""What the demo prints."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from routilux.demo.show import SHOWN_BROKEN, run_demo
from routilux.execution_mode import ExecutionMode


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "easy.py").write_text("def f():\n    return 1\n")
    (tmp_path / "hard.py").write_text("def f(x):\n    return 1 if x else 2\n")
    for number in range(SHOWN_BROKEN + 2):
        (tmp_path / f"broken{number}.py").write_text("def f(:\n")
    return tmp_path


def shown(directory: Path, *, terminal: bool = False, modes: tuple[ExecutionMode, ...] = ()) -> str:
    text = StringIO()
    console = Console(file=text, width=100, markup=False, highlight=False, emoji=False, force_terminal=terminal)
    run_demo(directory, modes=modes, console=console)
    return text.getvalue()


def test_it_shows_ranking_failures_reports_and_times_of_each_mode(tree: Path) -> None:
    text = shown(tree)
    assert text.index("hard.py") < text.index("easy.py")
    assert f"2 modules measured, {SHOWN_BROKEN + 2} failures handled:" in text
    assert "... and 2 more" in text
    assert text.count("Bottleneck: ") == len(ExecutionMode)
    assert "The results are equal in all modes." in text
    for mode in ExecutionMode:
        assert f"Tracker's report, {mode} mode" in text


def test_without_a_terminal_it_prints_plain_text(tree: Path) -> None:
    assert "\x1b" not in shown(tree)


def test_on_a_terminal_it_draws_a_progress_bar_for_each_mode(tree: Path) -> None:
    text = shown(tree, terminal=True)
    assert text.count("9/9") >= len(ExecutionMode)


def test_only_the_modes_asked_for_are_run(tree: Path) -> None:
    text = shown(tree, modes=(ExecutionMode.CONCURRENT,))
    assert "sequential" not in text
    assert "equal in all modes" not in text


def test_names_of_files_are_printed_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "[bold]").mkdir()
    (tmp_path / "[bold]" / "[").write_text("")
    (tmp_path / "[bold]" / ":smile:.py").write_text("x = 1\n")
    assert "[bold]/:smile:.py" in shown(tmp_path)


def test_a_directory_without_python_files_is_no_error(tmp_path: Path) -> None:
    assert "0 modules measured, 0 failures handled." in shown(tmp_path)
