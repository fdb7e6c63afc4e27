"""The tracker's figures as a table for people."""

from __future__ import annotations

from typing import Any

from routilux.plurals import counted

HEAD = ("routine", "runs", "failed", "retried", "mean", "p50", "p95", "p99", "max", "wait p95", "share")


def report_lines(metrics: dict[str, Any]) -> list[str]:
    """The lines of the report, the routine with the largest share first."""
    routines = metrics["routines"]
    if not routines:
        return ["Nothing has run yet."]
    ranked = sorted(routines, key=lambda routine_id: float(routines[routine_id]["share"]), reverse=True)
    rows = [HEAD, *(_row(routine_id, routines[routine_id]) for routine_id in ranked)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in _cells(row, widths)
        )
        for row in rows
    ]
    return [_heading(metrics), "", lines[0].rstrip(), "-" * len(lines[0]), *lines[1:], "", _bottleneck(metrics)]


def duration(seconds: float | None) -> str:
    """A duration in three figures and the unit that suits it."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds / size < 1000 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def _cells(row: tuple[str, ...], widths: list[int]) -> enumerate[tuple[str, int]]:
    return enumerate(zip(row, widths, strict=True))


def _row(routine_id: str, figures: dict[str, Any]) -> tuple[str, ...]:
    run, wait = figures["run_time"], figures["queue_wait"]
    return (
        routine_id,
        f"{figures['executions']:,}",
        f"{figures['failures']:,}",
        f"{figures['retries']:,}",
        *(duration(run.get(key)) for key in ("mean", "p50", "p95", "p99", "max")),
        duration(wait.get("p95")),
        f"{figures['share']:.1%}",
    )


def _heading(metrics: dict[str, Any]) -> str:
    jobs = ", ".join(f"{count} {status}" for status, count in metrics["jobs"].items()) or "none"
    overhead = metrics["engine_overhead"]
    return (
        f"Flow {metrics['flow_id'] or ''}: jobs {jobs}; {counted(metrics['executions'], 'execution')} in "
        f"{duration(metrics['wall_time'])} ({metrics['throughput']:,.0f}/s), workers busy "
        f"{metrics['worker_utilisation']:.0%}" + ("" if overhead is None else f", beyond handlers {duration(overhead)}")
    )


def _bottleneck(metrics: dict[str, Any]) -> str:
    worst = metrics["bottleneck"]
    work = metrics["routines"][worst["routine"]]["work"]
    return (
        f"Bottleneck: {worst['routine']!r} has {worst['share']:.0%} of all run time "
        f"({duration(work)} of {duration(metrics['work'])})."
    )
