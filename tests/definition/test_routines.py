"""What can be a routine, and how its handlers are given what arrives."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator

import pytest

from routilux import Context, Flow, Routine, all_slots, batch, collect, keyed, routine
from routilux.errors import DefinitionError, EmissionError, SignatureError
from routilux.firing import AllSlots, Batch


def run(*steps, params=None, **settings):
    """Executes a chain and gives what left it."""
    flow = Flow("test", **settings)
    if len(steps) == 1:
        flow.add_routine(steps[0], "only")
        return flow.execute("only", params).raise_for_status().results.get("only", [])
    ids = [flow.add_routine(step, f"step{number}") for number, step in enumerate(steps)]
    flow.chain(*ids)
    return flow.execute(ids[0], params).raise_for_status().results.get(ids[-1], [])


@routine
def numbers(n):
    yield from range(n)


def test_a_function_is_a_routine_and_can_still_be_called():
    @routine
    def double(x):
        "Doubles."
        return 2 * x

    assert double(4) == 8
    assert double.name == "double"
    assert double.__doc__ == "Doubles."
    assert repr(double) == "<routine double>"
    assert run(double, params={"x": 4}) == [8]


def test_a_plain_function_need_not_be_decorated():
    assert run(lambda x: x + 1, params={"x": 1}) == [2]


def test_none_emits_nothing_also_from_a_generator():
    def some(n):
        for number in range(n):
            yield number if number % 2 else None

    assert run(some, params={"n": 6}) == [1, 3, 5]
    assert run(lambda x: None, params={"x": 1}) == []


def test_a_parameter_with_a_default_need_not_be_connected():
    def scale(x, factor=3):
        return x * factor

    assert run(numbers, scale, params={"n": 3}) == [0, 3, 6]


def test_a_connected_parameter_with_a_default_is_waited_for():
    flow = Flow("wait")
    flow.add_routine(numbers)
    flow.add_routine(lambda x, y=100: (x, y), "pair")
    flow.connect("numbers", "output", "pair", "x")
    flow.connect("numbers", "output", "pair", "y")
    assert flow.execute("numbers", {"n": 2}).results["pair"] == [(0, 0), (1, 1)]


def test_keyword_only_parameters_are_slots():
    def join(*, left, right=2):
        return left, right

    assert run(numbers, join, params={"n": 1}) == [(0, 2)]


def test_parameters_out_of_the_order_of_connection_get_their_own_values():
    def join(a, b=5, c=6):
        return a, b, c

    flow = Flow("order")
    flow.add_routine(numbers)
    flow.add_routine(join)
    flow.connect("numbers", "output", "join", "c")
    flow.connect("numbers", "output", "join", "a")
    assert flow.execute("numbers", {"n": 1}).results["join"] == [(0, 5, 0)]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_context_may_stand_anywhere(position):
    def first(ctx: Context, x, y=1):
        ctx.emit("output", (x, y, ctx.routine_id))

    def middle(x, ctx: Context, y=1):
        ctx.emit("output", (x, y, ctx.routine_id))

    def last(x, y=1, *, ctx: Context):
        ctx.emit("output", (x, y, ctx.routine_id))

    handler = [first, middle, last][position]
    assert run(numbers, handler, params={"n": 1}) == [(0, 1, "step1")]


def test_the_context_knows_where_it_is():
    seen = []

    def look(x, ctx: Context):
        seen.append((ctx.flow_id, ctx.routine_id, ctx.activation_id, ctx.attempt, ctx.cancelled, ctx.state))
        return ctx.job_id, ctx.idempotency_key

    flow = Flow("where")
    flow.add_routine(look)
    job = flow.execute("look", {"x": 1})
    assert job.result == (job.job_id, f"{job.job_id}/1")
    assert seen == [("where", "look", 1, 1, False, {})]


def test_several_events_are_chosen_with_the_context():
    @routine(events=["small", "large"])
    def sort_out(x, ctx: Context):
        ctx.emit("small" if x < 2 else "large", x)

    flow = Flow("sort")
    flow.chain(numbers)
    flow.connect(numbers, sort_out)
    results = flow.execute("numbers", {"n": 4}).results
    assert results.of("sort_out", "small") == [0, 1]
    assert results.of("sort_out", "large") == [2, 3]
    assert results.of("sort_out", "none") == []
    assert results["sort_out"] == [0, 1, 2, 3]


def test_one_emission_is_one_value_or_one_mapping():
    @routine
    def give(ctx: Context):
        ctx.emit("output", 1)
        ctx.emit("output", a=1, b=2)
        ctx.emit("output")

    assert run(give) == [1, {"a": 1, "b": 2}, None]


def test_callable_objects_and_partials_are_handlers():
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x + self.n

    def add(a, b):
        return a + b

    assert run(Adder(2), params={"x": 1}) == [3]
    assert run(functools.partial(add, b=5), params={"a": 1, "b": 5}) == [6]
    assert routine(Adder(1)).name == "Adder"


def test_a_decorated_generator_is_a_generator():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @routine
    @logged
    def three():
        yield from range(3)

    assert run(three) == [0, 1, 2]


class Split(Routine):
    """Sorts numbers by a limit."""

    def __init__(self, limit=2):
        super().__init__()
        self.limit = limit
        self.define_slot("number", handler=self.split)
        self.define_event("small")
        self.define_event("large", int)

    def split(self, number):
        self.emit("small" if number < self.limit else "large", number)


def test_a_class_is_a_routine_with_configuration_of_its_own():
    flow = Flow("classes")
    flow.add_routine(numbers)
    flow.add_routine(Split(limit=1), "one")
    flow.add_routine(Split, "two")
    flow.connect("numbers", "one")
    flow.connect("one", "large", "two", "number")
    results = flow.execute("numbers", {"n": 4}).results
    assert results.of("one", "small") == [0]
    assert results.of("two", "small") == [1]
    assert results.of("two", "large") == [2, 3]


def test_the_name_of_a_class_is_the_default_id():
    flow = Flow("names")
    assert flow.add_routine(Split()) == "Split"


def test_a_class_works_without_calling_super():
    class Forgetful(Routine):
        def __init__(self):
            self.define_slot("x", handler=self.work)
            self.define_event("output")

        def work(self, x):
            return x + 1

    assert run(Forgetful(), params={"x": 1}) == [2]


def test_one_definition_serves_under_several_ids():
    split = Split()
    flow = Flow("twice")
    flow.add_routine(numbers)
    flow.add_routine(split, "first")
    flow.add_routine(split, "second")
    flow.connect("numbers", "first")
    flow.connect("first", "large", "second", "number")
    assert flow.execute("numbers", {"n": 3}).results.of("second", "large") == [2]


def test_a_handler_with_several_parameters_takes_the_items_of_a_mapping():
    class Area(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("rectangle", handler=self.area)
            self.define_event("output")

        def area(self, width, height=1):
            return width * height

    def rectangles():
        yield {"width": 2, "height": 3}
        yield {"width": 4}

    assert run(rectangles, Area()) == [6, 4]
    assert run(Area(), params={"width": 5, "height": 2}) == [10]
    assert run(Area(), params={"rectangle": {"width": 5}}) == [5]


def test_a_handler_with_any_names_takes_any_mapping():
    class Everything(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", handler=self.work)
            self.define_event("output")

        def work(self, **names):
            return sorted(names)

    assert run(Everything(), params={"b": 1, "a": 2}) == [["a", "b"]]
    assert run(Everything()) == [[]]


def test_a_handler_with_one_parameter_takes_the_message_itself():
    class Single(Routine):
        def __init__(self, handler="plain"):
            super().__init__()
            self.define_slot("input", handler=getattr(self, handler))
            self.define_event("output")

        def plain(self, data):
            return data

        def named(self, *, data=7):
            return data

        def nothing(self):
            return "ran"

    assert run(Single(), params={"data": {"a": 1}}) == [{"a": 1}]
    assert run(Single(), params={"input": 3}) == [3]
    assert run(numbers, Single("named"), params={"n": 2}) == [0, 1]
    assert run(Single("named")) == [7]
    assert run(Single("nothing")) == ["ran"]


class Join(Routine):
    """One handler on two slots, and another on a third."""

    def __init__(self):
        super().__init__()
        self.define_slot("left", handler=self.join)
        self.define_slot("right", handler=self.join)
        self.define_slot("reset", handler=self.start_again)
        self.define_event("output")
        self.define_event("was")

    def join(self, right, left):
        self.state["joined"] = self.state.get("joined", 0) + 1
        return left, right

    def start_again(self, reset):
        self.emit("was", self.state.pop("joined", 0))


def test_a_handler_of_several_slots_waits_for_all_of_them():
    flow = Flow("joins")
    flow.add_routine(numbers)
    flow.add_routine(Join)
    flow.connect("numbers", "output", "Join", "left")
    flow.connect("numbers", "output", "Join", "right")
    assert flow.execute("numbers", {"n": 2}).results["Join"] == [(0, 0), (1, 1)]


def test_entry_params_choose_the_handler_of_a_routine_with_several():
    flow = Flow("entry")
    flow.add_routine(Join)
    assert flow.execute("Join", {"left": 1, "right": 2}).results["Join"] == [(1, 2)]
    assert flow.execute("Join", {"reset": 1}).results.of("Join", "was") == [0]


def test_several_handlers_of_one_routine_share_its_state():
    flow = Flow("shared")

    @routine(events=["a", "b"])
    def feed(ctx: Context):
        for number in range(3):
            ctx.emit("a", number)
        ctx.emit("b", True)

    flow.add_routine(feed)
    flow.add_routine(Join)
    flow.connect("feed", "a", "Join", "left")
    flow.connect("feed", "a", "Join", "right")
    flow.connect("feed", "b", "Join", "reset")
    assert flow.execute("feed").results.of("Join", "was") == [3]


def test_the_names_of_a_handler_of_several_slots_may_be_open():
    class Open(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("a", handler=self.work, fires=keyed(lambda value: 0))
            self.define_slot("b", handler=self.work)
            self.define_event("output")

        def work(self, a, **more):
            return a, more

    flow = Flow("open")
    flow.add_routine(numbers)
    flow.add_routine(Open)
    flow.connect("numbers", "output", "Open", "a")
    flow.connect("numbers", "output", "Open", "b")
    assert flow.execute("numbers", {"n": 1}).results["Open"] == [(0, {"b": 0})]


def test_state_belongs_to_one_routine_of_one_job():
    class Count(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=self.work)
            self.define_event("output")

        def work(self, x):
            self.state["n"] = self.state.get("n", 0) + 1
            return self.state["n"]

    flow = Flow("counts")
    count = Count()
    flow.add_routine(numbers)
    flow.add_routine(count, "one")
    flow.add_routine(count, "two")
    flow.connect("numbers", "one")
    flow.connect("numbers", "two")
    for _ in range(2):
        results = flow.execute("numbers", {"n": 3}).results
        assert results["one"] == results["two"] == [1, 2, 3]


def test_a_function_keeps_state_in_its_context():
    @routine
    def total(x, ctx: Context):
        ctx.state["sum"] = ctx.state.get("sum", 0) + x
        return ctx.state["sum"]

    assert total.keeps_state
    assert not numbers.keeps_state
    assert run(numbers, total, params={"n": 4}, execution_mode="concurrent") == [0, 1, 3, 6]


def test_keeping_state_can_be_said_and_denied():
    def work(x, ctx: Context):
        return ctx.state

    class Stateful(Routine):
        def __init__(self, **options):
            super().__init__(**options)
            self.define_slot("x", handler=lambda x: x)

    assert not routine(keeps_state=False)(work).keeps_state
    assert Stateful(keeps_state=True).keeps_state
    assert not Stateful().keeps_state


def test_the_context_of_a_class_tells_about_the_activation():
    class Look(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=self.work)
            self.define_event("output")

        def work(self, x):
            return self.context.attempt

    assert run(Look(), params={"x": 0}) == [1]


def test_a_generator_method_emits_what_it_yields_and_what_it_emits():
    class Source(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("n", handler=self.work)
            self.define_event("output")
            self.define_event("note")

        def work(self, n):
            for number in range(n):
                self.emit("note", f"before {number}")
                yield number
            self.emit("note", "end")

    flow = Flow("methods")
    flow.add_routine(Source)
    results = flow.execute("Source", {"n": 2}).results
    assert results.of("Source", "note") == ["before 0", "before 1", "end"]
    assert results.of("Source", "output") == [0, 1]


def test_options_can_be_overridden_for_one_place():
    flow = Flow("options")
    flow.add_routine(routine(retries=1)(lambda x: x), "a")
    flow.add_routine(routine(retries=1)(lambda x: x), "b", retries=4)
    assert flow.routines["a"].options.strategy.max_retries == 1
    assert flow.routines["b"].options.strategy.max_retries == 4


def test_rules_compare_by_value():
    assert batch(3) == Batch(3)
    assert AllSlots() == AllSlots() != collect()
    assert len({collect(), collect(), all_slots()}) == 2
    assert repr(all_slots()) == "AllSlots()"
    assert routine(fires=collect())(lambda xs: xs).handlers[0].rule == collect()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: routine(fires=3)(lambda x: x), "firing rule"),
        (lambda: routine(events="output"), "events=\\['output'\\]"),
        (lambda: routine(hold="x"), "hold=\\['x'\\]"),
        (lambda: routine(hold=["y"])(lambda x: x), "hold names no parameter: 'y'"),
        (lambda: routine(hold=["x"])(lambda x: x), "nothing would ever fire"),
        (lambda: routine(events=["a", "a"])(lambda x: x), "already"),
        (lambda: routine(events=["error"])(lambda x: x), "every routine has this event"),
        (lambda: routine(events=[""])(lambda x: x), "not empty"),
        (lambda: routine(fires=batch(2))(lambda x, y: x), "rule for one slot"),
        (lambda: routine(fires=batch(2))(lambda: None), "rule for one slot"),
        (lambda: numbers.define_slot("x", handler=print), "parameters are its slots"),
    ],
)
def test_a_routine_that_cannot_be_is_refused_where_it_is_made(wrong, said):
    with pytest.raises(DefinitionError, match=said):
        wrong()


def test_a_list_rule_needs_a_handler_that_takes_a_list():
    def work(x: int):
        return x

    with pytest.raises(DefinitionError, match="gets a list in 'x', which is annotated int"):
        routine(fires=batch(2))(work)

    class Names(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=lambda a, b: a, fires=batch(2))

    with pytest.raises(DefinitionError, match="must have one parameter"):
        Names().handlers


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (lambda *args: args, r"takes \*args"),
        (lambda **names: names, "parameters are its slots"),
        (3, "must be callable"),
        (type("NoSignature", (), {"__call__": property(lambda self: 1)})(), "cannot be read"),
    ],
)
def test_a_signature_that_says_too_little_is_refused(handler, said):
    with pytest.raises(SignatureError, match=said):
        routine(handler)


def test_async_functions_are_routines_like_any_other():
    @routine
    async def coroutine(x: int) -> str:
        return str(x)

    @routine
    async def generator(x: int) -> AsyncIterator[str]:
        yield str(x)

    for defined, is_generator in ((coroutine, False), (generator, True)):
        (handler,) = defined.handlers
        assert handler.signature.is_async
        assert handler.signature.is_generator is is_generator
        assert defined.events["output"].annotation is str
        assert list(defined.slots) == ["x"]


def test_slots_of_a_class_must_fit_its_handlers():
    class Wrong(Routine):
        def __init__(self, *names, rules=(None, None)):
            super().__init__()
            for name, rule in zip(names, rules, strict=False):
                self.define_slot(name, handler=self.work, fires=rule)

        def work(self, a, b):
            return a, b

    with pytest.raises(SignatureError, match="has none called 'c'"):
        Wrong("a", "c").handlers
    with pytest.raises(SignatureError, match="parameter 'b'"):
        _missing_parameter().handlers
    with pytest.raises(DefinitionError, match="two firing rules"):
        Wrong("a", "b", rules=(keyed("x"), keyed("y"))).handlers
    with pytest.raises(DefinitionError, match="firing rule"):
        Wrong("a", rules=("soon",))
    with pytest.raises(DefinitionError, match="slot already"):
        Wrong("a", "a")


def _missing_parameter() -> Routine:
    class Missing(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("a", handler=self.work)
            self.define_slot("c", handler=self.work)

        def work(self, a, b, c=1):
            return a

    return Missing()


def test_emitting_and_state_outside_a_handler_are_errors():
    split = Split()
    for use in (lambda: split.emit("small", 1), lambda: split.state, lambda: split.context):
        with pytest.raises(EmissionError, match="'Split'.*outside a handler"):
            use()
