"""A job that has not been told yet."""

import pytest

from tests.insight.tales import Tale


@pytest.fixture
def tale():
    return Tale()
