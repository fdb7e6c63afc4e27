"""The journal key of a flow: bytes, or where they are to be found; looked up when a store is opened, kept nowhere."""

from __future__ import annotations

import os

from routilux.settings import Settings


def journal_key_of(settings: Settings) -> bytes | None:
    """The key itself; raises `SecretError` where it is not where its `Secret` says."""
    key = settings.journal_key
    return key if key is None or isinstance(key, bytes) else os.fsencode(key.value)
