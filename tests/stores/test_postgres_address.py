"""Where a store on a server is: what may be given, what is refused, and that nothing of it is shown."""

from __future__ import annotations

import traceback

import pytest

from routilux import Flow
from routilux.errors import SettingError, StoreUnavailableError
from routilux.stores.opening import open_store

pytest.importorskip("psycopg")

from routilux.stores.postgres.address import address_of

PASSWORD = "s3cret-word"


def test_a_store_has_a_namespace_of_its_own() -> None:
    assert address_of("postgresql://localhost/jobs").namespace == "routilux"
    named = address_of("postgres://localhost/jobs?namespace=orders&connect_timeout=3")
    assert named.namespace == "orders"
    assert "namespace" not in named.conninfo
    assert "connect_timeout=3" in named.conninfo
    for wrong in ("Orders", "pg_orders", "a-b", "a;drop", "", "1a"):
        with pytest.raises(SettingError, match="namespace"):
            address_of(f"postgresql://localhost/jobs?namespace={wrong}")


@pytest.mark.parametrize(
    "local", ["/jobs", "/jobs?host=/run/postgresql", "localhost/jobs", "127.0.0.1:5433/jobs", "[::1]/jobs"]
)
def test_on_this_machine_nobody_reads_along(local: str) -> None:
    assert "sslmode" not in address_of(f"postgresql://{local}").conninfo


@pytest.mark.parametrize("remote", ["db.example.com/jobs", "10.0.0.7/jobs", "/jobs?service=x", "localhost,db/jobs"])
def test_another_machine_must_prove_who_it_is(remote: str) -> None:
    both = "&" if "?" in remote else "?"
    for given in (remote, f"{remote}{both}sslmode=verify-full"):
        assert "sslmode=verify-full" in address_of(f"postgresql://{given}").conninfo
    for mode in ("disable", "prefer", "require", "verify-ca"):
        with pytest.raises(SettingError, match=r"sslmode=verify-full.*or a tunnel"):
            address_of(f"postgresql://{remote}{both}sslmode={mode}")


def test_the_environment_counts_as_the_address_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGSSLMODE", "disable")
    assert "sslmode=verify-full" in address_of("postgresql:///jobs").conninfo


def test_nothing_that_is_said_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"postgresql://me:{PASSWORD}@127.0.0.1:1/jobs"
    with pytest.raises(StoreUnavailableError, match=r"postgresql://127.0.0.1:1/jobs\?namespace=routilux") as raised:
        open_store(address, store_grace=0)
    said = "".join(traceback.format_exception(raised.value))
    said += repr(address_of(address)) + repr(Flow("f", store=address).settings)
    with pytest.raises(SettingError) as raised_of_text:
        open_store(f"postgresql://me:{PASSWORD}%zz@127.0.0.1:1/jobs")
    said += "".join(traceback.format_exception(raised_of_text.value))
    assert PASSWORD not in said
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    known = address_of("postgresql://127.0.0.1/jobs")
    assert known.masked(ValueError(f"password {PASSWORD}\n is wrong.")) == "password *** is wrong"
