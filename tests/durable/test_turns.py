"""Many recovered jobs in sequential mode: some run, the others have their turn when it comes."""

import threading

import pytest

from routilux import Flow, Retry, routine
from routilux.errors import SettingError
from routilux.facts import JobStatus
from routilux.stores.opening import open_store

PATIENCE = 30


class Gate:
    """Lets handlers through only when it is open, and knows who came."""

    def __init__(self):
        self.opened = threading.Event()
        self.came = threading.Condition()
        self.inside: list[int] = []
        self.most = 0
        self.now = 0

    def pass_through(self, number):
        with self.came:
            self.inside.append(number)
            self.now += 1
            self.most = max(self.most, self.now)
            self.came.notify_all()
        assert self.opened.wait(PATIENCE)
        with self.came:
            self.now -= 1

    def until(self, count):
        with self.came:
            assert self.came.wait_for(lambda: len(self.inside) >= count, PATIENCE)


def build(path, handler, **settings):
    flow = Flow("many", store=path, **settings)
    flow.add_routine(routine(handler), "work")
    return flow


def leave(path, count, **settings):
    """A store with so many jobs that have not begun."""

    def work(number: int) -> int:
        raise KeyboardInterrupt

    with build(path, work, **settings) as flow:
        for number in range(count):
            with pytest.raises(KeyboardInterrupt):
                flow.execute("work", {"number": number}, key=str(number))


def test_so_many_run_at_once_the_oldest_first(tmp_path):
    gate = Gate()

    def work(number: int) -> int:
        gate.pass_through(number)
        return number

    leave(tmp_path / "jobs.db", 20)
    with build(tmp_path / "jobs.db", work) as flow:
        jobs = flow.recover(max_running=3)
        assert len(jobs) == 20
        gate.until(3)
        threads = [one for one in threading.enumerate() if one.name == "routilux-many"]
        assert (len(threads), sorted(gate.inside)) == (3, [0, 1, 2])
        (waiting,) = jobs[5].waiting()
        assert (waiting.routine_id, "turn has not come" in waiting.why) == ("work", True)
        assert not jobs[5].wait(0.01)
        gate.opened.set()
        assert all(job.wait(PATIENCE) for job in jobs)
        assert [job.result for job in jobs] == list(range(20))
        assert gate.most == 3


def test_one_whose_turn_has_not_come_can_be_cancelled(tmp_path):
    gate = Gate()

    def work(number: int) -> int:
        gate.pass_through(number)
        return number

    leave(tmp_path / "jobs.db", 3)
    with build(tmp_path / "jobs.db", work) as flow:
        jobs = flow.recover(max_running=1)
        gate.until(1)
        jobs[1].cancel("no longer needed")
        assert jobs[1].wait(PATIENCE)
        assert jobs[1].status is JobStatus.CANCELLED
        gate.opened.set()
        assert jobs[2].wait(PATIENCE)
        assert gate.inside == [0, 2]
    with open_store(tmp_path / "jobs.db", read_only=True) as records:
        assert [job.status for job in records.jobs()] == ["completed", "cancelled", "completed"]


def test_what_only_waits_lets_others_have_their_turn(tmp_path):
    failing = threading.Event()

    def work(number: int) -> int:
        if number == 0 and not failing.is_set():
            failing.set()
            raise ConnectionError("try again tomorrow")
        return number

    path, strategy = tmp_path / "jobs.db", Retry(1, delay=24 * 3600)
    leave(path, 4, error_strategy=strategy)
    with build(path, work, error_strategy=strategy) as flow:
        jobs = flow.recover(max_running=1)
        assert all(job.wait(PATIENCE) for job in jobs[1:])
        assert [job.result for job in jobs[1:]] == [1, 2, 3]
        assert "is due in" in jobs[0].waiting()[0].why
        jobs[0].cancel()
        assert jobs[0].wait(PATIENCE)


def test_an_error_that_leaves_the_block_lets_those_go_that_wait(tmp_path):
    gate = Gate()

    def work(number: int) -> int:
        gate.pass_through(number)
        return number

    leave(tmp_path / "jobs.db", 5)
    jobs = []
    with pytest.raises(ZeroDivisionError), build(tmp_path / "jobs.db", work) as flow:
        jobs += flow.recover(max_running=2)
        gate.until(2)
        threading.Timer(0.1, gate.opened.set).start()
        raise ZeroDivisionError
    assert all(job.wait(PATIENCE) for job in jobs)
    assert {job.status for job in jobs[2:]} == {JobStatus.PENDING}
    with build(tmp_path / "jobs.db", work) as flow:
        assert [job.wait(PATIENCE) for job in flow.recover()] == [True] * len(flow_left(jobs))


def flow_left(jobs):
    """Those that are not over."""
    return [job for job in jobs if not job.status.terminal]


def test_a_number_of_jobs_is_a_number(tmp_path):
    with pytest.raises(SettingError, match="max_running"):
        build(tmp_path / "jobs.db", lambda number: number).recover(max_running=0)
