"""When messages make an activation: each firing rule, applied to facts."""

import pytest

from routilux import Routine, batch, collect, keyed, routine


@routine(events=["left", "right"])
def split():
    return None


@routine
def source():
    yield


@routine
def pair(a, b):
    return None


@routine
def step(x):
    return None


@pytest.fixture
def joined(flow, play):
    """A flow in which one routine feeds both slots of a join."""
    flow.connect(split, "left", pair, "a")
    flow.connect(split, "right", pair, "b")
    return flow


def test_a_message_fires_at_once_where_it_is_all_that_is_needed(flow, play):
    flow.chain(source, step)
    job = play(flow, "source")
    job.yields("source", 1)
    assert job.take() == ("source",)
    assert job.take() == ("step", 1)


def test_a_handler_fires_when_every_slot_holds_a_message(joined, play):
    job = play(joined, "split")
    job.take()
    job.settle("split", ("left", 1), ("left", 2), ("right", "x"))
    assert job.take_all() == [("pair", 1, "x")]


def test_a_join_pairs_in_arrival_order(joined, play):
    job = play(joined, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", "x"), ("left", 2), ("left", 3), ("right", "y"), ("right", "z"))
    assert job.take_all() == [("pair", 1, "x"), ("pair", 2, "y"), ("pair", 3, "z")]


def test_a_joined_activation_is_caused_by_the_message_that_completed_it(flow, play):
    flow.connect(split, "left", step, "x")
    flow.connect(split, "right", pair, "a")
    flow.connect(step, "output", pair, "b")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", 2))
    job.does("step", 3)
    job.does("pair")
    assert job.causes == {1: 0, 2: 1, 3: 2}


def test_none_of_an_event_leaves_nothing_but_what_is_not_connected_leaves_the_flow(flow, play):
    flow.add_routine(split)
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", None))
    assert job.left == [1, None]
    assert job.status == "completed"


def test_each_target_of_an_event_gets_it_in_the_order_of_connection(flow, play):
    for name in "abc":
        flow.add_routine(step, name)
    flow.add_routine(source)
    for name in "bca":
        flow.connect("source", name)
    job = play(flow, "source")
    job.yields("source", 1)
    job.does("source")
    assert [one[0] for one in job.take_all()] == ["b", "c", "a"]


def test_a_held_slot_keeps_its_last_message_and_causes_nothing(flow, play):
    @routine(hold=["b"])
    def held(a, b):
        return None

    flow.connect(split, "left", held, "a")
    flow.connect(split, "right", held, "b")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("left", 2), ("right", "x"), ("right", "y"), ("left", 3))
    assert job.take_all() == [("held", 1, "x"), ("held", 2, "x"), ("held", 3, "y")]


def test_a_slot_that_is_held_and_never_filled_keeps_the_others_waiting(flow, play):
    @routine(hold=["b"])
    def held(a, b):
        return None

    flow.connect(split, "left", held, "a")
    flow.connect(split, "right", held, "b")
    job = play(flow, "split", strict=True)
    job.take()
    job.settle("split", ("left", 1))
    assert job.status == "failed"
    assert "1 message in slot 'a' of 'held' waits for slot 'b', fed by 'split'" in str(job.machine.cause_of_end)


def test_params_of_an_entry_that_is_also_connected_begin_its_first_firing(flow, play):
    @routine
    def turn(a, b):
        return None

    flow.connect(turn, "output", turn, "a")
    job = play(flow, "turn", {"a": 1, "b": 10})
    assert job.does("turn", 2) == (1, 10)
    assert job.does("turn", 3) == (2, 10)


def test_a_default_stands_for_what_the_entry_is_not_given(flow, play):
    @routine
    def turn(a, b=5):
        return None

    flow.connect(turn, "output", turn, "b")
    job = play(flow, "turn", {"a": 1})
    assert job.does("turn", 6) == (1, 5)
    assert job.does("turn") == (1, 6)
    assert job.status == "completed"


def test_a_batch_comes_when_it_is_full_and_its_rest_at_the_end(flow, play):
    @routine(fires=batch(2))
    def rows(xs):
        return None

    flow.connect(split, "left", rows, "xs")
    job = play(flow, "split")
    job.take()
    job.settle("split", *(("left", number) for number in range(5)))
    assert job.take_all() == [("rows", [0, 1]), ("rows", [2, 3])]
    job.gives("rows")
    assert job.take() is None
    job.gives("rows")
    assert job.take_all() == [("rows", [4])]
    job.gives("rows")
    assert job.status == "completed"


