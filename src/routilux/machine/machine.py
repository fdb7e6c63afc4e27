"""The machine: a fact about one job goes in, and what follows from it comes out.

Its laws: all that affects a job's course is here and in `delivery`; there is no clock, thread, lock, file or
random number - moments come in with the facts, and the same facts give the same job. One thread at a time
steps it. It knows nothing of who runs handlers or who reads the log.

The way of one activation::

    emission -> Delivery -> ready -> take() -> [driver calls the handler] -> settled() | emitted() | failed()
                   ^                                                            |            |
                   +------------------------------------------------------------+      error strategy

`take` is the one place that decides what runs next; when it has nothing to give and nothing is under way,
the job is quiescent, and what could only be handed over at the end is, before the job is finished.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from types import CoroutineType, GeneratorType
from typing import Any

from routilux.decision import Decision, TryAgain, Verdict
from routilux.errors import HandlerInputError, JobCancelledError, StrandedError
from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus, Emissions, Frame, JobStatus, Origin
from routilux.firing import Batch
from routilux.guard import text_of
from routilux.machine.admission import Admission
from routilux.machine.complaints import objection, raised_elsewhere, stop_iteration
from routilux.machine.delivery import Activation, Delivery, Misfire
from routilux.machine.failures import Failures
from routilux.machine.fanouts import FanOuts
from routilux.machine.folded import unfold
from routilux.machine.ledger import Ledger, Recorded, failure_of, without_traceback
from routilux.machine.plan import Plan
from routilux.machine.stranded import stranded
from routilux.machine.timers import Alarm, Timers
from routilux.permits import Permits
from routilux.settings import Settings
from routilux.slots import ERROR, OUTPUT
from routilux.strategies import seconds_of

COMPLETED, YIELDED = ActivationStatus.COMPLETED, ActivationStatus.YIELDED
PLAINLY, PARTLY = COMPLETED.value, YIELDED.value
NEVER_BEGAN: Any = (object(),)
"""The arguments of an activation that came to nothing before it could take its routine's lane."""


