"""What a handler writes to the database of its job's store, as one with its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

from routilux.errors import TransactionError
from routilux.facts import Statement
from routilux.loading import loaded

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Transaction:
    """Statements that are executed with the outcome of the attempt, in the transaction that keeps it: all or none.

    They are collected in a `with` block, and dropped if an exception leaves it. None is executed if the attempt fails,
    is too late, or is not wanted any more; if one is refused by the database, the attempt has failed.
    """

    __slots__ = ("_adopt", "_room", "_statements", "_where")

    def __init__(self, where: str, room: int, adopt: Callable[[list[Statement]], None]) -> None:
        """`room`: how many bytes of text and parameters there may be; `adopt` is given the statements at the end."""
        self._where = where
        self._room = room
        self._adopt = adopt
        self._statements: list[Statement] | None = None

    def execute(self, statement: str, parameters: Parameters = ()) -> None:
        """Adds one statement; its parameters are `None`, bools, ints, floats, texts and bytes, by place or by name.

        Raises `TransactionError` for what is no single statement that writes, `PayloadError` for a parameter.
        """
        self.executemany(statement, (parameters,))

    def executemany(self, statement: str, rows: Iterable[Parameters]) -> None:
        """As `execute`, once for each of `rows`."""
        if self._statements is None:
            raise TransactionError(
                f"{self._where}: a transaction takes statements inside its block: with ctx.transaction() as sql: "
                "sql.execute(...)."
            )
        checked, self._room = loaded("routilux.statements", "checked")(self._where, statement, rows, self._room)
        if checked[1]:
            self._statements.append(checked)

    def __enter__(self) -> Self:
        self._statements = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        statements, self._statements = self._statements or [], None
        if kind is None:
            self._adopt(statements)
