"""Values that have no other form, as pickles that only who has the key can have made.

To read a pickle is to run what it says. So its HMAC is verified before the first byte of it is looked at; it binds the
pickle to whatever the codec is for. That it stands where it was put, the chain of its store says.
"""

from __future__ import annotations

import base64
import hmac
import pickle
from typing import Any

from routilux.guard import guarded, text_of
from routilux.payloads.refusal import RefusedError

TAG = "pickle"
_PROTOCOL = 5
_PURPOSE = b"pickled values of Routilux"


class Pickles:
    """Writes and reads them, with one key and for one purpose."""

    __slots__ = ("_bound", "_key")

    def __init__(self, key: bytes, bound: str) -> None:
        """`bound` is what they are for: what was pickled for something else is refused."""
        self._key = hmac.digest(key, _PURPOSE, "sha256")
        encoded = bound.encode()
        self._bound = len(encoded).to_bytes(8, "little") + encoded

    def write(self, value: Any) -> dict[str, str]:
        """What JSON is to hold; raises `RefusedError` for what would not come back."""
        data, broken = guarded(pickle.dumps, value, _PROTOCOL)
        again, unreadable = (None, None) if broken is not None else guarded(_opened, data)
        kind = type(value)
        if broken is not None or unreadable is not None or type(again) is not kind:
            error = broken or unreadable
            why = "comes back as something else" if error is None else text_of(error)[:200].rstrip(".")
            raise RefusedError(
                f"a {kind.__module__}.{kind.__qualname__} cannot be stored, not even as a pickle ({why})."
            )
        return {"$": TAG, "v": base64.b64encode(data).decode(), "m": self._seal(data)}

    def read(self, stored: dict[str, Any]) -> Any:
        """The value; raises `RefusedError` unless it was pickled with the key, and for the same purpose."""
        data, broken = guarded(base64.b64decode, stored.get("v"), None, True)
        seal = stored.get("m")
        if broken is not None or not isinstance(seal, str) or not seal.isascii():
            raise RefusedError("what is pickled is malformed.")
        if not hmac.compare_digest(seal, self._seal(data)):
            raise RefusedError("it was pickled with another key, for another flow, or by an enemy; it is not read.")
        value, broken = guarded(_opened, data)
        if broken is not None:
            raise RefusedError(f"what is pickled cannot be read ({text_of(broken)[:200]}).")
        return value

    def _seal(self, data: bytes) -> str:
        return hmac.digest(self._key, self._bound + data, "sha256").hex()


def _opened(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 -- made here a moment ago, or sealed with the user's own key


def size_of(stored: dict[str, Any]) -> int:
    """How many bytes a pickle has, without a look at it."""
    text = str(stored.get("v", ""))
    return len(text) * 3 // 4 - text.endswith("=") - text.endswith("==")
