"""Routines: a function with `@routine`, or a subclass of `Routine`.

A routine is a definition: it may stand in several flows, under several ids, and serve any number of jobs
at once. Nothing that happens in a job is kept here; `emit` and `state` find the running activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from routilux import hints
from routilux.context import Context, current_context
from routilux.errors import DefinitionError, EmissionError, SignatureError
from routilux.firing import AllSlots, FiringRule
from routilux.hints import Annotation
from routilux.options import OptionArguments, Options
from routilux.signature import Signature, mentions_state, read_signature
from routilux.slots import ERROR, OUTPUT, Event, Handler, Slot
from routilux.suggestions import nearest

P = ParamSpec("P")
R = TypeVar("R")


class Routine:
    """A named node of a flow with slots, events and handlers.

    A subclass says in `__init__` what it has, and may take configuration of its own::

        class Split(Routine):
            def __init__(self, limit):
                super().__init__()
                self.limit = limit
                self.define_slot("number", handler=self.split)
                self.define_event("small")
                self.define_event("large")

            def split(self, number):
                self.emit("small" if number < self.limit else "large", number)

    A handler with one parameter is given the message itself; one with several, on one slot, the items of a
    mapping by name; a handler given to several slots has one parameter for each, of the slot's name.
    """

    _definitions: dict[str, tuple[Slot, Signature, FiringRule | None]]
    _events: dict[str, Event]
    options: Options

    def __new__(cls, *args: object, **kwargs: object) -> Routine:
        routine = super().__new__(cls)
        routine._definitions = {}
        routine._events = {}
        routine.options = Options()
        return routine

    def __init__(self, **options: Unpack[OptionArguments]) -> None:
        self.options = Options.of(options)

    @property
    def name(self) -> str:
        """The id it gets in a flow when none is given."""
        return type(self).__name__

    def define_slot(
        self, name: str, handler: Callable[..., Any], *, fires: FiringRule | None = None, hold: bool = False
    ) -> None:
        """Adds an input port, whose messages go to `handler` when the rule `fires` says so.

        With `hold` the last message stays, is handed to every firing, and causes none.
        """
        where = f"Routine {self.name!r}, slot {name!r}"
        _check_port(name, "slot", where, self._definitions)
        signature = read_signature(handler, where)
        if fires is not None and not isinstance(fires, FiringRule):
            raise DefinitionError(f"{where}: fires must be a firing rule such as batch(10), not {fires!r}.")
        sole = signature.parameters[0] if len(signature.parameters) == 1 and not signature.takes_any_name else None
        annotation, required = (sole.annotation, sole.required) if sole else (None, True)
        self._definitions[name] = Slot(name, annotation, required, hold), signature, fires

    def define_event(self, name: str, annotation: Annotation = None) -> None:
        """Adds an output port; `annotation` is the type of what it emits, if that is to be checked."""
        where = f"Routine {self.name!r}, event {name!r}"
        _check_port(name, "event", where, self._events)
        if name == ERROR:
            raise DefinitionError(f"{where}: every routine has this event already; failures leave by it.")
        self._events[name] = Event(name, annotation)

    def emit(self, event: str, *value: Any, **items: Any) -> None:
        """Emits from inside a handler of this routine; see `Context.emit`."""
        self._context(f"emit({event!r})").emit(event, *value, **items)

    @property
    def state(self) -> dict[str, Any]:
        """What the routine keeps within one job: a dict that starts empty."""
        return self._context("state").state

    @property
    def context(self) -> Context:
        """The activation whose handler runs now."""
        return self._context("context")

    def _context(self, what: str) -> Context:
        context = current_context.get(None)
        if context is None:
            raise EmissionError(
                f"Routine {self.name!r}: {what} was used outside a handler, so it belongs to no activation. Use it "
                "inside one; a thread that a handler starts must hand what it found back to the handler."
            )
        return context

    @property
    def events(self) -> dict[str, Event]:
        """The declared events by name, without `error`."""
        return dict(self._events)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The handlers, each with the slots it listens on, in the order of definition."""
        groups: dict[Any, list[str]] = {}
        for name, (_, signature, _) in self._definitions.items():
            groups.setdefault(signature.handler, []).append(name)
        return tuple(self._handler(names) for names in groups.values())

    @property
    def slots(self) -> dict[str, Slot]:
        """The slots by name."""
        return {slot.name: slot for handler in self.handlers for slot in handler.slots}

    @property
    def keeps_state(self) -> bool:
        """Whether activations run one at a time, because they share `state`."""
        if self.options.keeps_state is not None:
            return self.options.keeps_state
        classes = type(self).__mro__[: -len(Routine.__mro__)]
        return any(mentions_state(member) for cls in classes for member in vars(cls).values())

    def _handler(self, names: list[str]) -> Handler:
        where = f"Routine {self.name!r}, slot {names[0]!r}"
        slots = [self._definitions[name][0] for name in names]
        signature = self._definitions[names[0]][1]
        rules = [rule for name in names if (rule := self._definitions[name][2]) is not None]
        if any(rule != rules[0] for rule in rules):
            raise DefinitionError(f"{where}: its handler was given two firing rules; give it one.")
        rule = rules[0] if rules else AllSlots()
        if len(slots) > 1:
            slots = _slots_by_parameter(slots, signature, where)
        by_names = len(slots) == 1 and signature.takes_names
        handler = Handler(signature, tuple(slots), rule, by_names, is_method=True)
        check_rule(handler, where)
        return handler


