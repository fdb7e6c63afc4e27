"""A request says of a job all that it was submitted with."""

import contextlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from routilux import Continue, Retry, Skip, Stop
from routilux.durable.payload import Payloads
from routilux.durable.request import Request, Requests
from routilux.durable.stored_error import known_exceptions, named_by
from routilux.errors import PayloadError, RoutiluxError, StoredJobError
from routilux.payloads import Codec
from routilux.settings import Settings


class UnavailableError(Exception):
    pass


class RejectedError(Exception):
    pass


KNOWN = known_exceptions(named_by([Retry(on=UnavailableError), Stop(), None]))


def requests(own: Settings | None = None) -> Requests:
    blobs: dict[str, bytes] = {}

    def save(data: bytes) -> str:
        blobs[name := f"blob{len(blobs)}"] = data
        return name

    return Requests(Payloads(Codec(), save, blobs.__getitem__), own or Settings(), KNOWN)


strategies = some.sampled_from(
    [
        Stop(),
        Skip(),
        Continue(),
        Retry(2, 0.5, on=(OSError, UnavailableError), then=Skip()),
        Retry(5, [0.1, 0.2], 3.0, 60.0, 0.1),
    ]
)
counts = some.none() | some.integers(1, 10**12)
settings = some.builds(
    Settings,
    execution_mode=some.sampled_from(["sequential", "concurrent", "asyncio", "multiprocessing", "distributed", "auto"]),
    max_workers=counts | some.just({"concurrent": 3}),
    max_pending=counts,
    timeout=some.none() | some.floats(0.1, 1e9),
    strict=some.booleans(),
    max_activations=counts,
    max_parked=counts,
    max_history_size=counts,
    history_ttl_seconds=some.none() | some.floats(0, 1e9),
    recording=some.booleans(),
    placement=some.just({}) | some.just({"a": "multiprocessing"}),
    durability=some.sampled_from(["process", "power"]),
    max_payload=some.integers(1, 10**12),
    cluster=some.sampled_from([None, "dask", "ray"]),
    error_strategy=strategies,
)
params = some.dictionaries(some.text(), some.text() | some.binary() | some.tuples(some.integers()))


@given(settings, params, params)
def test_a_request_comes_back(settings: Settings, params: dict[str, Any], metadata: dict[str, Any]) -> None:
    request = Request("orders", "read", params, settings, metadata)
    assert requests().read(requests().write(request)) == request


def test_durations_come_back_as_seconds() -> None:
    given = Settings(timeout=timedelta(minutes=1), error_strategy=Retry(1, timedelta(seconds=2)))
    back = requests().read(requests().write(Request("orders", "read", {}, given))).settings
    assert back == Settings(timeout=60.0, error_strategy=Retry(1, 2.0))


def test_the_settings_of_a_job_outlast_those_of_its_flow() -> None:
    data = requests(Settings(strict=True)).write(Request("orders", "read", {}, Settings(strict=True)))
    assert requests(Settings(strict=False, timeout=3)).read(data).settings == Settings(strict=True)


@pytest.mark.parametrize(
    "given",
    [
        Settings(error_strategy=Retry(on=lambda error: True)),
        Settings(error_strategy=Retry(on=RejectedError)),
        Settings(cluster="tcp://10.0.0.1:8786"),
        Settings(executor=object()),
        Settings(insecure_cluster=True),
    ],
    ids=["predicate", "exception", "address", "executor", "insecure"],
)
def test_what_cannot_be_kept_must_be_that_of_the_flow(given: Settings) -> None:
    request = Request("orders", "read", {}, given)
    with pytest.raises(PayloadError, match="give it to the flow, not to the job"):
        requests().write(request)
    assert requests(given).read(requests(given).write(request)) == request


def test_a_param_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(PayloadError, match=r"^path\[0\]: a builtins.object cannot be stored"):
        requests().write(Request("orders", "read", {"path": [object()]}))


@given(some.binary() | some.recursive(some.none() | some.text(), some.lists).map(msgspec.json.encode))
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(StoredJobError):
        requests().read(data)


@given(some.data())
def test_a_request_that_was_tampered_with_is_refused_or_read(data: some.DataObject) -> None:
    stored = msgspec.json.decode(
        requests().write(Request("orders", "read", {"x": 1}, Settings(error_strategy=Retry())))
    )
    part = data.draw(some.sampled_from([stored, stored["settings"], stored["strategy"]]))
    name = data.draw(some.sampled_from(sorted(part)))
    part[name] = data.draw(
        some.none()
        | some.integers()
        | some.text()
        | some.lists(some.text())
        | some.dictionaries(some.text(), some.none())
    )
    with contextlib.suppress(RoutiluxError):
        requests().read(msgspec.json.encode(stored))


def test_a_request_of_a_later_release_says_so() -> None:
    stored = msgspec.json.decode(requests().write(Request("orders", "read", {})))
    with pytest.raises(StoredJobError, match="is of format 2, and this release reads 1"):
        requests().read(msgspec.json.encode({**stored, "format": 2}))
    assert requests().read(msgspec.json.encode({**stored, "new": 1})).entry == "read"
