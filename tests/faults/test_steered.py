"""F16 and F17: what people did to a job, and were told of, holds after kills at any moment."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.auditor import audited
from tests.faults.program import DISTANCES, Case
from tests.faults.runner import LATEST, killed_after, left_in_peace
from tests.faults.trials import PATIENCE, Trials

CI = {"sequential": 40, "concurrent": 40, "asyncio": 40, "multiprocessing": 20, "distributed": 5}
NIGHTLY = {"sequential": 1000, "concurrent": 1000, "asyncio": 1000, "multiprocessing": 500, "distributed": 50}

pytestmark = pytest.mark.timeout(PATIENCE)


@pytest.mark.parametrize("mode", CI)
@pytest.mark.parametrize(("fault", "steering"), [("F16 cancel and kill", "cancel"), ("F17 pauses and kill", "pause")])
def test_what_was_acknowledged_holds_after_kills(
    fault: str, steering: str, mode: str, case_of: Callable[..., Case], trials: Trials
) -> None:
    latest = min(1.0, 2 * LATEST[mode])

    def trial(chance: Random, folder: Path) -> None:
        asked = {"steering": steering, "seed": str(chance.random()), "distance": chance.choice(DISTANCES)}
        case = case_of(folder, **asked)
        kills = 0
        for _ in range(chance.randrange(1, 4)):
            kills += not killed_after(case, chance.uniform(0.02, latest), group=chance.random() < 0.7)
        left_in_peace(case)
        assert audited(case, kills).status in ("completed", "cancelled")

    trials(fault, mode, trial, ci=CI[mode], nightly=NIGHTLY[mode])


@pytest.mark.parametrize("mode", CI)
def test_a_job_that_is_steered_and_left_in_peace_loses_nothing(
    mode: str, case_of: Callable[..., Case], trials: Trials
) -> None:
    def trial(chance: Random, folder: Path) -> None:
        case = case_of(folder, steering=chance.choice(["cancel", "pause"]), seed=str(chance.random()))
        left_in_peace(case)
        audited(case)

    trials("F17 pauses, no kill", mode, trial, ci=5, nightly=100)
