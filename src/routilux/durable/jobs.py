"""The jobs of one flow in one store: how they come into it, and how they go on after a crash."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Collection
from contextlib import nullcontext

from routilux.course import Course
from routilux.durable.engine import DurableEngine
from routilux.durable.journal_key import journal_key_of
from routilux.durable.log import JobLog, entry_of
from routilux.durable.mode import DurableEngineMode, KnownMode
from routilux.durable.paper import Paper
from routilux.durable.past import Past
from routilux.durable.request import Request
from routilux.durable.sequential import WINDOW, DurableSequentialMode
from routilux.durable.shortening import Shortening
from routilux.durable.structure import from_data, missing, part_of
from routilux.durable.turns import Turns
from routilux.engine import Engine
from routilux.errors import (
    FlowChangedError,
    JobOverError,
    RecoveryError,
    RoutiluxError,
    StoreError,
    UnknownJobError,
    WorkerLostError,
)
from routilux.facts import JobStatus, Opened, Origin, Revived, Settled, Started, taken_out
from routilux.flow import FlowDefinition
from routilux.guard import text_of
from routilux.job import Job
from routilux.launch import Launch, Planned, Prepared, new_recorder
from routilux.machine.delivery import Activation
from routilux.machine.machine import Machine
from routilux.machine.replay import Replay
from routilux.modes import Mode
from routilux.ports import Clock
from routilux.settings import Settings
from routilux.stores.opening import open_store
from routilux.stores.port import FINISHED, Durability, NewJob, Store, StoredJob
from routilux.strategies import seconds_of

UNFINISHED = frozenset(one.value for one in JobStatus) - frozenset(FINISHED)


class StoredJobs:
    """Submits jobs to a store, and takes up those that another process left there."""

    def __init__(self, launch: Launch, flow: FlowDefinition, clock: Clock, settings: Settings) -> None:
        """Opens the store that the settings name, if it is not open."""
        self._launch = launch
        self._flow = flow
        self._clock = clock
        self._settings = settings
        given = isinstance(settings.store, Store)
        self._store: Store = settings.store if given else _opened(settings, clock)
        self._own_store = not given
        if not given:
            weakref.finalize(self, self._store.close)
        self._running: dict[str, Prepared[Mode]] = {}
        """By id: the jobs that this process runs."""
        self._claimed: set[str] = set()
        """Those that it has or will have."""
        self._turns = Turns()
        self._taking = threading.Lock()
        """So that nobody takes up a job that is just being submitted."""
        self._paper = Paper(flow, settings, self._store)

    def submit(
        self,
        planned: Planned,
        key: str | None,
        engine: Engine | None,
        *,
        streaming: bool = False,
        own: bool = False,
    ) -> Prepared[Mode]:
        """A new job, which is in the store when this returns; or the one that was submitted with the same key.

        `own`: whether the engine is for this job alone.
        """
        moment = self._clock.now()
        origin = Origin(os.urandom(16).hex(), self._flow.flow_id, self._clock.epoch() - moment)
        forms = self._paper.forms
        request = Request(origin.flow_id, planned.entry, planned.params, planned.settings)
        whole = forms.requests.write(request)
        opened = Opened(moment, origin.epoch_offset_ns, 0, forms.structure.data, whole)
        entries = [entry_of(fact, origin, forms.records) for fact in (opened, Started(moment, planned.messages))]
        new = NewJob(origin.job_id, origin.flow_id, key, forms.requests.identity(request), entries)
        self._claimed.add(origin.job_id)
        with nullcontext() if key is None else self._taking:
            stored = None
            try:
                stored = self._store.submit(new)
            finally:
                if stored is None or stored.job_id != origin.job_id:
                    self._claimed.discard(origin.job_id)
            if stored.job_id == origin.job_id:
                return self._prepared(planned, origin, engine, own=own, streaming=streaming)
            if stored.job_id in self._running:
                return _known(self._running[stored.job_id], self._clock)
            return self._taken_up(stored, engine, own=own, streaming=streaming)

    def recover(
        self,
        engine: Engine | None,
        job_ids: Collection[str] | None = None,
        *,
        retry_failed: bool = False,
        max_running: int,
    ) -> list[Job]:
        """Has jobs of the flow go on that are not over and that nothing runs: those named, or all.

        Of those that need a thread each, `max_running` run at once. With `retry_failed` also those that failed: what
        stopped them is tried again. Raises `RecoveryError` if some cannot go on; the others are in it, and run.
        """
        taken: list[Job] = []
        failed: dict[str, RoutiluxError] = {}
        statuses = UNFINISHED | {JobStatus.FAILED.value} if retry_failed else UNFINISHED
        self._turns.most = max_running
        with self._taking:
            self._store.flush()
            before = set(self._claimed)  # A job that ends now is given up only when the store says so.
            wanted = self._store.job_ids(self._flow.flow_id, statuses) if job_ids is None else job_ids
            for job_id in wanted:
                if job_id in before or job_id in self._claimed:
                    continue
                try:
                    stored = self._found(job_id, statuses)
                    revived = stored.status in FINISHED
                    prepared = self._taken_up(stored, engine, alone=True, revived=revived)
                    if isinstance(prepared.mode, DurableSequentialMode):
                        prepared.mode.start_in_turn(prepared.first, self._turns)
                    else:
                        prepared.mode.start(prepared.first)
                    taken.append(prepared.job)
                except RoutiluxError as error:
                    failed[job_id] = error
        if failed:
            raise RecoveryError(
                f"Flow {self._flow.flow_id!r}: {len(failed)} stored jobs cannot go on. "
                + " ".join(map(str, failed.values())),
                failed,
                taken,
            )
        return taken

    def close(self) -> None:
        """Gives the store back, if it was opened here."""
        if self._own_store:
            self._store.close()

    def _found(self, job_id: str, statuses: Collection[str]) -> StoredJob:
        """A job that is to go on; raises why it cannot."""
        stored = self._store.job(job_id)
        if stored is None or stored.flow_id != self._flow.flow_id:
            raise UnknownJobError(f"Flow {self._flow.flow_id!r} has no job {job_id!r} in its store.")
        if stored.status in statuses:
            return stored
        hint = " `retry_failed` has it try again what failed." if stored.status == JobStatus.FAILED else ""
        raise JobOverError(f"Job {job_id} is {stored.status}, and nothing of it is left to run.{hint}")

    def _taken_up(
        self,
        stored: StoredJob,
        engine: Engine | None,
        *,
        own: bool = False,
        streaming: bool = False,
        alone: bool = False,
        revived: bool = False,
    ) -> Prepared[Mode]:
        """A stored job, which stands where it stood; `alone`: one of sequential mode needs no engine.

        `revived`: what stopped it is tried again.
        """
        forms, moment = self._paper.forms, self._clock.now()
        # Never earlier than what happened last, so that nothing waits longer than it would have had to.
        present = max(self._clock.epoch(), stored.changed_at)
        origin = Origin(stored.job_id, stored.flow_id, present - moment)
        past = Past(self._store, forms.records, origin, revived=revived)
        opened = past.first()
        request, structure = forms.requests.read(opened.request), from_data(opened.structure)
        lacking = missing(structure, forms.structure)
        if lacking:
            raise FlowChangedError(
                f"Job {stored.job_id} cannot go on, because its flow has changed: {' '.join(lacking)} It stays as it "
                "is: put back what is missing, or cancel it."
            )
        part = None if structure == forms.structure else part_of(self._flow, structure)
        planned = self._launch.plan_with(request.entry, request.params, request.settings, part)
        if alone and planned.plan.in_thread:
            engine = None
        over = stored.status in FINISHED and not revived
        return self._prepared(planned, origin, engine, own=own, streaming=streaming, past=past, over=over)

    def _prepared(
        self,
        planned: Planned,
        origin: Origin,
        engine: Engine | None,
        *,
        own: bool,
        streaming: bool,
        past: Past | None = None,
        over: bool = False,
    ) -> Prepared[Mode]:
        launch, plan = self._launch, planned.plan
        used, workers, window = None, 1, planned.settings.max_pending or WINDOW
        if not over and (engine is not None or not plan.in_thread):
            used = engine or launch.new_engine(planned.settings)
            used.crew.equip(plan.modes, plan.mode, used)
            workers = sum(map(used.crew.workers, plan.in_use))
            window = planned.settings.max_pending or used.crew.window(plan.in_use)
        recorder = new_recorder(planned, self._flow.limits)
        course, first, history = launch.new_course(
            planned, workers, window, streaming=streaming, recorder=recorder, origin=origin, tracked=not over
        )
        suspects, records = 0, self._paper.forms.records
        shortening = Shortening(course, history, records)
        if past is not None:
            self._tell_again(past, course, shortening)
            if past.snapshot is not None:
                history.resume(past.snapshot.history, past.snapshot.counts)
            ledger = course.machine.ledger
            history.absorb(taken_out(ledger.records), taken_out(ledger.unusual))
            suspects = course.machine.delivery.fired
        shortening.in_parallel = isinstance(used, DurableEngine)
        log = JobLog(course, self._store, records, shortening, suspects)
        invoker = launch.new_invoker(course, recorder)
        mode: Mode
        if over or course.machine.done:
            mode = KnownMode(course, self._clock)
        elif isinstance(used, DurableEngine):
            mode = DurableEngineMode(course, invoker, self._clock, used, log, own_engine=own or engine is None)
        else:
            mode = DurableSequentialMode(course, invoker, self._clock, log)
        prepared = Prepared(launch.new_job(course, mode, history, recorder), mode, first)
        self._running[origin.job_id] = prepared
        self._claimed.add(origin.job_id)
        course.when_finished.append(self._forget)
        if course.machine.done:
            course.finish(self._clock.now(), ())
        return prepared

    def _tell_again(self, past: Past, course: Course, shortening: Shortening) -> None:
        """Has happen to a machine what happened to a job, and then that its process died, if it is not over."""
        replay = Replay(course.machine)
        for fact in past.facts(course, replay):
            if isinstance(fact, Started):
                course.started_at = fact.moment
            replay.tell(fact)
        shortening.resume(past)
        for fact in self._lost(past, course, replay, shortening):
            replay.tell(fact)
        replay.end()

    def _lost(self, past: Past, course: Course, replay: Replay, shortening: Shortening) -> list[Settled]:
        """The attempts that a process died of, or that must not run twice, as failures; they are durable."""
        machine, origin = course.machine, course.origin
        if past.revived and (machine.done or machine.end is not None):
            raise JobOverError(f"Job {origin.job_id} cannot be tried again: {_said_of_end(machine)}")
        if machine.done or machine.end is not None:
            return []
        moment = self._clock.now()
        lost = [
            Settled(number, attempt, moment, moment, -1, error=_died(origin.flow_id, activation))
            for number, attempt in past.crashes.running.items()
            if (activation := replay.activation(number)) is not None and activation[5] == attempt
        ]
        opened = Opened(moment, origin.epoch_offset_ns, machine.delivery.fired)
        revival = [Revived(moment)] if past.revived else []
        if revival:
            # Before it is durable that the job was revived: what nobody revived would be found to be over again.
            self._store.set_status(origin.job_id, JobStatus.PENDING.value)
        JobLog(course, self._store, self._paper.forms.records, shortening).write([opened, *revival, *lost])
        return lost

    def _forget(self, course: Course) -> None:
        """A job has ended, or was let go. It is claimed until the store has what is to be known of it."""
        job_id = course.origin.job_id
        self._running.pop(job_id, None)
        try:
            if course.ended_at is not None:
                self._store.set_status(job_id, course.machine.status.value)
            self._store.append(job_id, [], lambda _: self._claimed.discard(job_id))
        except StoreError:  # It has been closed: whoever opens it finds the job as it is there.
            self._claimed.discard(job_id)


def _opened(settings: Settings, clock: Clock) -> Store:
    kept = None if settings.retention is None else seconds_of("retention", settings.retention)
    key = journal_key_of(settings)
    return open_store(settings.store, Durability(settings.durability), retention=kept, clock=clock, journal_key=key)


def _known(prepared: Prepared[Mode], clock: Clock) -> Prepared[Mode]:
    """A job that something runs already, for one more who wants its end."""
    return Prepared(prepared.job, KnownMode(prepared.mode.course, clock), prepared.first)


def _said_of_end(machine: Machine) -> str:
    cause = machine.cause_of_end
    return "nothing failed in it." if cause is None else f"{type(cause).__name__}: {text_of(cause)}"


def _died(flow_id: str, activation: Activation) -> WorkerLostError:
    return WorkerLostError(
        f"Flow {flow_id!r}, routine {activation[1].routine_id!r}: the process that ran activation {activation[0]} "
        "ended before its handler did."
    )
