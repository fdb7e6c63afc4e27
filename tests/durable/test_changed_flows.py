"""F20: a job whose flow was edited goes on with the structure it began with, or stays whole and says what it lacks."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from routilux import Flow, Skip, batch, collect, routine
from routilux.errors import RecoveryError
from routilux.stores.check import check
from tests.durable.copies import as_after_a_crash

COUNT, BREAKS_AT = 9, 4
ADDITIONS = {"a routine", "a connection", "an entry", "an event", "a default", "other settings", "another strategy"}
LOSSES = {
    "work dropped": "no routine 'work'",
    "work renamed": "no routine 'work'",
    "last dropped": "no routine 'last'",
    "a connection dropped": "double.output -> last.found is not connected",
    "a slot renamed": "no slot 'found'",
    "a version": "its version is 2",
    "another rule": "it fires by",
    "no crash retries": "its crash_retries is 0",
    "once": "its delivery is at_most_once",
    "an event dropped": "no event 'output'",
}


@routine
def numbers(count: int) -> Iterator[int]:
    yield from range(count)


@routine
def double(number: int) -> int:
    return 2 * number


def flow_with(path: Path, edits: frozenset[str] = frozenset(), *, breaks: bool = False) -> Flow:
    """Numbers that are doubled and collected; edited."""

    def work(number: int, more: int = 0) -> int:
        if breaks and number == BREAKS_AT:
            raise KeyboardInterrupt
        return number + more

    def plain(number: int) -> int:
        return work(number)

    def silent(number: int) -> None:
        work(number)

    def tap(number: int) -> None: ...

    options = {
        **({"version": 2} if "a version" in edits else {}),
        **({"crash_retries": 0} if "no crash retries" in edits else {}),
        **({"delivery": "at_most_once"} if "once" in edits else {}),
        **({"error_strategy": Skip()} if "another strategy" in edits else {}),
    }
    events = () if "an event dropped" in edits else ("output", "more") if "an event" in edits else ("output",)
    handler = silent if "an event dropped" in edits else work if "a default" in edits else plain
    name = "works" if "work renamed" in edits else "work"
    settings = {"max_history_size": 5} if "other settings" in edits else {}
    flow = Flow("edited", store=path, durability="process", **settings)
    flow.add_routine(numbers)
    flow.add_routine(double)
    if "work dropped" not in edits:
        flow.add_routine(routine(handler, events=events), name, **options)
        flow.connect("numbers", "output", name, "number")
        if events:
            flow.connect(name, "output", "double", "number")
    fires = batch(3) if "another rule" in edits else collect()
    if "last dropped" not in edits:
        if "a slot renamed" in edits:
            flow.add_routine(routine(lambda renamed: sorted(renamed), fires=fires), "last")
        else:
            flow.add_routine(routine(lambda found: sorted(found), fires=fires), "last")
        if "a connection dropped" not in edits:
            flow.connect("double", "last")
    if "a routine" in edits:
        flow.add_routine(tap, "tap")
    if edits >= {"a routine", "a connection"}:
        flow.connect("double", "tap")
    if "an entry" in edits:
        flow.add_routine(lambda x: x, "another entry")
    return flow


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a job that was interrupted."""
    path = tmp_path_factory.mktemp("interrupted") / "jobs.db"
    with pytest.raises(KeyboardInterrupt), flow_with(path, breaks=True) as flow:
        flow.execute("numbers", {"count": COUNT}, key="once")
    return path


def result_of(flow: Flow) -> object:
    """Has the job go on, and gives what comes of it."""
    with flow:
        (job,) = flow.recover()
        assert job.wait(20)
        return job.raise_for_status().results["last"]


@given(some.frozensets(some.sampled_from([*sorted(ADDITIONS), *LOSSES]), max_size=4))
def test_a_job_outlives_every_edit_of_its_flow(interrupted: Path, edits: frozenset[str]) -> None:
    expected = [[2 * number for number in range(COUNT)]]
    with tempfile.TemporaryDirectory() as folder:
        path = as_after_a_crash(interrupted, Path(folder, "copy"))
        losses = edits & LOSSES.keys()
        if losses:
            with pytest.raises(RecoveryError, match="It stays as it is"):
                result_of(flow_with(path, edits))
            assert check(path).whole
            edits = frozenset()
        assert result_of(flow_with(path, edits)) == expected


@pytest.mark.parametrize("edit", LOSSES)
def test_what_an_edit_took_away_is_named(interrupted: Path, edit: str, tmp_path: Path) -> None:
    path = as_after_a_crash(interrupted, tmp_path / "copy")
    with pytest.raises(RecoveryError, match=LOSSES[edit]):
        result_of(flow_with(path, frozenset({edit})))
