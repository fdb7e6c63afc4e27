"""What left a flow: the emissions on events that nothing is connected to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from routilux.errors import ResultError
from routilux.suggestions import nearest


class Results(Mapping[str, list[Any]]):
    """By routine id: the values that left the flow there, in order; grows while the job runs.

    It iterates the routines that there are results of; of every other routine of the flow there is an empty list.
    """

    def __init__(self, left: Collection[tuple[str, str, Any]], routine_ids: Collection[str]) -> None:
        self._left = left
        self._routine_ids = routine_ids
        self._seen = 0
        self._by_routine: dict[str, list[tuple[str, Any]]] = {}

    def __getitem__(self, routine_id: str) -> list[Any]:
        if routine_id not in self._routine_ids:
            raise ResultError(f"The flow has no routine {routine_id!r}.{nearest(routine_id, self._routine_ids)}")
        return [value for _, value in self._read().get(routine_id, ())]

    def __contains__(self, routine_id: object) -> bool:
        return routine_id in self._read()

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._read()))

    def __len__(self) -> int:
        return len(self._read())

    def of(self, routine_id: str, event: str) -> list[Any]:
        """The values that left by one event of a routine; an empty list if there were none."""
        return [value for name, value in self._read().get(routine_id, ()) if name == event]

    def only(self) -> Any:
        """The one value that left the flow; raises `ResultError` if it is not exactly one."""
        values = [value for found in self._read().values() for _, value in found]
        if len(values) != 1:
            raise ResultError(f"The job has {len(values)} results, not exactly one. Look into job.results.")
        return values[0]

    def __repr__(self) -> str:
        return f"Results({ {routine: self[routine] for routine in self} })"

    def _read(self) -> dict[str, list[tuple[str, Any]]]:
        if len(self._left) != self._seen:
            left = list(self._left)
            found: dict[str, list[tuple[str, Any]]] = {}
            for routine, event, value in left:
                found.setdefault(routine, []).append((event, value))
            self._by_routine, self._seen = found, len(left)
            return found
        return self._by_routine
