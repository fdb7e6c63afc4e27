"""Records over a folder that is a dict."""

from collections.abc import Callable, Iterable

import pytest

from routilux.durable.payload import Payloads
from routilux.durable.records import FEW, Records
from routilux.durable.stored_error import known_exceptions
from routilux.payloads import Codec


@pytest.fixture
def blobs() -> dict[str, bytes]:
    """Large payloads by name."""
    return {}


@pytest.fixture
def records(blobs: dict[str, bytes]) -> Callable[..., Records]:
    """Makes what writes and reads records."""

    def save(data: bytes) -> str:
        blobs[name := f"blob-{len(blobs)}"] = data
        return name

    def make(
        known: Iterable[type[BaseException]] = (), types: Iterable[type] = (), few: int = FEW, **limits: int
    ) -> Records:
        return Records(Payloads(Codec(types, **limits), save, blobs.__getitem__), known_exceptions(known), few=few)

    return make
