"""Trials as a fixture, and the table of their counts."""

from pathlib import Path

import pytest

from tests.faults.trials import SIZE, Counted, Trials, table


@pytest.fixture
def trials(tmp_path: Path, record_property) -> Trials:
    """Runs trials of one fault in one mode."""
    return Trials(tmp_path, record_property)


def pytest_terminal_summary(terminalreporter) -> None:
    counts = [
        Counted(*value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if name == "trials"
    ]
    if counts:
        terminalreporter.section(f"trials ({SIZE})")
        for line in table(counts):
            terminalreporter.line(line)
