"""Reports where a terminal is, and where none is."""

from io import StringIO

from rich.console import Console

from routilux.advice.explanation import explain_trace
from routilux.cli.shown import show
from tests.insight.tales import fan


def test_a_terminal_is_given_tables_with_bars() -> None:
    console = Console(force_terminal=True, file=StringIO(), width=150, legacy_windows=False)
    show(explain_trace(fan(40, cpu=10.0)), as_json=False, console=console)
    assert isinstance(console.file, StringIO)
    drawn = console.file.getvalue()
    assert "█" in drawn
    assert "holds the GIL" in drawn


def test_without_a_terminal_it_is_plain_text(capsys) -> None:  # type: ignore[no-untyped-def]
    show(explain_trace(fan(40, cpu=10.0)), as_json=False, console=Console(file=StringIO()))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "##########" in printed
