"""Many emissions of one attempt are kept by the page, and what they fire is made when its turn comes."""

import msgspec
import pytest

from routilux import Context, Flow, Retry, routine
from routilux.durable.payload import INLINE
from routilux.durable.records import FEW, MOST_ON_PAGE
from routilux.durable.unopened import unopened_records
from routilux.errors import PayloadError
from routilux.facts import JobStatus, Settled
from routilux.page import Pages
from tests.durable.test_recovery import broken_off, past_of

PLAIN = [None, True, 2**62, -0.5, "text", ["list"], {"a": {"b": []}}]
MANY = [("output", PLAIN[number % len(PLAIN)]) for number in range(2 * MOST_ON_PAGE + 1)]


def settled(emissions):
    return Settled(1, 1, 0, 9, 0, emissions)


def pages_of(record):
    return msgspec.json.decode(record.body).get("y", [])


def test_many_plain_emissions_come_back_from_pages(records):
    kept = records()
    record = kept.write(settled(MANY))
    assert [page[1] for page in pages_of(record)] == [MOST_ON_PAGE, MOST_ON_PAGE, 1]
    emissions = kept.read(*record).fact.emissions
    assert isinstance(emissions, Pages)
    assert list(emissions) == MANY
    assert len(emissions) == len(MANY)
    assert (emissions[-1], emissions[:2]) == (MANY[-1], MANY[:2])
    assert list(unopened_records().read(*record).fact.emissions) == MANY


def test_each_event_has_pages_of_its_own_in_the_order_of_emission(records):
    emissions = [(event, number) for event in ("one", "other", "one") for number in range(FEW)]
    record = records().write(settled(emissions))
    assert [page[:2] for page in pages_of(record)] == [["one", FEW], ["other", FEW], ["one", FEW]]
    assert list(records().read(*record).fact.emissions) == emissions


def test_large_values_share_pages_no_larger_than_one_value_may_be(records):
    emissions = [("output", "x" * (INLINE // 100))] * 1000
    pages = pages_of(records().write(settled(emissions)))
    assert sum(page[1] for page in pages) == 1000
    assert max(len(msgspec.json.encode(page[2])) for page in pages) <= INLINE


@pytest.mark.parametrize(
    "emissions",
    [
        [("output", number) for number in range(FEW)],
        [("output", (number,)) for number in range(1000)],
        [("output", "x" * INLINE) for number in range(FEW + 1)],
        [("output", "x" * (INLINE // 3)) for number in range(FEW + 1)],
        [(f"event{number % 2}", number) for number in range(1000)],
        [("output", "\udc80" if number == 500 else "x") for number in range(1000)],
    ],
    ids=["few", "not plain", "too large", "few on each", "alternating", "unwritable"],
)
def test_what_gains_nothing_by_pages_has_none(records, emissions):
    kept = records()
    if emissions[500:501] == [("output", "\udc80")]:
        with pytest.raises(PayloadError):
            kept.write(settled(emissions))
        return
    record = kept.write(settled(emissions))
    assert pages_of(record) == []
    assert list(kept.read(*record).fact.emissions) == emissions


@pytest.mark.parametrize(
    "page", [[["output", 2, [1]]], [["output", 1, {"a": 1}]], [["output", 1, [{"$": "int", "v": 1}]]]]
)
def test_a_page_that_is_not_what_was_written_is_refused_before_the_job_goes_on(records, page):
    body = msgspec.json.encode({"a": 1, "n": 1, "b": 0, "e": 1, "y": page})
    with pytest.raises(PayloadError, match="output"):
        records().read("settled", body)


@routine
def burst(n: int, ctx: Context) -> None:
    for number in range(n):
        ctx.emit("output", number)


def counting(path, seen, mode):
    """A flow that notes what its handler is given, and fails the first attempt at each tenth."""

    def work(number: int, ctx: Context) -> int:
        seen.append(number)
        if number % 10 == 7 and ctx.attempt == 1:
            raise ConnectionError("try again")
        return number

    flow = Flow("many", store=path, durability="process", execution_mode=mode)
    flow.chain(burst, flow.add_routine(work, "work", error_strategy=Retry(1, delay=0)))
    return flow


@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio"])
@pytest.mark.parametrize("done", [0, 1, 950, 1600])
def test_a_job_with_many_open_activations_goes_on_from_any_of_them(mode, done, tmp_path):
    count, seen, again = 1500, [], []
    with counting(tmp_path / "whole.db", seen, mode) as flow:
        flow.execute("burst", {"n": count})
    stored, entries = past_of(tmp_path / "whole.db")
    broken_off(tmp_path / "part.db", stored, entries[: 3 + done])
    with counting(tmp_path / "part.db", again, mode) as flow:
        (job,) = flow.recover()
        job.wait()
    assert job.status is JobStatus.COMPLETED
    assert sorted(job.results["work"]) == list(range(count))
    assert len(again) == len(seen) - done
    if mode == "sequential":
        assert again == seen[done:]
