"""How many of something, in words."""

import pytest

from routilux.plurals import counted


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (1, "job", "1 job"),
        (0, "job", "0 jobs"),
        (1394, "entry", "1,394 entries"),
        (1, "entry", "1 entry"),
        (2, "process", "2 processes"),
    ],
)
def test_one_is_not_several(count, noun, said):
    assert counted(count, noun) == said
