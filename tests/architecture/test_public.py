"""What `import routilux` gives, and what it costs."""

import json
import subprocess
import sys

import routilux

# The promise to users: a name that appears here or goes needs a line in the changelog.
PUBLIC_NAMES = [
    "ActivationStatus",
    "Context",
    "Continue",
    "ErrorStrategy",
    "ExecutionTracker",
    "Failure",
    "Flow",
    "Job",
    "JobStatus",
    "Retry",
    "Routine",
    "Skip",
    "Stop",
    "Stream",
    "all_slots",
    "batch",
    "collect",
    "first",
    "gather",
    "keyed",
    "routine",
]

THIRD_PARTY_ALLOWED = {"fastdigest"}

# What an interpreter loads at its own start, such as the finder of an editable installation, is not ours.
LIST_WHAT_THE_IMPORT_LOADS = """
import json, sys
before = set(sys.modules)
import routilux
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_importing_routilux_loads_no_third_party_package_that_a_flow_does_not_need() -> None:
    command = [sys.executable, "-c", LIST_WHAT_THE_IMPORT_LOADS]
    loaded = set(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert "routilux" in loaded
    assert loaded - set(sys.stdlib_module_names) - {"routilux"} <= THIRD_PARTY_ALLOWED


def test_the_public_names_are_the_committed_ones() -> None:
    assert routilux.__all__ == PUBLIC_NAMES


def test_the_public_names_are_sorted() -> None:
    assert list(routilux.__all__) == sorted(routilux.__all__)


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in routilux.__all__ if not hasattr(routilux, name)] == []
