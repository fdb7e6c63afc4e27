"""The stores that one flow has opened: each once, when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from routilux.settings import Settings


class OpenStores:
    """By what names them in settings: the jobs of the flow in its stores."""

    def __init__(self, opened: Callable[[Settings], Any]) -> None:
        """`opened` opens the store that settings name."""
        self._opened = opened
        self._opening = threading.Lock()
        self._stores: dict[Any, Any] = {}

    def of(self, settings: Settings) -> Any:
        """The jobs in the store that the settings name."""
        with self._opening:
            known = self._stores.get(settings.store)
            if known is None:
                known = self._stores[settings.store] = self._opened(settings)
            return known

    def close(self) -> None:
        """Closes all of them; the next job opens its store anew."""
        while self._stores:
            self._stores.popitem()[1].close()
