"""Runs the Python blocks of the README and of `docs/` as tests.

Blocks of one file share their names, top to bottom.
`<!--- skip: next -->` above a block leaves it out.
"""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
).pytest()
