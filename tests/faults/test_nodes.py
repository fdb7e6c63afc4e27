"""F24: a stored job on a cluster loses workers, the whole cluster and its own program, and gives what it would."""

from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest

from tests.faults.auditor import audited
from tests.faults.nodes import lose
from tests.faults.program import DISTANCES, Case
from tests.faults.runner import left_in_peace, must_end, started
from tests.faults.trials import PATIENCE, Trials

pytestmark = pytest.mark.timeout(PATIENCE)

SHARED = ["a worker", "all workers", "the program"]
OWN = [*SHARED, "the cluster"]
"""What is lost, in any order; a cluster that somebody else started is not started again by a job."""


@pytest.mark.parametrize("own", [False, True])
def test_a_job_that_loses_its_nodes_and_its_program_gives_what_it_would_have_given(
    own: bool, trials: Trials, request: pytest.FixtureRequest
) -> None:
    address = None if own else request.getfixturevalue("shared_cluster")
    hits = []

    def trial(chance: Random, folder: Path) -> None:
        case = Case(folder, "distributed", count=40, cluster=address, distance=chance.choice(DISTANCES))
        losses = chance.sample(OWN if own else SHARED, len(OWN if own else SHARED))
        kills, over = 0, False
        while losses and not over:
            with started(case) as process:
                while losses and process.exitcode is None:
                    process.join(chance.uniform(0, 0.8 if own else 0.3))
                    kills += lose(losses.pop(), case, process, chance)
                code = -SIGKILL if process.exitcode == -SIGKILL else must_end(case, process)
            assert code in (0, -SIGKILL), f"it failed with exit code {code}\n{case.stacks.read_text()}"
            over = code == 0
        hits.append(kills)
        left_in_peace(case)
        assert audited(case, kills).status == "completed"

    name = "F24 lost nodes, own" if own else "F24 lost nodes"
    trials(name, "distributed", trial, ci=2 if own else 8, nightly=20 if own else 80)
    trials.counted("F24 losses that hit", "distributed", sum(hits))
