"""Trials as a fixture, what those on a cluster share, and the table of their counts."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from routilux.drivers.cluster.dask_local import LocalDask
from tests.faults.program import Case
from tests.faults.trials import SIZE, Counted, Trials, table


@pytest.fixture
def trials(tmp_path: Path, record_property) -> Trials:
    """Runs trials of one fault in one mode."""
    return Trials(tmp_path, record_property)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[str]:
    """The address of a cluster of two workers that many trials use, one after another."""
    dask = LocalDask(2)
    yield dask.address
    dask.close()


@pytest.fixture
def cluster(mode: str, request: pytest.FixtureRequest) -> str | None:
    """Where the trials of a mode run; none but in distributed mode."""
    address: str | None = request.getfixturevalue("shared_cluster") if mode == "distributed" else None
    return address


@pytest.fixture
def case_of(mode: str, cluster: str | None) -> Callable[..., Case]:
    """Makes the job of a trial; on a cluster, where each step takes milliseconds, it is a small one."""
    return partial(Case, mode=mode) if cluster is None else partial(Case, mode=mode, cluster=cluster, count=30)


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
