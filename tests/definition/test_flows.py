"""Connecting routines, looking at flows, and what is refused before anything runs."""

from __future__ import annotations

import warnings

import pytest

from routilux import Flow, Routine, all_slots, batch, collect, first, gather, keyed, routine
from routilux.errors import (
    ConnectionMismatchError,
    DefinitionError,
    DuplicateRoutineError,
    EntryParamsError,
    SettingError,
    UnfedSlotError,
    UnknownPortError,
    UnknownRoutineError,
    UnreachableRoutineWarning,
)
from routilux.flow import FlowDefinition
from routilux.graph import arrows_of, dominators, on_cycles, ranks, reachable


@routine
def numbers(n):
    yield from range(n)


@routine
def double(x):
    return 2 * x


@routine
def pair(left, right):
    return left, right


class Router(Routine):
    """Two events, no output."""

    def __init__(self):
        super().__init__()
        self.define_slot("x", handler=self.route)
        self.define_event("even")
        self.define_event("odd")

    def route(self, x):
        self.emit("odd" if x % 2 else "even", x)


def flow_of(*routines, name="test", **settings) -> Flow:
    flow = Flow(name, **settings)
    for one in routines:
        flow.add_routine(one)
    return flow


def test_four_names_connect_an_event_to_a_slot():
    flow = flow_of(numbers, pair)
    flow.connect("numbers", "output", "pair", "left")
    flow.connect("numbers", "output", "pair", "right")
    assert flow.execute("numbers", {"n": 2}).results["pair"] == [(0, 0), (1, 1)]
    assert str(flow.connections[0]) == "numbers.output -> pair.left"


def test_two_names_are_enough_where_there_is_one_of_each():
    flow = flow_of(numbers, double)
    flow.connect("numbers", "double")
    assert flow.execute("numbers", {"n": 3}).results["double"] == [0, 2, 4]


def test_the_only_slot_without_a_default_is_meant():
    flow = flow_of(numbers)
    flow.add_routine(lambda x, factor=2: x * factor, "scale")
    flow.connect("numbers", "scale")
    assert flow.execute("numbers", {"n": 2}).results["scale"] == [0, 2]


def test_routines_themselves_can_be_connected_and_are_added():
    flow = Flow("direct")
    flow.connect(numbers, double)
    flow.chain(double, lambda x: x + 1)
    assert flow.execute("numbers", {"n": 2}).results["<lambda>"] == [1, 3]
    assert list(flow.routines) == ["numbers", "double", "<lambda>"]


def test_a_connection_may_carry_one_field():
    class Point:
        def __init__(self, x):
            self.x = x

    @routine
    def give():
        yield {"left": 1, "right": 2, "point": Point(5), "items": [7, 8]}

    flow = flow_of(give, pair)
    flow.connect("give", "output", "pair", "left", field="left")
    flow.connect("give", "output", "pair", "right", field="right")
    flow.add_routine(lambda p: p, "x")
    flow.add_routine(lambda p: p, "pass")
    flow.connect("give", "output", "pass", "p", field="point")
    flow.connect("pass", "output", "x", "p", field="x")
    flow.add_routine(lambda p: p, "items")
    flow.connect("give", "output", "items", "p", field="items")
    flow.add_routine(lambda p: p, "second")
    flow.connect("items", "output", "second", "p", field=1)
    results = flow.execute("give").results
    assert (results["pair"], results["x"], results["second"]) == ([(1, 2)], [5], [8])
    assert str(flow.connections[0]) == "give.output ['left'] -> pair.left"


def test_every_branch_of_a_fan_out_is_given_the_same_object():
    seen = []
    flow = flow_of(routine(lambda: [1]))
    for name in ("a", "b"):
        flow.add_routine(lambda x: seen.append(x) or 1, name)
        flow.connect("<lambda>", name)
    flow.execute("<lambda>")
    assert seen[0] is seen[1]


