"""Exporters whose extra is missing say what to install; the others need nothing but Python."""

import subprocess
import sys

import pytest


def imported(module: str, *missing: str) -> subprocess.CompletedProcess[str]:
    absent = f"import sys\nfor name in {missing!r}: sys.modules[name] = None\n"
    command = [sys.executable, "-c", f"{absent}import routilux.exporters.{module}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("otel", "opentelemetry", "otel"), ("prometheus", "prometheus_client", "prometheus")],
)
def test_a_missing_extra_is_named_with_the_way_to_install_it(module: str, package: str, extra: str) -> None:
    done = imported(module, package)
    assert done.returncode == 1
    assert f"MissingExtraError: Exporting metrics needs the package '{package}', which is not installed." in done.stderr
    assert f"pip install 'routilux[{extra}]'" in done.stderr


@pytest.mark.parametrize("module", ["chrome", "html"])
def test_files_are_written_without_any_extra(module: str) -> None:
    assert imported(module, "opentelemetry", "prometheus_client", "playwright", "rich", "cyclopts").returncode == 0