class FunctionRoutine(Routine, Generic[P, R]):
    """A function as a routine: each parameter is a slot, and what it returns goes out on `output`.

    It can still be called like the function.
    """

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        function: Callable[P, R],
        events: Iterable[str],
        fires: FiringRule,
        hold: Iterable[str],
        options: OptionArguments,
    ) -> None:
        super().__init__(**options)
        self._name = getattr(function, "__name__", type(function).__name__)
        where = f"Routine {self._name!r}"
        signature = read_signature(function, where)
        if signature.takes_any_name:
            raise SignatureError(
                f"{where}: its parameters are its slots, so **names cannot be one. Name them, or use a Routine "
                "subclass with one slot, whose handler may take **names."
            )
        if not isinstance(fires, FiringRule):
            raise DefinitionError(f"{where}: fires must be a firing rule such as batch(10), not {fires!r}.")
        for event in events:
            self.define_event(event)
        if OUTPUT in self._events:
            self._events[OUTPUT] = Event(OUTPUT, signature.gives)
        held = frozenset(hold)
        for unknown in held - {parameter.name for parameter in signature.parameters}:
            known = [parameter.name for parameter in signature.parameters]
            raise DefinitionError(f"{where}: hold names no parameter: {unknown!r}.{nearest(unknown, known)}")
        slots = tuple(
            Slot(parameter.name, parameter.annotation, parameter.required, parameter.name in held)
            for parameter in signature.parameters
        )
        self._function_handler = Handler(signature, slots, fires)
        check_rule(self._function_handler, where)
        update_wrapper(self, function)

    @property
    def name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The one handler: the function."""
        return (self._function_handler,)

    @property
    def keeps_state(self) -> bool:
        """Whether activations run one at a time, because they share the context's `state`."""
        if self.options.keeps_state is not None:
            return self.options.keeps_state
        signature = self._function_handler.signature
        return signature.context_name is not None and signature.mentions_state

    def define_slot(
        self, name: str, handler: Callable[..., Any], *, fires: FiringRule | None = None, hold: bool = False
    ) -> None:
        """Refused: the slots of a function are its parameters."""
        raise DefinitionError(
            f"Routine {self.name!r}, slot {name!r}: a function's parameters are its slots. Add a parameter, or use a "
            "Routine subclass."
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<routine {self._name}>"


@overload
def routine(function: Callable[P, R], /) -> FunctionRoutine[P, R]: ...
@overload
def routine(
    *,
    events: Iterable[str] = ...,
    fires: FiringRule = ...,
    hold: Iterable[str] = ...,
    **options: Unpack[OptionArguments],
) -> Callable[[Callable[P, R]], FunctionRoutine[P, R]]: ...
def routine(
    function: Callable[P, R] | None = None,
    /,
    *,
    events: Iterable[str] = (OUTPUT,),
    fires: FiringRule = AllSlots(),
    hold: Iterable[str] = (),
    **options: Unpack[OptionArguments],
) -> FunctionRoutine[P, R] | Callable[[Callable[P, R]], FunctionRoutine[P, R]]:
    """Makes a function, or a generator function, a routine.

    `events` names what it may emit on; `fires` is its firing rule; `hold` names slots whose last message stays;
    the options are those of `Options`.
    """
    if function is not None:
        return FunctionRoutine(function, events, fires, hold, options)
    for option, value in (("events", events), ("hold", hold)):
        if isinstance(value, str):
            raise DefinitionError(f"@routine: {option} is a list of names; write {option}=[{value!r}].")
    return lambda decorated: FunctionRoutine(decorated, events, fires, hold, options)


def check_rule(handler: Handler, where: str) -> None:
    """Raises `DefinitionError` where a firing rule does not fit the slots it is given for."""
    triggers = [slot for slot in handler.slots if not slot.hold]
    if handler.slots and not triggers:
        raise DefinitionError(f"{where}: all its slots hold their message, so nothing would ever fire it.")
    if not handler.rule.single_slot:
        return
    rule = type(handler.rule).__name__.lower()
    needed = [slot for slot in triggers if slot.required] or triggers
    if len(needed) != 1:
        names = ", ".join(slot.name for slot in needed) or "none"
        raise DefinitionError(
            f"{where}: {rule} is a rule for one slot, and the handler has {len(needed)} ({names}). "
            "Give the others a default or hold them."
        )
    if not hints.is_list(needed[0].annotation) or handler.by_names:
        raise DefinitionError(
            f"{where}: with {rule} the handler gets a list in {needed[0].name!r}, which is annotated "
            f"{hints.name_of(needed[0].annotation)}. Annotate it as a list."
            if not handler.by_names
            else f"{where}: with {rule} the handler gets one list, so it must have one parameter."
        )


def _slots_by_parameter(slots: list[Slot], signature: Signature, where: str) -> list[Slot]:
    """The slots of a handler that listens on several, in the order of its parameters."""
    by_name = {slot.name: slot for slot in slots}
    known = {parameter.name: parameter for parameter in signature.parameters}
    for name in by_name:
        if name not in known and not signature.takes_any_name:
            raise SignatureError(
                f"{where}: a handler of several slots needs a parameter for each, and has none called {name!r}."
                f"{nearest(name, known)}"
            )
    missing = [name for name, parameter in known.items() if parameter.required and name not in by_name]
    if missing:
        raise SignatureError(f"{where}: no slot of this handler is called like its parameter {missing[0]!r}. Add it.")
    ordered = [name for name in known if name in by_name] + [name for name in by_name if name not in known]
    return [
        Slot(
            name,
            known[name].annotation if name in known else None,
            known[name].required if name in known else True,
            by_name[name].hold,
        )
        for name in ordered
    ]


def _check_port(name: object, kind: str, where: str, known: Iterable[str]) -> None:
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"{where}: the name of a {kind} must be a text that is not empty.")
    if name in known:
        raise DefinitionError(f"{where}: the routine has this {kind} already.")