def test_describe_and_mermaid_show_all_there_is():
    flow = flow_of(numbers, double, name="shown")
    flow.connect("numbers", "double")
    flow.add_routine(routine(fires=collect())(lambda xs: xs), 'all "them"')
    flow.connect("double", "output", 'all "them"', "xs", field="k")
    flow.add_routine(routine(hold=["y"])(lambda x, y, z=1: x), "held")
    flow.connect("double", "error", "held", "x")
    flow.add_routine(_silent(), "silent")
    assert flow.describe().splitlines() == [
        "Flow 'shown': 5 routines, 3 connections",
        "  numbers(n) -> output",
        "  double(x) -> output",
        '  all "them"(xs · collect) -> output',
        "  held(x, y (held), z=…) -> output",
        "  silent(x) -> (nothing)",
        "Connections",
        "  numbers.output -> double.x",
        "  double.output ['k'] -> all \"them\".xs",
        "  double.error -> held.x",
        'Results: all "them".output, held.output',
    ]
    assert flow.to_mermaid().splitlines() == [
        "flowchart LR",
        '    r0["numbers"]',
        '    r1["double"]',
        '    r2{{"all &quot;them&quot; · collect"}}',
        '    r3["held"]',
        '    r4["silent"]',
        '    r0 -->|"output → x"| r1',
        "    r1 -->|\"output['k'] → xs\"| r2",
        '    r1 -.->|"error → x"| r3',
    ]
    assert repr(flow) == "<Flow 'shown': 5 routines, 3 connections>"


def _silent() -> Routine:
    class Silent(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=lambda x: None)

    return Silent()


def test_an_empty_description_has_no_connections_and_no_results():
    assert Flow("empty").describe() == "Flow 'empty': 0 routines, 0 connections"


def test_a_mere_definition_has_no_jobs_and_can_be_changed():
    definition = FlowDefinition("plain")
    definition.add_routine(double)
    assert list(definition.routines) == ["double"]


@pytest.mark.parametrize("flow_id", ["", None, 3])
def test_the_id_of_a_flow_is_a_text(flow_id):
    with pytest.raises(DefinitionError, match="flow_id must be a text"):
        Flow(flow_id)


@pytest.mark.parametrize(
    ("ends", "error", "said"),
    [
        (("numbers", "doubel"), UnknownRoutineError, "no routine 'doubel'. Did you mean 'double'"),
        (("nmbers", "double"), UnknownRoutineError, "Did you mean 'numbers'"),
        (("numbers", "ouput", "double", "x"), UnknownPortError, "no event 'ouput'. Did you mean 'output'"),
        (("numbers", "output", "double", "y"), UnknownPortError, "no slot 'y'. Known: 'x'"),
        (("numbers", "pair"), ConnectionMismatchError, "ambiguous, because 'pair' has 2 slots"),
        (("Router", "double"), ConnectionMismatchError, "ambiguous, because 'Router' has 2 events"),
        (("numbers", "double", "x"), DefinitionError, "got 3 names"),
        (("silent", "double"), ConnectionMismatchError, "0 events (none)".replace("(", r"\(").replace(")", r"\)")),
        (("numbers", "give"), ConnectionMismatchError, r"0 slots \(none\)"),
    ],
)
def test_what_cannot_be_connected_is_refused_with_the_way_out(ends, error, said):
    flow = flow_of(numbers, double, pair, Router)
    flow.add_routine(_silent(), "silent")
    flow.add_routine(lambda: 1, "give")
    with pytest.raises(error, match=f"Flow 'test'.*{said}"):
        flow.connect(*ends)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            ("double", "numbers", "pair"),
            r"chain\(..., 'numbers', 'pair', ...\) is ambiguous, because 'pair' has 2 slots",
        ),
        (("Router", "double"), r"chain\(..., 'Router', 'double', ...\) is ambiguous, because 'Router' has 2 events"),
    ],
)
def test_a_pair_of_a_chain_that_is_ambiguous_is_named(steps, said):
    flow = flow_of(numbers, double, pair, Router)
    source, target = steps[-2:]
    instead = rf"Write connect\({source!r}, EVENT, {target!r}, SLOT\) and"
    with pytest.raises(ConnectionMismatchError, match=f"Flow 'test': {said}.*{instead}"):
        flow.chain(*steps)


