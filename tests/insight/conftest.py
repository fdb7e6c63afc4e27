"""A job that has not been told yet."""

import pytest
from tales import Tale


@pytest.fixture
def tale():
    return Tale()
