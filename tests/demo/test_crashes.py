"""The crash demo: what it prints, and that kills change nothing."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from routilux.demo.crashes import run_crash_demo
from routilux.demo.source import standard_library
from routilux.execution_mode import ExecutionMode

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("mode", [ExecutionMode.SEQUENTIAL, ExecutionMode.CONCURRENT])
def test_an_examination_that_is_killed_again_and_again_finds_the_same(mode: ExecutionMode) -> None:
    text = StringIO()
    console = Console(file=text, width=120, markup=False, highlight=False, emoji=False)
    assert run_crash_demo(standard_library() / "json", mode=mode, kills=2, console=console)
    assert "Its result equals the undisturbed run's: " in text.getvalue()
    assert "Emissions that came twice: 0, of " in text.getvalue()


def test_files_that_cannot_be_examined_are_found_again_too(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"broken{number}.py").write_text("def f(:\n")
        (tmp_path / f"bytes{number}.py").write_bytes(b"\xff\xff")
    assert run_crash_demo(tmp_path, kills=2, max_workers=2, console=Console(file=StringIO()))
