"""F3: a job whose process is killed again and again gives what it would have given, and does little twice."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from routilux.facts import Begun, Opened
from tests.faults.auditor import audited, facts_of, lines_of
from tests.faults.program import DISTANCES, Case
from tests.faults.runner import LATEST, killed_after, left_in_peace
from tests.faults.trials import PATIENCE, Trials
from tests.postgres import Server

CI = {"sequential": 60, "concurrent": 100, "asyncio": 60, "multiprocessing": 60, "distributed": 10}
NIGHTLY = {"sequential": 2000, "concurrent": 5000, "asyncio": 2000, "multiprocessing": 2000, "distributed": 100}
MOST = 5
"""Kills in a row."""

pytestmark = pytest.mark.timeout(PATIENCE)


@pytest.mark.parametrize("mode", CI)
def test_kills_at_random_change_no_result(mode: str, case_of: Callable[..., Case], trials: Trials) -> None:
    hits = []

    def trial(chance: Random, folder: Path) -> None:
        durability, distance = chance.choice(["process", "power"]), chance.choice(DISTANCES)
        case = case_of(folder, durability=durability, distance=distance)
        hits.append(outlives_kills(case, chance))

    trials("F3 kill in handler", mode, trial, ci=CI[mode], nightly=NIGHTLY[mode])
    trials.counted("F3 kills that hit", mode, sum(hits))


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_kills_at_random_change_no_result_that_is_kept_on_a_server(mode: str, server: Server, trials: Trials) -> None:
    hits = []

    def trial(chance: Random, folder: Path) -> None:
        database = server.dsn(f"kills_{mode}_{folder.name}")
        case = Case(folder, mode, distance=chance.choice(DISTANCES), writes=False, database=database)
        hits.append(outlives_kills(case, chance))

    trials("P4 kill in handler, server", mode, trial, ci=5, nightly=100)
    trials.counted("P4 kills that hit", mode, sum(hits))


def outlives_kills(case: Case, chance: Random) -> int:
    """Kills the program of a case a few times, and audits what comes of it; gives how many kills hit."""
    kills, over, most = 0, False, chance.randint(1, MOST)
    while not over and kills < most:
        moment, group = chance.uniform(0.01, LATEST[case.mode]), chance.random() < 0.7
        over = killed_after(case, moment, group=group, submitted=case.database is not None)
        kills += not over
    left_in_peace(case)
    assert audited(case, kills).status == "completed"
    # What could have been the cause of a crash is noted before it runs again, as is what may run but once.
    facts = facts_of(case.store)[1]
    fired = [one.fired for one in facts if isinstance(one, Opened)]
    once = {line[2] for line in lines_of(case.effects) if line[0] == "once"}
    work = {line[2] for line in lines_of(case.effects) if line[0] == "work"}
    assert not once & work
    assert case.distance != DISTANCES[0] or all(
        one.activation_id <= max(fired) for one in facts if isinstance(one, Begun) if one.activation_id in work
    )
    return kills


def test_a_job_that_was_over_is_not_run_again(tmp_path: Path) -> None:
    case = Case(tmp_path, "concurrent")
    left_in_peace(case)
    written = case.effects.read_text()
    left_in_peace(case)
    assert audited(case).status == "completed"
    assert case.effects.read_text() == written