def test_a_batch_takes_from_many_connections(flow, play):
    @routine(fires=batch(3))
    def rows(xs):
        return None

    flow.connect(split, "left", rows, "xs")
    flow.connect(split, "right", rows, "xs")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", 2), ("left", 3))
    assert job.take_all() == [("rows", [1, 2, 3])]


def test_a_batch_of_nothing_never_fires(flow, play):
    @routine(fires=batch(2))
    def rows(xs):
        return None

    flow.connect(split, "left", rows, "xs")
    job = play(flow, "split")
    job.does("split")
    assert job.status == "completed"
    assert job.records == [("split", 1, "completed")]


def test_a_batch_comes_after_its_timeout_counted_from_its_first_message(flow, play):
    @routine(fires=batch(3, timeout=2))
    def rows(xs):
        return None

    flow.connect(source, "output", rows, "xs")
    job = play(flow, "source")
    job.yields("source", 1)
    job.take()
    assert job.due == 2
    job.ring(1)
    assert job.take() is None
    job.gives("source", 2, more=True)
    job.take()
    assert job.due == 2
    job.ring(2)
    assert job.take_all() == [("rows", [1, 2])]


def test_the_timer_of_a_batch_that_was_full_in_time_is_stale(flow, play):
    @routine(fires=batch(2, timeout=2))
    def rows(xs):
        return None

    flow.connect(source, "output", rows, "xs")
    job = play(flow, "source")
    for number in range(2):
        job.yields("source", number)
    assert job.take_all() == [("source",), ("rows", [0, 1])]
    job.moment = 1_000_000_000
    job.gives("source", 2, more=True)
    assert job.take_all() == [("source",)]
    job.ring(2)
    assert job.take() is None
    assert job.due == 3
    job.ring(3)
    assert job.take_all() == [("rows", [2])]


def test_a_batch_beside_a_held_slot_waits_for_that_to_be_filled(flow, play):
    @routine(fires=batch(2), hold=["scale"])
    def rows(xs, scale):
        return None

    flow.connect(split, "left", rows, "xs")
    flow.connect(split, "right", rows, "scale")
    job = play(flow, "split")
    job.take()
    job.settle("split", *(("left", number) for number in range(5)), ("right", 10))
    assert job.take_all() == [("rows", [0, 1], 10), ("rows", [2, 3], 10)]


def test_an_entry_that_takes_a_batch_waits_for_more(flow, play):
    @routine(fires=batch(2))
    def rows(xs):
        return None

    flow.connect(rows, "output", rows, "xs")
    job = play(flow, "rows", {"xs": 1})
    assert job.does("rows", 7) == ([1],)
    assert job.does("rows") == ([7],)
    assert job.status == "completed"


def test_messages_are_joined_by_key_whatever_comes_first(flow, play):
    @routine(fires=keyed("id"))
    def match(a, b):
        return None

    flow.connect(split, "left", match, "a")
    flow.connect(split, "right", match, "b")
    job = play(flow, "split")
    job.take()
    left, right = [{"id": n, "from": "left"} for n in range(3)], [{"id": n, "from": "right"} for n in range(3)]
    job.settle("split", *(("left", one) for one in left), *(("right", one) for one in reversed(right)))
    assert job.take_all() == [("match", left[n], right[n]) for n in (2, 1, 0)]


def test_equal_keys_pair_in_arrival_order(flow, play):
    @routine(fires=keyed(lambda value: value % 10))
    def match(a, b):
        return None

    flow.connect(split, "left", match, "a")
    flow.connect(split, "right", match, "b")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 11), ("left", 21), ("right", 31), ("left", 2), ("right", 41), ("right", 51))
    assert job.take_all() == [("match", 11, 31), ("match", 21, 41)]
    job.gives("match")
    job.gives("match")
    assert job.status == "completed"
    assert job.machine.delivery.gates[0].parked() == {0: 1, 1: 1}


def test_each_slot_may_have_a_key_of_its_own_and_others_may_be_held(flow, play):
    @routine(fires=keyed({"a": 0, "b": "id"}), hold=["c"])
    def match(a, c, b):
        return None

    @routine(events=["a", "b", "c"])
    def three():
        return None

    for name in "abc":
        flow.connect(three, name, match, name)
    job = play(flow, "three")
    job.take()
    job.settle("three", ("a", (1, "x")), ("b", {"id": 1}), ("c", "held"))
    assert job.take_all() == [("match", (1, "x"), "held", {"id": 1})]


