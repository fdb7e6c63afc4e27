"""What tests cannot ask of some versions of Python."""

import sys

import pytest

threads_at_the_end = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 3), reason="Python 3.12.0 to 3.12.2 starts no thread once its program ends"
)
"""Of what goes on after the end of a program and needs another thread then."""
