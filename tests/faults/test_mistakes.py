"""A suite that finds nothing must be able to find something: mistakes that are planted are found."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.faults.auditor import Audit
from tests.faults.mistakes import MISTAKES, OF_SHORTENING, OF_WRITING
from tests.faults.program import Case
from tests.faults.runner import LATEST, killed_after, left_in_peace

TRIALS = 40


def findings(case: Case, chance: Random, tries: int) -> list[str]:
    """What the auditor says of a job that was killed, if it came to that, and left in peace; a failure counts too."""
    kills = 0
    try:
        for _ in range(tries):
            kills += not killed_after(case, chance.uniform(0, LATEST[case.mode]), submitted=True)
        left_in_peace(case, within=5)
    except AssertionError as error:
        return [str(error)]
    return Audit(case, kills).findings()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_found(name: str, tmp_path: Path) -> None:
    _, mode, steering = MISTAKES[name]
    for seed in range(TRIALS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        writes = name in OF_WRITING | OF_SHORTENING
        case = Case(folder, mode, steering=steering, seed=f"{name} {seed}", planted=name, writes=writes)
        if name in OF_SHORTENING:
            case = replace(case, distance=20)
        found = findings(case, Random(f"{name} {seed}"), seed % 3)
        if found:
            print(f"trial {seed}: {found[0][:200]}")
            return
    raise AssertionError(f"Nobody noticed in {TRIALS} trials.")
