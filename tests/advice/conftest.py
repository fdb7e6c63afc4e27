"""A way to try flows that are only told of."""

import pytest

from routilux.advice.candidates import Candidate, Recorded, Trials
from routilux.advice.placing import settings_of


class ToldTrials(Trials):
    """Says what it was made with, and what each configuration takes by a function."""

    def __init__(self, trace, takes, unsendable):
        self.trace, self.takes, self.unsendable = trace, takes, unsendable
        self.tried = []

    def record(self, settings):
        return Recorded(self.trace, self.unsendable)

    def candidate(self, configuration):
        return Candidate(configuration, settings_of(configuration, configuration.modes))

    def times(self, candidates, repeats):
        self.tried = [str(one.configuration) for one in candidates]
        return {str(one.configuration): [self.takes(one.configuration)] * repeats for one in candidates}


@pytest.fixture
def told():
    def make(trace, takes=lambda configuration: 1.0, unsendable=()):
        return ToldTrials(trace, takes, dict(unsendable))

    return make
