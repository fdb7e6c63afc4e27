"""Where a store on a server is: `postgresql://user@host/database?namespace=orders`.

What libpq needs may stand in the address, in its environment variables, its password file or its service file. The
address holds secrets: it is shown by nothing here, only `place` is, and what a server says goes through `masked`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from routilux.errors import SettingError

NAMESPACE = "routilux"
"""The schema of a store whose address names none."""

_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_OWN = "namespace="
_PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "application_name": "routilux",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A namespace of a database, and how to get there."""

    conninfo: str = field(repr=False)
    """For libpq; with a password, if one was given."""
    secrets: tuple[str, ...] = field(repr=False)
    namespace: str
    place: str
    """What may be shown."""
    sslmode: str

    def masked(self, error: BaseException) -> str:
        """What an error says, in one line and without what nobody may see."""
        text = " ".join(str(error).split())
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text.rstrip(".")


def address_of(dsn: str) -> Address:
    """Reads an address. Raises `SettingError` if it is none, or lets others read along."""
    start, _, query = dsn.partition("?")
    options = query.split("&") if query else []
    own = [option.removeprefix(_OWN) for option in options if option.startswith(_OWN)]
    others = "&".join(option for option in options if not option.startswith(_OWN))
    namespace = own[-1] if own else NAMESPACE
    if _SCHEMA.fullmatch(namespace) is None:
        raise SettingError(
            f"namespace={namespace[:80]!r} cannot be the namespace of a store: use small letters, digits and _."
        )
    try:
        given = conninfo_to_dict(f"{start}?{others}" if others else start)
    except psycopg.Error:
        # What libpq says quotes the address.
        raise SettingError(
            "The address of the store cannot be read. It has the form "
            "postgresql://user@host:port/database?namespace=name; special letters in its parts are written as %XX."
        ) from None
    known = _environment() | {name: str(value) for name, value in given.items() if value is not None}
    place = f"postgresql://{known.get('host', '')}:{known.get('port', '')}/{known.get('dbname', '')}"
    used: dict[str, Any] = _PATIENCE | given | {"client_encoding": "utf8"}
    if not _is_local(known, "host" in given):
        if given.get("sslmode", "verify-full") != "verify-full":
            raise SettingError(
                f"The store {place} is on another machine, and sslmode={given['sslmode']} would let others read or "
                "pretend to be it. Use sslmode=verify-full, with sslrootcert=... for a certificate authority of your "
                "own, or a tunnel that ends on this machine."
            )
        used["sslmode"] = "verify-full"
    mode = str(used.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer")
    secrets = tuple(value for name, value in known.items() if name in {"password", "sslpassword"} and value)
    return Address(make_conninfo(**used), (*secrets, dsn), namespace, f"{place}?namespace={namespace}", mode)


def _environment() -> dict[str, str]:
    """What libpq takes where an address says nothing."""
    options = psycopg.pq.Conninfo.get_defaults()
    return {one.keyword.decode(): one.val.decode() for one in options if one.val and one.keyword != b"sslmode"}


def _is_local(known: dict[str, str], told: bool) -> bool:
    """Whether no packet leaves this machine, as far as can be known before connecting; `told`: by the address."""
    if "service" in known and not told:
        return False
    hosts = [host for name in ("host", "hostaddr") for host in known.get(name, "").split(",")]
    return all(_is_here(host) for host in hosts)


def _is_here(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