class Machine:
    """The state of one job, and the only thing that changes it."""

    def __init__(
        self, plan: Plan, settings: Settings, origin: Origin, window: int, permits: Permits, *, streaming: bool = False
    ) -> None:
        """`window` is how many ready activations are enough, so that no generator is asked for more.

        With `streaming`, what leaves the flow counts into it until somebody takes it out of `delivery.left`.
        """
        self.plan = plan
        self.settings = settings
        self.window = window
        self.streaming = streaming
        self.delivery = Delivery(plan, settings.max_activations, settings.max_parked)
        self.ready = self.delivery.ready
        self.fan_outs = FanOuts(self.delivery)
        self.ledger = Ledger(origin, settings.max_history_size)
        if settings.recording:
            self.ledger.recorded = Recorded()
            self.delivery.contributors = self.ledger.recorded.contributors
        self._job_id = origin.job_id
        self._limit = self.delivery.max_activations
        self._record = self.ledger.records.append
        self.make_ready = self.ready.append
        """Makes an activation ready that is at home in the job's own mode."""
        self.timers = Timers()
        self.running: dict[int, Activation] = {}
        """What a driver has taken and not yet answered."""
        self.queues = self.delivery.queues
        self.admission = Admission(plan, self.queues, self.timers, permits)
        self.suspended = self.admission.home.suspended
        """The open generators of the job's own mode that nobody is asking for a value now: a heap, youngest first."""
        self.failures = Failures(origin.job_id, settings.error_strategy)
        self.given_up: list[Activation] = []
        """Attempts that run although nobody wants their outcome, for whoever runs them to stop and take out."""
        self.unwanted: list[Activation] = []
        """The same, where they are let end by themselves."""
        self.started = False
        self.paused = False
        """Set and unset from outside: nothing starts while it is."""
        self.done = False
        self.end: JobStatus | None = None
        """How the job will end, once that is decided before it is complete; nothing starts after."""
        self.cause_of_end: BaseException | None = None

    @property
    def status(self) -> JobStatus:
        """Where the job stands."""
        if self.done:
            return self.end or JobStatus.COMPLETED
        if self.end is JobStatus.CANCELLED:
            return JobStatus.CANCELLING
        if self.paused:
            return JobStatus.PAUSED
        return JobStatus.RUNNING if self.started else JobStatus.PENDING

    def start(self, messages: Mapping[str, Any], moment: int) -> None:
        """The job begins with the first message of each slot of its entry."""
        self.started = True
        if self.settings.timeout is not None:
            self.timers.set(moment + int(seconds_of("timeout", self.settings.timeout) * 1e9), Alarm.JOB, None)
        for station in self.plan.entries:
            self.delivery.begin(station, messages, moment)
        self.after_delivery(moment)

    def take(self, moment: int, mode: ExecutionMode | None = None) -> Activation | None:
        """What a free worker of a mode is to run now: a new activation, or an open generator to ask for its next value.

        Gives `None` when nothing may start; finishes the job when nothing ever will.
        """
        queue = self.queues.get(mode or self.plan.mode)
        if queue is None:
            return None
        ready, suspended = queue.ready, queue.suspended
        while not (self.done or self.paused or self.end is not None):
            unread = len(self.delivery.left) if self.streaming else 0
            activation = None
            if suspended:
                activation = self.admission.ask(suspended, self.window - unread, idle=not self.running)
            if activation is None and ready:
                if unread >= self.window:
                    return None
                activation = ready.popleft()
                if activation[1].limited and not self._may_begin(activation, moment):
                    continue
            if activation is not None:
                self.running[activation[0]] = activation
                timeout = activation[1].timeout_ns
                if timeout is not None:
                    self.timers.drop_stale(self.is_live)
                    self.timers.set(moment + timeout, Alarm.TIMEOUT, activation)
                return activation
            self.rest(moment)
            if not ready:
                return None
        return None

    def _may_begin(self, activation: Activation, moment: int) -> bool:
        """Whether something ready may begin; a page of activations only makes way for them."""
        if not activation[1].folded:
            return self.admission.enter(activation, moment)
        error = unfold(self.plan, self.delivery, activation)
        if error is not None:
            self.stop(JobStatus.FAILED, error)
        return False

    def rest(self, moment: int) -> None:
        """If nothing can run, hands over what was only waiting for that, or finishes the job."""
        if not self.started:
            return
        while not (self.running or self.admission or self.timers.retries or self.done or self.paused):
            if self.end is None and self.delivery.flush_one(moment):
                self.after_delivery(moment)
                continue
            lost = stranded(self.plan, self.delivery) if self.settings.strict and self.end is None else {}
            if lost:
                self.end = JobStatus.FAILED
                self.cause_of_end = StrandedError(f"Flow {self.plan.flow_id!r} is strict: {'; '.join(lost.values())}.")
            self.done = True

    def settled(self, activation: Activation, value: Any, began: int, ended: int, worker: int = 0) -> None:
        """A plain handler returned `value`.

        This is the hot path, written out: what mostly happens costs one record, one activation and no call.
        """
        number, station, _, cause, fired, attempt, _ = activation
        if value is not None:
            kind, successor, delivery = type(value), station.successor, self.delivery
            if successor is None or kind is GeneratorType or kind is CoroutineType or delivery.fired >= self._limit:
                self._returned(activation, value, began, ended, worker)
                return
            delivery.fired = follower = delivery.fired + 1
            self.make_ready((follower, successor, (value,), number, ended, 1, None))
        self._record(
            (self._job_id, number, station.routine_id, attempt, PLAINLY, cause, fired, began, ended, worker, None)
        )

    def yielded(self, activation: Activation, value: Any, began: int, ended: int, worker: int = 0) -> None:
        """A generator that may just be pulled gave `value`: as `settled`, for the hot path of sources."""
        number, station, arguments, cause, fired, attempt, place = activation
        kind, successor, delivery = type(value), station.successor, self.delivery
        progress = self.fan_outs.open.get(number)
        simple = successor is not None and progress is not None and delivery.fired < self._limit
        if not simple or value is None or kind is GeneratorType or kind is CoroutineType:
            emissions = () if value is None else ((OUTPUT, value),)
            self.emitted(activation, emissions, began, ended, worker, more=True)
            return
        assert successor is not None and progress is not None  # noqa: PT018 -- for the type checker
        progress.yields += 1
        delivery.fired = follower = delivery.fired + 1
        self.make_ready((follower, successor, (value,), number, ended, 1, None))
        record = (self._job_id, number, station.routine_id, attempt, PARTLY, cause, fired, began, ended, worker, None)
        self._record(record)
        self.ledger.unusual.append(record)
        heapq.heappush(self.suspended, (-number, (number, station, arguments, cause, ended, attempt, place)))

    def emitted(
        self,
        activation: Activation,
        emissions: Emissions,
        began: int,
        ended: int,
        worker: int = 0,
        *,
        more: bool = False,
        asked: int = 1,
    ) -> None:
        """An attempt ended well; or, with `more`, a generator gave a value and can be asked for another."""
        station = activation[1]
        wrong = objection(self.plan.flow_id, station, emissions, ended - began)
        if wrong is not None:
            self.failed(activation, wrong, began, ended, worker)
            return
        if asked > 1:
            began = self.ledger.add_asked(activation, began, ended, worker, asked - 1)
        last = activation if asked == 1 else (*activation[:4], began, *activation[5:])
        self.ledger.add(last, YIELDED if more else COMPLETED, began, ended, worker)
        self.fan_outs.emit(activation, emissions, ended, more=more, yields=asked)
        self.after_delivery(ended)
        if self.end is not None:
            return
        if not more:
            self._conclude(activation, ended)
            return
        number, _, arguments, cause, _, attempt, place = activation
        again = (number, station, arguments, cause, ended, attempt, place)
        if station.on_cycle:
            self.delivery.admit(again)
        else:
            self.admission.suspend(again)

    def failed(
        self,
        activation: Activation,
        error: BaseException,
        began: int,
        ended: int,
        worker: int = 0,
        frames: tuple[Frame, ...] = (),
        decision: Decision | None = None,
    ) -> None:
        """An attempt raised, took too long, could not be given its input, or was lost: its strategy decides, or has."""
        number, station, arguments, cause, _, attempt, place = activation
        if isinstance(error, StopIteration):
            error = stop_iteration(self.plan.flow_id, station, error)
        failure = failure_of(activation, error, frames)
        decision = decision or self.failures.decide(failure, station)
        if decision is Verdict.STOP and self.failures.forgiving and arguments is not NEVER_BEGAN:
            decision = self.failures.forgive(failure)
        if isinstance(decision, TryAgain):
            self.ledger.add(activation, ActivationStatus.RETRIED, began, ended, worker, failure)
            without_traceback(error)
            self.admission.leave(activation)
            due = ended + decision.delay_ns
            again = (number, station, arguments, cause, due, attempt + 1, place)
            if due > ended:
                self.timers.set(due, Alarm.RETRY, again)
            else:
                self.delivery.admit(again)
            return
        status = ActivationStatus.SKIPPED if decision is Verdict.SKIP else ActivationStatus.FAILED
        self.ledger.add(activation, status, began, ended, worker, failure)
        if decision is Verdict.STOP:
            if frames:
                error.add_note(raised_elsewhere(frames))
            self.unwanted += self.running.values()
            self.stop(JobStatus.FAILED, error)
            self.admission.leave(activation)
            return
        without_traceback(error)
        if decision is Verdict.CONTINUE:
            named = {} if arguments is NEVER_BEGAN else dict(zip(station.names, arguments, strict=False))
            self.fan_outs.emit(activation, ((ERROR, failure.with_arguments(named)),), ended, more=False)
            self.after_delivery(ended)
        if self.end is None:
            self._conclude(activation, ended)

    def answered(self, number: int, attempt: int) -> Activation | None:
        """The running activation that an outcome is for; `None` if its attempt is over already."""
        activation = self.running.get(number)
        if activation is None or activation[5] != attempt:
            return None
        del self.running[number]
        if self.end is not None and not self.running:
            self.done = True
        return activation

    def cancel(self, reason: str) -> None:
        """Nothing more starts; the job is over when what runs has ended."""
        if not self.done and self.end is None:
            where = f"Flow {self.plan.flow_id!r}, job {self.ledger.origin.job_id}"
            self.given_up += self.running.values()
            self.stop(JobStatus.CANCELLED, JobCancelledError(f"{where} was cancelled: {reason}."))

    def _returned(self, activation: Activation, value: Any, began: int, ended: int, worker: int) -> None:
        """As `settled`, where more follows than one plain activation; each value that is collected comes by here."""
        number, station, _, cause, fired, attempt, place = activation
        kind = type(value)
        if place is not None or not station.declares_output or kind is GeneratorType or kind is CoroutineType:
            self.emitted(activation, ((OUTPUT, value),), began, ended, worker)
            return
        self._record(
            (self._job_id, number, station.routine_id, attempt, PLAINLY, cause, fired, began, ended, worker, None)
        )
        delivery = self.delivery
        delivery.emit(station, OUTPUT, value, number, None, ended)
        if delivery.misfires or delivery.new_batches or delivery.trouble is not None:
            self.after_delivery(ended)

    def _conclude(self, activation: Activation, moment: int) -> None:
        """An activation has ended for good: gives back its lane, and leaves its scope."""
        station = activation[1]
        self.failures.forget(activation[0])
        self.admission.leave(activation)
        if activation[6] is not None or station.is_generator:
            self.fan_outs.conclude(activation, moment)
            self.after_delivery(moment)

    def after_delivery(self, moment: int) -> None:
        """Turns what went wrong on the way into failures, and sets the timers of new batches."""
        delivery = self.delivery
        if delivery.trouble is not None and self.end is None:
            self.stop(JobStatus.FAILED, delivery.trouble)
        while delivery.misfires and self.end is None:
            self._misfired(delivery.misfires.pop(0), moment)
        for gate in delivery.new_batches:
            rule = gate.station.rule
            if isinstance(rule, Batch) and rule.timeout is not None:
                due = moment + int(seconds_of("timeout", rule.timeout) * 1e9)
                self.timers.set(due, Alarm.BATCH, (gate, gate.generation))
        delivery.new_batches.clear()

    def _misfired(self, misfire: Misfire, moment: int) -> None:
        """A message that could not be handed on counts as a failed activation of the routine it was meant for."""
        where = f"Flow {self.plan.flow_id!r}, routine {misfire.station.routine_id!r}"
        error = HandlerInputError(f"{where}: {text_of(misfire.error)} {' '.join(misfire.error.__notes__)}")
        error.__cause__ = misfire.error
        self.delivery.fired += 1
        if misfire.place is not None:
            misfire.place[0].live += 1
        activation = (self.delivery.fired, misfire.station, NEVER_BEGAN, misfire.cause, moment, 1, misfire.place)
        self.failed(activation, error, moment, moment, -1)

    def stop(self, end: JobStatus, error: BaseException) -> None:
        """Nothing more starts, and what waits is forgotten; the job is over when what runs has ended."""
        self.end = end
        self.cause_of_end = error
        self.delivery.drop()
        self.admission.drop()
        self.timers.clear(Alarm.TIMEOUT)
        if not self.running:
            self.done = True

    def is_live(self, alarm: Alarm, subject: Any) -> bool:
        """Whether the reason of a timer has not gone."""
        if alarm is Alarm.TIMEOUT:
            return self.running.get(subject[0]) is subject
        if alarm is Alarm.BATCH:
            return bool(subject[0].generation == subject[1] and subject[0].wants_flush)
        return True