def test_a_collect_gets_everything_once_nothing_else_can_run(flow, play):
    @routine(fires=collect())
    def everything(xs):
        return None

    flow.chain(source, step, everything)
    job = play(flow, "source")
    for number in range(2):
        job.yields("source", number)
    assert job.take_all() == [("source",), ("step", 0), ("step", 1)]
    job.gives("source")
    job.gives("step", "a")
    assert job.take() is None
    job.gives("step", "b")
    assert job.take_all() == [("everything", ["a", "b"])]
    job.gives("everything", "all")
    assert job.left == ["all"]
    assert job.status == "completed"


def test_a_collect_gets_an_empty_list_of_nothing_and_once_only(flow, play):
    @routine(fires=collect())
    def everything(xs):
        return None

    flow.chain(source, everything)
    job = play(flow, "source")
    job.does("source")
    assert job.does("everything") == ([],)
    assert job.status == "completed"


def test_a_collect_gets_one_field_of_everything(flow, play):
    @routine(fires=collect())
    def everything(xs):
        return None

    flow.add_routine(source)
    flow.add_routine(everything)
    flow.connect("source", "output", "everything", "xs", field="left")
    job = play(flow, "source")
    for left in (1, 2):
        job.yields("source", {"left": left, "right": "not wanted"})
    job.does("source")
    assert job.does("everything") == ([1, 2],)


def test_collects_in_a_row_come_one_after_another_from_upstream(flow, play):
    @routine(fires=collect())
    def everything(xs):
        return None

    flow.add_routine(source)
    flow.add_routine(everything, "second")
    flow.add_routine(everything, "first")
    flow.chain("source", "first", "second")
    flow.connect("source", "second")
    job = play(flow, "source")
    job.yields("source", 1)
    job.does("source")
    assert job.does("first", "of first") == ([1],)
    assert job.does("second") == ([1, "of first"],)
    assert job.status == "completed"


def test_what_comes_to_a_collect_after_it_was_served_makes_it_fire_again(flow, play):
    @routine(fires=collect(), events=["again", "output"])
    def everything(xs):
        return None

    flow.connect(source, "output", everything, "xs")
    flow.connect(everything, "again", step, "x")
    flow.connect(step, "output", everything, "xs")
    job = play(flow, "source")
    job.yields("source", 1)
    job.does("source")
    job.take()
    job.settle("everything", ("again", 2))
    job.does("step", 3)
    assert job.does("everything") == ([3],)
    assert job.status == "completed"


def test_a_collect_beside_a_held_slot_gets_both_and_never_comes_if_that_stays_empty(flow, play):
    @routine(fires=collect(), hold=["scale"])
    def everything(xs, scale):
        return None

    flow.connect(split, "left", everything, "xs")
    flow.connect(split, "right", everything, "scale")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", 10), ("left", 2))
    assert job.take_all() == [("everything", [1, 2], 10)]
    empty = play(flow, "split", strict=True)
    empty.take()
    empty.settle("split", ("left", 1))
    assert empty.status == "failed"
    assert "slot 'scale', fed by 'split'" in str(empty.machine.cause_of_end)


def test_a_batch_is_handed_over_before_the_collect_downstream_of_it(flow, play):
    @routine(fires=batch(10))
    def rows(xs):
        return None

    @routine(fires=collect())
    def everything(xs):
        return None

    flow.chain(source, rows, everything)
    job = play(flow, "source")
    job.yields("source", 1)
    job.does("source")
    assert job.does("rows", "row") == ([1],)
    assert job.does("everything") == (["row"],)


def test_a_routine_with_several_handlers_fires_each_by_its_own_slots(flow, play):
    class Two(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("a", self.on_a)
            self.define_slot("b", self.on_b)

        def on_a(self, value):
            return None

        def on_b(self, value):
            return None

    flow.connect(split, "left", Two, "a")
    flow.connect(split, "right", Two, "b")
    job = play(flow, "split")
    job.take()
    job.settle("split", ("left", 1), ("right", 2))
    stations = [one[1].names for one in job.machine.ready]
    assert stations == [("a",), ("b",)]


def test_a_connection_carries_one_field(flow, play):
    flow.connect(source, "output", step, "x", field="size")
    job = play(flow, "source")
    job.yields("source", {"size": 3, "name": "n"})
    assert job.take_all() == [("source",), ("step", 3)]
