"""Values that have no form of their own, pickled because somebody asked for it, with a key."""

import base64
import json
import pickle
from collections import OrderedDict
from typing import ClassVar

import pytest

from routilux.errors import PayloadError
from routilux.payloads import Codec
from routilux.payloads.pickled import Pickles

KEY = bytes(range(32))


class Shelf:
    """Of a type that no codec knows."""

    def __init__(self, books):
        self.books = books

    def __eq__(self, other):
        return isinstance(other, Shelf) and self.books == other.books

    __hash__ = None


class Bomb:
    """Goes off when it is unpickled."""

    gone_off: ClassVar[list[int]] = []

    def __reduce__(self):
        return self.gone_off.append, (1,)


class Forgetful:
    """Comes back as something else."""

    def __reduce__(self):
        return str, ("who?",)


BOMB = pickle.dumps(Bomb())


def codec(key=KEY, bound="library"):
    return Codec(pickles=Pickles(key, bound))


def test_what_has_no_form_comes_back_and_the_rest_is_typed_json():
    value = {"shelf": Shelf(["a"]), "count": 1, "order": OrderedDict(b=1, a=2)}
    data = codec().encode(value)
    assert codec().decode(data) == value
    stored = json.loads(data)
    assert (stored["count"], stored["shelf"]["$"]) == (1, "pickle")
    assert codec().encode({"count": 1}) == Codec().encode({"count": 1})


@pytest.mark.parametrize(
    "reader", [codec(KEY[::-1]), codec(bound="shop"), Codec()], ids=["another key", "another flow", "no key"]
)
def test_nobody_else_reads_it(reader):
    with pytest.raises(PayloadError, match="pickled"):
        reader.decode(codec().encode(Shelf([])))


def test_no_byte_is_looked_at_before_it_is_known_who_wrote_it():
    Bomb.gone_off.clear()
    stored = json.loads(codec().encode(Shelf([])))
    assert Bomb.gone_off == []
    seal = Pickles(KEY[::-1], "library")._seal(BOMB)
    for forged in (
        {**stored, "v": base64.b64encode(BOMB).decode()},
        {**stored, "v": base64.b64encode(BOMB).decode(), "m": seal},
        {"$": "pickle", "v": base64.b64encode(BOMB).decode()},
        {**stored, "m": 7},
        {**stored, "m": "é"},
        {**stored, "v": None},
        {**stored, "v": "no base64"},
    ):
        with pytest.raises(PayloadError, match="pickled"):
            codec().decode(json.dumps([forged]).encode())
    assert Bomb.gone_off == []


@pytest.mark.parametrize("value", [lambda: 1, Forgetful(), (one for one in ())], ids=["lambda", "other", "generator"])
def test_what_would_not_come_back_is_refused_with_its_path(value):
    with pytest.raises(PayloadError, match=r"^value\['rows'\]\[1\]: a .* cannot be stored, not even as a pickle"):
        codec().encode({"rows": [1, value]})


def test_a_frame_that_arrow_does_not_take_is_pickled():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"mixed": [1, "two", {3}]})
    with pytest.raises(PayloadError):
        Codec().encode(frame)
    assert codec().decode(codec().encode(frame)).equals(frame)
