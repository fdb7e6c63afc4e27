"""What must never happen, and the tests that answer it: `tests/README.md` names them."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent


def test_every_test_that_the_table_names_exists():
    named = set(re.findall(r"::(test_\w+)", (TESTS / "README.md").read_text(encoding="utf-8")))
    written = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named - written == set()
