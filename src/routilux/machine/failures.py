"""What becomes of failed attempts, how often the workers of activations died, and what was forgiven."""

from __future__ import annotations

from routilux.decision import Decision, TryAgain
from routilux.errors import WorkerLostError
from routilux.facts import Failure, FailureKind
from routilux.machine.plan import Station
from routilux.strategies import ErrorStrategy, decision_on


class Failures:
    """Decides, and keeps of each activation how many of its attempts were lost with their workers, or forgiven."""

    __slots__ = ("_flow_strategy", "_job_id", "crashes", "forgiven", "forgiving")

    def __init__(self, job_id: str, flow_strategy: ErrorStrategy) -> None:
        self._job_id = job_id
        self._flow_strategy = flow_strategy
        self.crashes: dict[int, int] = {}
        """By activation: how many of its attempts were lost with their workers."""
        self.forgiven: dict[int, int] = {}
        """By activation: up to which attempt nothing is held against it."""
        self.forgiving = False
        """Set while something happens again after which the job was revived: what stopped it is tried again."""

    def decide(self, failure: Failure, station: Station) -> Decision:
        """The decision of the routine's strategy, or the flow's.

        Attempts whose workers died are counted apart from those that failed: the routine's `crash_retries` come
        before any strategy is asked, which then has no retries left.
        """
        number = failure.activation_id
        if isinstance(failure.error, WorkerLostError):
            crashes = self.crashes[number] = self.crashes.get(number, 0) + 1
            if crashes <= station.crash_retries:
                return TryAgain(0)
        return self.advice(failure, station)

    def advice(self, failure: Failure, station: Station) -> Decision:
        """What the strategy says; asking for it changes nothing."""
        number = failure.activation_id
        attempt = failure.attempt - self.crashes.get(number, 0) - self.forgiven.get(number, 0)
        again = failure.kind not in (FailureKind.INPUT, FailureKind.LOST)
        seed = f"{self._job_id}/{number}"
        return decision_on(failure.error, attempt, seed, station.strategy, self._flow_strategy, again=again)

    def forgive(self, failure: Failure) -> Decision:
        """Has an activation be tried again at once, and its attempts and crashes so far not counted any more."""
        self.forgiven[failure.activation_id] = failure.attempt
        self.crashes.pop(failure.activation_id, None)
        return TryAgain(0)

    def forget(self, number: int) -> None:
        """An activation has ended for good."""
        if self.crashes or self.forgiven:
            self.crashes.pop(number, None)
            self.forgiven.pop(number, None)