def test_a_connection_is_made_once():
    flow = flow_of(numbers, double)
    flow.connect("numbers", "double")
    with pytest.raises(DefinitionError, match="connected already"):
        flow.connect("numbers", "double")


def test_a_routine_that_was_added_twice_must_be_named():
    flow = flow_of(numbers)
    flow.add_routine(double, "a")
    flow.add_routine(double, "b")
    with pytest.raises(UnknownRoutineError, match="was added as a, b"):
        flow.connect(numbers, double)


def test_types_that_do_not_fit_are_refused_where_both_are_annotated():
    def gives() -> str:
        return "a"

    def streams(n: int) -> list[int]:
        return [n]

    def takes(x: int):
        return x

    def takes_list(xs: list[int]):
        return xs

    flow = flow_of(gives, takes, streams)
    flow.add_routine(routine(fires=collect())(takes_list), "collects")
    with pytest.raises(ConnectionMismatchError, match=r"gives.output -> takes.x does not fit.*gives str.*takes int"):
        flow.connect("gives", "takes")
    with pytest.raises(ConnectionMismatchError, match="takes int"):
        flow.connect("gives", "collects")
    flow.connect("gives", "output", "takes", "x", field="n")


def test_a_handler_without_parameters_cannot_be_connected_to():
    class Trigger(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("go", handler=lambda: None)

    flow = flow_of(numbers, Trigger)
    with pytest.raises(ConnectionMismatchError, match="takes no parameter"):
        flow.connect("numbers", "Trigger")


def test_a_required_slot_must_be_fed():
    flow = flow_of(numbers, pair)
    flow.connect("numbers", "output", "pair", "left")
    with pytest.raises(UnfedSlotError, match="routine 'pair': slot 'right' is fed by nothing"):
        flow.execute("numbers", {"n": 1})


def test_a_parameter_that_looks_like_a_context_is_hinted_at():
    flow = flow_of(numbers)
    flow.add_routine(lambda x, ctx: x, "work")
    flow.connect("numbers", "output", "work", "x")
    with pytest.raises(UnfedSlotError, match="annotate it: ctx: Context"):
        flow.execute("numbers", {"n": 1})


def test_a_slot_fed_only_from_elsewhere_is_refused():
    flow = flow_of(numbers, pair, double)
    flow.connect("numbers", "output", "pair", "left")
    flow.connect("double", "output", "pair", "right")
    with pytest.raises(UnfedSlotError, match="fed only by 'double', which cannot be reached"):
        flow.execute("numbers", {"n": 1})


def test_a_routine_that_cannot_be_reached_is_warned_of():
    flow = flow_of(numbers, double)
    with pytest.warns(UnreachableRoutineWarning, match="'double' cannot be reached from 'numbers'"):
        flow.execute("numbers", {"n": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.execute("numbers", {"n": 1})


def test_check_finds_what_execute_would_without_running():
    ran = []
    flow = Flow("checked")
    flow.add_routine(lambda x: ran.append(x) or 1, "work")
    flow.check("work", {"x": 1})
    with pytest.raises(EntryParamsError):
        flow.check("work")
    assert ran == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"y": 1}, "takes no 'y'. Known: 'x'"),
        ({}, "lacks 'x'"),
        (None, "lacks 'x'"),
        ([1], "must be a mapping"),
        ({"x": 1, "z": 2}, "takes no 'z'"),
    ],
)
def test_wrong_entry_params_are_refused(params, said):
    flow = flow_of(double)
    with pytest.raises(EntryParamsError, match=f"Flow 'test', entry 'double': .*{said}"):
        flow.execute("double", params)


