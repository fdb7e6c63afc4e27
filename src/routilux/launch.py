"""Launch: how a flow becomes jobs. Everything a job consists of is put together here, and nothing is decided."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from routilux.attendant import Attendant
from routilux.auto.quarters import Quarters, elsewhere, most_processes, most_threads, sized
from routilux.block import Block
from routilux.checks import Receiver, entry_receiver
from routilux.course import Course, Reader
from routilux.crew import Awaiting, Crew
from routilux.drivers.invoke import Invoker, Surroundings
from routilux.engine import Engine
from routilux.errors import EntryParamsError, SettingError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Freed, Origin, Started
from routilux.flow import FlowDefinition
from routilux.job import Job
from routilux.limits import UNLIMITED, Limits
from routilux.loading import loaded, loaded_extra
from routilux.machine.compile import compile_plan
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan
from routilux.modes import EngineMode, Mode, SequentialMode
from routilux.open_stores import OpenStores
from routilux.ports import Clock, Steering
from routilux.recording import Recording
from routilux.settings import SettingArguments, Settings, checked_settings
from routilux.signals.cores import usable_cores
from routilux.tracking.history import History
from routilux.tracking.tracker import ExecutionTracker
from routilux.tuning.port import Tuning

OWN_ENGINE = frozenset({"max_workers", "cluster", "executor", "insecure_cluster", "store", "durability"})
"""Settings that say something of workers or of what they tell: a job that is given one has workers of its own."""

PlanKey: TypeAlias = tuple[str, frozenset[str], ExecutionMode, tuple[tuple[str, ExecutionMode], ...], bool]
"""Entry, names of its params, mode, placement, whether it is recorded."""


class Planned(NamedTuple):
    """A flow compiled for one job: the plan, the first messages of its entry, and what holds for it."""

    plan: Plan
    messages: Mapping[str, Any]
    settings: Settings
    entry: str
    params: Mapping[str, Any]


AnyMode_co = TypeVar("AnyMode_co", bound=Mode, covariant=True)


class Prepared(NamedTuple, Generic[AnyMode_co]):
    """A job that has not begun, what is to run it, and the fact with which it begins."""

    job: Job
    mode: AnyMode_co
    first: Started


class Launch:
    """Makes the jobs of one flow, and knows those that are under way and the workers of its block."""

    def __init__(
        self, flow: FlowDefinition, settings: Settings, clock: Clock, tracker: Callable[[], ExecutionTracker | None]
    ) -> None:
        self._flow = flow
        self._settings = settings
        self._clock = clock
        self._tracker = tracker
        self._limits = Limits(flow.limits)
        self._plans: dict[PlanKey, tuple[int, Plan, Receiver]] = {}
        self.block = Block(flow.flow_id)
        self._tuning: Tuning | None = None
        self.stores = OpenStores(partial(_open_store, self, flow, clock))
        self._steerings: dict[str, Steering] = {}
        self._log: Callable[[Course], None] | None = None
        """Logs what becomes of a job."""
        self.under_way: dict[str, Job] = {}
        """By id: the jobs that are not over."""

    @property
    def tuning(self) -> Tuning:
        """What auto mode has found out."""
        if self._tuning is None:
            self._tuning = loaded("routilux.tuning.tuning", "PilotedTuning")(usable_cores())
        return self._tuning

    def plan(self, entry: str, params: Mapping[str, Any] | None, arguments: SettingArguments) -> Planned:
        """The flow compiled for these params and settings; raises whatever is wrong with it."""
        return self.plan_with(entry, params, checked_settings(self._flow.flow_id, self._settings, arguments))

    def plan_with(
        self, entry: str, params: Mapping[str, Any] | None, settings: Settings, part: FlowDefinition | None = None
    ) -> Planned:
        """As `plan`, with all settings given; for a `part` of the flow, if there is one."""
        params = {} if params is None else params
        if not isinstance(params, Mapping):
            raise EntryParamsError(
                f"Flow {self._flow.flow_id!r}, entry {entry!r}: entry_params must be a mapping from names to values, "
                f"not {params!r}."
            )
        placement = {one: ExecutionMode(mode) for one, mode in settings.placement.items()} if settings.placement else {}
        mode, recorded = settings.execution_mode, settings.recording
        assert isinstance(mode, ExecutionMode)
        key = entry, frozenset(params), mode, tuple(placement.items()), recorded
        flow = self._flow if part is None else part
        known = self._plans.get(key) if part is None else None
        if known is None or known[0] != flow.version:
            receive = entry_receiver(flow, entry, key[1])
            plan = _compiled(flow, entry, receive(params), mode, placement, recorded=recorded)
            for name, rate in plan.rates.items():
                self._limits.add_rate(name, rate)
            known = flow.version, plan, receive
            if part is None:
                self._plans[key] = known
        return Planned(known[1], known[2](params), settings, entry, params)

    def prepare(
        self,
        planned: Planned,
        *,
        own: bool,
        streaming: bool = False,
        engine: Engine | None = None,
        key: str | None = None,
    ) -> Prepared[Mode]:
        """A job in the thread of whoever asks, or on an engine: the given one, the block's, or (`own`) its own.

        `key` names a stored job, which may be there already.
        """
        if planned.settings.store is not None:
            used = None if planned.plan.in_thread else engine or (None if own else self.block.engine)
            prepared: Prepared[Mode] = self.stores.of(planned.settings).submit(planned, key, used, streaming=streaming)
            return prepared
        _check_keyless(self._flow, key)
        if planned.settings.is_auto:
            return self._tuned(planned, own=own, streaming=streaming, engine=engine)
        if planned.plan.in_thread:
            recorder = new_recorder(planned, self._flow.limits)
            course, first, history = self.new_course(planned, 1, 1, streaming=streaming, recorder=recorder)
            mode: Mode = SequentialMode(course, self.new_invoker(course, recorder), self._clock)
            return Prepared(self.new_job(course, mode, history, recorder), mode, first)
        shared = engine or (None if own else self.block.engine)
        used = shared or self.new_engine(planned.settings)
        return self._on_engine(used, planned, own=shared is None, streaming=streaming)

    def prepare_awaited(
        self, planned: Planned, *, own: bool, streaming: bool = False, key: str | None = None
    ) -> Prepared[Mode]:
        """A job to be awaited in the event loop that runs."""
        shared = None if own else self.block.engine
        if ExecutionMode.ASYNCIO in planned.plan.modes and self.block.loop_ident != threading.get_ident():
            shared = None
        used = shared or self.new_awaited_engine(planned.settings)
        if planned.settings.store is not None:
            stored = self.stores.of(planned.settings)
            prepared: Prepared[Mode] = stored.submit(planned, key, used, streaming=streaming, own=shared is None)
            return prepared
        _check_keyless(self._flow, key)
        return self._on_engine(used, planned, own=shared is None, streaming=streaming)

    def new_course(
        self,
        planned: Planned,
        workers: int,
        window: int,
        *,
        streaming: bool = False,
        recorder: Recording | None = None,
        origin: Origin | None = None,
        tracked: bool = True,
    ) -> tuple[Course, Started, History]:
        """A job that has not begun, for whatever is to run it; without an `origin`, a new one."""
        plan, messages, settings = planned[:3]
        moment = self._clock.now()
        origin = origin or Origin(os.urandom(16).hex(), self._flow.flow_id, self._clock.epoch() - moment)
        permits = self._limits.of_job(origin.job_id) if plan.limits else UNLIMITED
        machine = Machine(plan, settings, origin, window, permits, streaming=streaming)
        bounds = settings.max_history_size, settings.history_ttl_seconds
        history = History(*bounds, self._clock.now, origin.epoch_offset_ns)
        tracker = self._tracker() if tracked else None
        own = None if tracker is None else tracker.absorb, None if recorder is None else recorder.absorb
        readers: list[Reader] = [read for read in (history.absorb, *own) if read is not None]
        course = Course(machine, permits, origin, readers, moment)
        course.workers = workers
        if tracker is not None:
            tracker.job_started(origin, moment, workers)
        course.when_finished.append(partial(self._finished, tracker))
        if self._log is None:
            self._log = loaded("routilux.journal", "follow")
        self._log(course)
        return course, Started(moment, messages), history

    def new_job(self, course: Course, steering: Steering, history: History, recorder: Recording | None = None) -> Job:
        """The job of a course, steered by what runs it."""
        if recorder is not None:
            recorder.follow(course, steering.workers)
        job = Job(course, steering, history, self._clock, recorder)
        if course.permits is not UNLIMITED:
            course.permits.when_freed(lambda: steering.post(Freed(self._clock.now())))
        self._steerings[course.origin.job_id] = steering
        self.under_way[course.origin.job_id] = job
        return job

    def new_invoker(self, course: Course, recorder: Recording | None = None) -> Invoker:
        """What calls the handlers of a course in this process; async ones on a loop that ends with the job."""
        origin, room = course.origin, course.machine.settings.room
        known = Surroundings(origin.flow_id, origin.job_id, course.states, course.is_over, Awaiting(course), room)
        return Invoker(known) if recorder is None else recorder.invoker(known)

    def new_engine(self, settings: Settings) -> Engine:
        """An engine whose coroutines, if there are any, run on a loop of their own."""
        settings = sized(settings, lambda: self.tuning)
        name = f"routilux-{self._flow.flow_id}"

        def attendant(engine: Engine) -> Attendant:
            return Attendant(engine.post, engine.close, self._clock, f"{name}-attendant")

        return engine_class(settings)(Crew(settings, self._clock, name), attendant, self._clock)

    def engine_for_many(self, settings: Settings, *, own: bool) -> Callable[[], Engine] | None:
        """What makes an engine that many jobs share; `None` where they share that of the block."""
        return partial(self.new_engine, settings) if own or self.block.engine is None else None

    def leave(self, error: BaseException | None) -> list[Job]:
        """A block ends: gives its jobs, which an error cancels, or lets go if they are stored."""
        jobs = list(self.under_way.values())
        if error is not None:
            for steering in list(self._steerings.values()):
                steering.leave(error)
        return jobs

    def _on_engine(self, engine: Engine, planned: Planned, *, own: bool, streaming: bool) -> Prepared[EngineMode]:
        modes = planned.plan.modes
        crew = engine.crew
        crew.equip(modes, planned.plan.mode, engine)
        workers = sum(map(crew.workers, planned.plan.in_use))
        window = planned.settings.max_pending or crew.window(planned.plan.in_use)
        recorder = new_recorder(planned, self._flow.limits)
        course, first, history = self.new_course(planned, workers, window, streaming=streaming, recorder=recorder)
        invoker = self.new_invoker(course, recorder)
        if planned.settings.is_auto and ExecutionMode.CONCURRENT in modes:
            crew[ExecutionMode.CONCURRENT].elastic = True
            piloted = loaded("routilux.auto.piloted", "PilotedMode")
            mode: EngineMode = piloted(course, invoker, self._clock, engine, self.tuning, own_engine=own)
        else:
            mode = EngineMode(course, invoker, self._clock, engine, own_engine=own)
        return Prepared(self.new_job(course, mode, history, recorder), mode, first)

    def _tuned(self, planned: Planned, *, own: bool, streaming: bool, engine: Engine | None) -> Prepared[Mode]:
        """A job in auto mode: where the last one was, or in the thread of whoever asks if nothing else is known."""
        tuning, settings = self.tuning, planned.settings
        tuning.limit(most_threads(settings), most_processes(settings))
        shared, version = engine or (None if own else self.block.engine), self._flow.version

        def plan_elsewhere() -> Plan | None:
            return self.elsewhere(planned).plan if self._flow.version == version else None

        quarters = Quarters(shared, partial(self.new_engine, settings), plan_elsewhere)
        found = self._known_best(planned)
        if found is not None:
            used = shared or quarters.new_engine()
            return self._on_engine(used, found, own=shared is None, streaming=streaming)
        recorder = new_recorder(planned, self._flow.limits)
        course, first, history = self.new_course(planned, 1, 1, streaming=streaming, recorder=recorder)
        invoker = self.new_invoker(course, recorder)
        mode: Mode = loaded("routilux.auto.mode", "AutoMode")(course, invoker, self._clock, tuning, quarters)
        return Prepared(self.new_job(course, mode, history, recorder), mode, first)

    def elsewhere(self, planned: Planned) -> Planned:
        """A job in auto mode, planned for processes."""
        settings = planned.settings.updated(elsewhere(planned.plan, planned.settings))
        return self.plan_with(planned.entry, planned.params, settings)._replace(settings=planned.settings)

    def _known_best(self, planned: Planned) -> Planned | None:
        """The plan of a job in auto mode that begins on an engine; `None` for one that begins in sequence."""
        tuning = self.tuning
        if planned.plan.modes != {ExecutionMode.CONCURRENT} or tuning.mode is ExecutionMode.CONCURRENT:
            return planned
        if tuning.mode is ExecutionMode.MULTIPROCESSING:
            found = self.elsewhere(planned)
            sending = loaded("routilux.auto.proof", "first_messages")(found.plan, found.messages)
            if sending.refusal is None:
                return found
            tuning.prove(sending)
        return None

    def new_awaited_engine(self, settings: Settings) -> Engine:
        """An engine in the event loop that runs."""
        settings, name = sized(settings, lambda: self.tuning), f"routilux-{self._flow.flow_id}"
        engine: Engine = loaded("routilux.awaited", "new_engine")(engine_class(settings), settings, self._clock, name)
        return engine

    def _finished(self, tracker: ExecutionTracker | None, course: Course) -> None:
        self.under_way.pop(course.origin.job_id, None)
        self._steerings.pop(course.origin.job_id, None)
        if tracker is not None and course.ended_at is not None:
            origin, status = course.origin, course.machine.status
            tracker.job_finished(origin, status, course.started_at, course.ended_at, course.workers)


def _compiled(
    flow: FlowDefinition,
    entry: str,
    messages: Mapping[str, Any],
    mode: ExecutionMode,
    placement: Mapping[str, ExecutionMode],
    *,
    recorded: bool,
) -> Plan:
    """In auto mode, for threads; where there are coroutines, they are at home on their loop."""
    if mode is not ExecutionMode.AUTO:
        return compile_plan(flow, entry, messages, mode, placement, recorded=recorded)
    plan = compile_plan(flow, entry, messages, ExecutionMode.CONCURRENT, placement, recorded=recorded)
    if ExecutionMode.ASYNCIO not in plan.modes:
        return plan
    return compile_plan(flow, entry, messages, ExecutionMode.ASYNCIO, placement, recorded=recorded)


def _open_store(launch: Launch, flow: FlowDefinition, clock: Clock, settings: Settings) -> Any:
    stored = loaded_extra("routilux.durable.jobs", "StoredJobs", "store", "store=...")
    return stored(launch, flow, clock, settings)


def _check_keyless(flow: FlowDefinition, key: str | None) -> None:
    if key is not None:
        raise SettingError(f'Flow {flow.flow_id!r}: key={key!r} needs a store: Flow(..., store="jobs.db").')


def engine_class(settings: Settings) -> type[Engine]:
    """The kind of engine that jobs need."""
    if settings.store is None:
        return Engine
    durable: type[Engine] = loaded_extra("routilux.durable.engine", "DurableEngine", "store", "store=...")
    return durable


def new_recorder(planned: Planned, limits: Mapping[str, int | str]) -> Recording | None:
    """What records the job, if it is to be recorded; that needs modules that others do without."""
    if not planned.settings.recording:
        return None
    recorder: Recording = loaded("routilux.recorder", "Recorder")(limits)
    return recorder
