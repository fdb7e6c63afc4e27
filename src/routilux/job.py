"""One execution of a flow, as its user sees and steers it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from routilux.advice.answers import Answer
from routilux.course import Course
from routilux.errors import RecordingError, UnfinishedJobError
from routilux.facts import Cancelled, Failure, JobStatus, Paused, Resumed
from routilux.insight.trace import Trace
from routilux.loading import loaded
from routilux.machine.stranded import stranded
from routilux.ports import Clock, Steering
from routilux.recording import Recording
from routilux.results import Results
from routilux.tracking.counts import Counts
from routilux.tracking.history import History
from routilux.tracking.records import ExecutionRecord
from routilux.waiting import Waiting, waiting


class Job:
    """A running or finished job."""

    def __init__(
        self, course: Course, steering: Steering, history: History, clock: Clock, recording: Recording | None = None
    ) -> None:
        self.job_id = course.origin.job_id
        self.flow_id = course.origin.flow_id
        self.results = Results(course.machine.delivery.left, course.machine.plan.routine_ids)
        """By routine id: what left the flow there, in order."""
        self._course = course
        self._steering = steering
        self._history = history
        self._clock = clock
        self._recording = recording

    @property
    def status(self) -> JobStatus:
        """Where it stands; `completed`, `failed` and `cancelled` never change again."""
        return self._course.status

    @property
    def result(self) -> Any:
        """The one value that left the flow; raises `ResultError` if it is not exactly one, or what failed the job.

        While the job runs there may be more to come: `UnfinishedJobError` says so.
        """
        return self.raise_for_status().results.only()

    def __await__(self) -> Generator[Any, None, Job]:
        """Waits inside an event loop until the job is over, and gives the job."""
        yield from self.wait_async().__await__()
        return self

    @property
    def errors(self) -> list[Failure]:
        """The failures that no retry mended, the last `max_history_size` of them; `error_count` counts all."""
        return list(self._course.machine.ledger.errors)

    @property
    def error_count(self) -> int:
        """How many activations failed for good."""
        return self._course.machine.ledger.error_count

    @property
    def late_outcomes(self) -> int:
        """How many handlers returned after their timeout, and were ignored."""
        return self._course.machine.ledger.late

    @property
    def history(self) -> Sequence[ExecutionRecord]:
        """A record of each attempt so far, oldest first, as many as the history's limits keep."""
        self._course.read()
        return self._history.executions

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By routine id: how many activations ended in which way, all of them, also those the history dropped."""
        self._course.read()
        return self._history.counts

    @property
    def duration(self) -> float:
        """Seconds from its start to its end, or until now."""
        ended = self._course.ended_at
        return ((self._clock.now() if ended is None else ended) - self._course.started_at) / 1e9

    @property
    def recording(self) -> Recording:
        """What was recorded of it; raises `RecordingError` if nothing was."""
        if self._recording is None:
            raise RecordingError(
                f"Job {self.job_id} of flow {self.flow_id!r} was not recorded. Run it with flow.record(...), or with "
                "recording=True."
            )
        return self._recording

    @property
    def trace(self) -> Trace:
        """The finished job as it was recorded, for `save_trace` and all that asks questions of a trace."""
        return self.recording.trace

    def explain(self) -> Answer:
        """Where the time of the finished job went, and what held it up; of one that was not recorded, what is known."""
        if self._recording is not None:
            explained: Answer = loaded("routilux.advice.explanation", "explain_trace")(self._recording.trace)
            return explained
        self._course.read()
        total = sum(one.executions + one.retried + one.yielded for one in self._history.counts.values())
        known = self._course, self._history.records, total, self._steering.workers
        remembered: Answer = loaded("routilux.advice.remembered", "explain_remembered")(*known)
        return remembered

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the job is over, at most `timeout` seconds; says whether it is.

        Ctrl-C cancels the job; a stored one stays as it is, to be recovered.
        """
        try:
            return self._steering.wait(timeout)
        except KeyboardInterrupt as error:
            self._steering.leave(error)
            raise

    async def wait_async(self, timeout: float | None = None) -> bool:
        """As `wait`, without keeping the event loop; for a task outside of the job's handlers."""
        return bool(await loaded("routilux.awaited", "finished")(self._course, timeout))

    def pause(self) -> None:
        """Starts nothing more until `resume`; handlers that run go on, and what they emit is kept."""
        self._steering.post(Paused(self._clock.now()))

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._steering.post(Resumed(self._clock.now()))

    def cancel(self, reason: str = "cancel() was called") -> None:
        """Starts nothing more; the job is over once the handlers that run have returned. Does not wait."""
        self._steering.post(Cancelled(self._clock.now(), reason))

    def raise_for_status(self) -> Job:
        """Raises what failed the job, as the handler raised it, or that it was cancelled; gives the job otherwise."""
        if self._course.let_go_by is not None:
            raise self._course.let_go_by
        if not self.status.terminal:
            raise UnfinishedJobError(f"Job {self.job_id} of flow {self.flow_id!r} is {self.status}. Call wait() first.")
        if self.status is not JobStatus.COMPLETED and self._course.machine.cause_of_end is not None:
            raise self._course.machine.cause_of_end
        return self

    def waiting(self) -> list[Waiting]:
        """For each thing of the job that does not run: which routine it is, and why."""
        return waiting(self._course.machine, self._clock.now(), self._steering.workers)

    @property
    def stranded(self) -> list[str]:
        """Of a finished job: the messages left in slots whose partners never came, in words."""
        machine = self._course.machine
        return list(stranded(machine.plan, machine.delivery).values()) if self.status.terminal else []

    def __repr__(self) -> str:
        return f"<Job {self.job_id} of {self.flow_id!r}: {self.status}>"