def test_wrong_entry_params_of_a_class_are_refused():
    class Two(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("a", handler=lambda a: a)
            self.define_slot("b", handler=lambda b: b)

    class Named(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("input", handler=lambda a, b=1: a)

    flow = flow_of(Two, Named)
    with pytest.raises(EntryParamsError, match="at least one of its slots: a, b"):
        flow.check("Two")
    with pytest.raises(EntryParamsError, match="takes no 'c'"):
        flow.check("Named", {"a": 1, "c": 2})
    with pytest.raises(EntryParamsError, match="lacks 'a'"):
        flow.check("Named", {"b": 1})


def test_unknown_entries_and_empty_flows_are_refused():
    with pytest.raises(DefinitionError, match="Flow 'empty' has no routines"):
        Flow("empty").execute("x")
    with pytest.raises(UnknownRoutineError, match="no routine 'dubble' to start at. Did you mean 'double'"):
        flow_of(double).execute("dubble")


def test_ids_are_texts_and_different():
    flow = flow_of(double)
    with pytest.raises(DuplicateRoutineError, match="has a routine 'double' already"):
        flow.add_routine(double)
    for wrong in (3, "", b"x"):
        with pytest.raises(DefinitionError, match="id must be a text"):
            flow.add_routine(double, wrong)
    with pytest.raises(DefinitionError, match="no handler"):
        flow.add_routine(Routine(), "nothing")
    with pytest.raises(DefinitionError, match="is no routine"):
        flow.add_routine(17, "seventeen")
    with pytest.raises(SettingError, match="no option 'retires'. Did you mean 'retries'"):
        flow.add_routine(double, "other", retires=3)
    for option in ({"retry_on": ValueError}, {"retry_delay": 1}):
        with pytest.raises(SettingError, match=f"{next(iter(option))} means nothing without retries, as retries=3"):
            flow.add_routine(double, "other", **option)


def test_a_loop_starts_with_what_its_entry_is_given():
    @routine
    def count_down(n, step=1):
        return n - step if n > 0 else None

    flow = flow_of(count_down)
    flow.connect("count_down", "output", "count_down", "n")
    assert flow.execute("count_down", {"n": 4}).counts["count_down"].executions == 5
    assert flow.execute("count_down", {"n": 4, "step": 2}).counts["count_down"].executions == 3


def test_a_loop_may_begin_with_its_default():
    flow = Flow("default")
    flow.add_routine(lambda n=3: n - 1 if n else None, "down")
    flow.connect("down", "down")
    assert flow.execute("down").counts["down"].executions == 4


def test_a_list_rule_takes_one_connected_slot():
    flow = flow_of(numbers)
    flow.add_routine(routine(fires=batch(2))(lambda xs, y=1: xs), "batch")
    flow.connect("numbers", "output", "batch", "xs")
    flow.check("numbers", {"n": 1})
    flow.connect("numbers", "output", "batch", "y")
    with pytest.raises(DefinitionError, match="batch is a rule for one slot, and xs and y are connected"):
        flow.check("numbers", {"n": 1})


def test_the_default_rule_has_a_name_and_limits_can_be_lifted():
    flow = Flow("default", max_history_size=None, history_ttl_seconds=None, max_parked=None)
    flow.chain(numbers, routine(fires=all_slots())(lambda x: x))
    job = flow.execute("numbers", {"n": 600})
    assert len(job.history) == 1201


# --- fan-outs


def of(flow: Flow, entry: str) -> dict[str, str]:
    from routilux.checks import check_flow

    return check_flow(flow, entry)


@routine(fires=gather())
def together(xs):
    return xs


def maybe(name):
    """A routine of which only its code could tell how often it emits."""

    class Maybe(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("x", handler=self.work)
            self.define_event("output")

        def work(self, x):
            self.emit("output", x)

    return Maybe()


def test_a_gather_closes_the_nearest_generator():
    flow = flow_of(numbers, double, together)
    flow.chain("numbers", "double", "together")
    assert of(flow, "numbers") == {"together": "numbers"}


def test_nested_gathers_close_nested_fan_outs():
    flow = Flow("nested")
    flow.add_routine(numbers, "outer")
    flow.add_routine(lambda n: n, "mid")
    flow.add_routine(numbers, "inner")
    flow.add_routine(together, "close_inner")
    flow.add_routine(together, "close_outer")
    flow.chain("outer", "mid", "inner", "close_inner", "close_outer")
    assert of(flow, "outer") == {"close_inner": "inner", "close_outer": "outer"}
    assert flow.execute("outer", {"n": 3}).result == [[], [0], [0, 1]]


def test_branches_are_a_fan_out():
    flow = Flow("branches")
    flow.add_routine(lambda x: x, "start")
    for name in ("a", "b"):
        flow.add_routine(lambda x: x, name)
        flow.connect("start", name)
    flow.add_routine(together)
    flow.connect("a", "together")
    flow.connect("b", "together")
    assert of(flow, "start") == {"together": "start"}
    assert flow.execute("start", {"x": 1}).result == [1, 1]


def test_a_gather_without_a_fan_out_is_refused():
    flow = flow_of(double, together)
    flow.chain("double", "together")
    with pytest.raises(DefinitionError, match="'together': gather has no fan-out to close"):
        flow.check("double", {"x": 1})


def test_a_gather_with_two_possible_fan_outs_is_refused_until_it_says_which():
    flow = flow_of(numbers, together)
    flow.add_routine(maybe("m"), "perhaps")
    flow.chain("numbers", "perhaps", "together")
    with pytest.raises(DefinitionError, match="fan-out of 'perhaps' or 'numbers'. Say which: gather"):
        flow.check("numbers", {"n": 1})
    flow = flow_of(numbers)
    flow.add_routine(maybe("m"), "perhaps")
    flow.add_routine(routine(fires=gather(of="numbers"))(lambda xs: xs), "all")
    flow.chain("numbers", "perhaps", "all")
    assert flow.execute("numbers", {"n": 3}).result == [0, 1, 2]


def test_a_single_possible_fan_out_is_taken():
    flow = Flow("single")
    flow.add_routine(maybe("m"), "perhaps")
    flow.add_routine(together)
    flow.chain("perhaps", "together")
    assert flow.execute("perhaps", {"x": 5}).result == [5]


def test_a_gather_of_what_does_not_lie_on_every_path_is_refused():
    flow = flow_of(numbers)
    flow.add_routine(routine(fires=first(1, of="nmbers"))(lambda xs: xs), "one")
    flow.chain("numbers", "one")
    with pytest.raises(DefinitionError, match=r"first\(of='nmbers'\).*Did you mean 'numbers'"):
        flow.check("numbers", {"n": 1})


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_counts_of_rules_are_whole_numbers(count):
    for rule in (batch, first):
        with pytest.raises(SettingError, match="whole number from 1"):
            rule(count)


@pytest.mark.parametrize("key", [None, 1.5, {}, {"a": None}])
def test_keys_are_names_positions_or_functions(key):
    with pytest.raises(SettingError, match="keyed: the key must be"):
        keyed(key)


# --- the shape


def arrows(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for arrow in text.split():
        source, target = arrow.split(">")
        found.setdefault(source, []).append(target)
        found.setdefault(target, [])
    return {source: tuple(targets) for source, targets in found.items()}


def test_questions_about_the_shape():
    shape = arrows("a>b b>c b>d c>e d>e e>b x>e")
    assert reachable(shape, ["c"]) == {"c", "e", "b", "d"}
    assert on_cycles(shape) == {"b", "c", "d", "e"}
    assert dominators(shape, "a")["e"] == ["b", "a"]
    assert dominators(shape, "a")["a"] == []
    order = ranks(arrows("a>b b>c a>c"))
    assert order["a"] < order["b"] < order["c"]


def test_arrows_are_drawn_once_for_several_connections():
    flow = flow_of(numbers, pair)
    flow.connect("numbers", "output", "pair", "left")
    flow.connect("numbers", "output", "pair", "right")
    assert arrows_of(flow) == {"numbers": ("pair",), "pair": ()}
