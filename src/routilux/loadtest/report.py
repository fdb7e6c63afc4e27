"""The result of a load test as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routilux.plurals import counted

HEAD = (
    "phase", "offered/s", "jobs", "done/s", "failed", "p50", "p90", "p99", "p99.9", "max", "waiting", "cores",
    "workers", "others", "",
)  # fmt: skip

QUANTITIES = {"rss": "memory", "blocks": "allocated blocks", "files": "open files"}
BYTES = frozenset({"rss"})


def report_lines(result: Mapping[str, Any]) -> list[str]:
    """The lines of the report."""
    lines = [*heading(result), "", *_table(rows(result["steps"]))]
    if result["soak"] is not None:
        lines += ["", *soak_lines(result["soak"])]
    return [*lines, "", *conclusions(result)]


def heading(result: Mapping[str, Any]) -> list[str]:
    """What was done, and what it takes to do it again."""
    options, alone = result["options"], result["alone"]
    workers = ", ".join(f"{count} {mode}" for mode, count in result["workers"].items())
    if options["users"] is None:
        pattern = f"arrivals {options['arrivals']}, seed {options['seed']}"
        how = f"Open loop, {pattern}; latency counts from the intended start."
    else:
        users = "1 user who waits" if options["users"] == 1 else f"{options['users']} users who wait"
        how = (
            f"Closed loop, {users} (think time {seconds(options['think'])}): "
            "while jobs are slow fewer are started, so the slow ones count for too little."
        )
    unsteady = "" if alone["steady"] else " (the warm-up did not come to rest: handlers differ from call to call)"
    return [
        f"Load test; workers: {workers}; {counted(result['cores'], 'processor')}. {how}",
        f"Alone a job takes {seconds(alone['latency'])}, {seconds(alone['cpu'])} of it on a processor{unsteady}.",
    ]


def rows(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The cells of the table of steps, one row each, in the order of `HEAD`."""
    return [row(step) for step in steps]


def row(step: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one step."""
    latency = step["latency"]
    marks = [*step["lacks"], *(["late"] if step["late"] else [])]
    foreign = step["foreign_load"]
    return (
        step["phase"],
        f"{step['rate']:.4g}",
        f"{latency['n']:,}",
        f"{step['throughput']:.4g}",
        f"{step['failed']:,}",
        *(seconds(latency[name]) for name in ("p50", "p90", "p99", "p99.9", "max")),
        f"{step['waiting']:.0%}",
        f"{step['cores']:.2f}",
        f"{step['workers']:.1f}",
        "-" if foreign is None else f"{foreign:.2f}",
        "; ".join(marks),
    )


def soak_lines(soak: Mapping[str, Any]) -> list[str]:
    """What the soak has shown."""
    windows = soak["windows"]
    worst = max((window["latency"]["p99"] or 0.0 for window in windows), default=0.0)
    jobs = sum(window["offered"] for window in windows)
    length = sum(window["seconds"] for window in windows)
    lines = [f"Soak: {counted(jobs, 'job')} in {seconds(length)}, p99 of the worst window {seconds(worst)}."]
    for name, growth in soak["quantities"].items():
        verdict = {True: "GROWING", False: "flat", None: "too short to tell"}[growth["growing"]]
        first, last = (_amount(name, growth[end]) for end in ("first", "last"))
        lines.append(f"  {QUANTITIES.get(name, name):<17} {first:>10} -> {last:>10}  {verdict}")
    lines += [f"  {size:+,} bytes  {line}" for line, size in soak["allocations"]]
    return lines


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """What it comes to, in sentences."""
    lines = _knee(result)
    if result["reason"] is not None:
        lines.append(f"Why it stops there: {result['reason']['sentence']}")
    for written, judged in result["slo"].items():
        spite = " What follows can only have made jobs slower." if judged == "met" and result["doubts"] else ""
        lines.append(f"SLO {written}: {judged}.{spite}")
    if result["soak"] is not None and result["soak"]["growing"]:
        names = " and ".join(QUANTITIES.get(name, name) for name in result["soak"]["growing"])
        lines.append(f"What the process holds is growing: {names}.")
    return [*lines, *result["doubts"]]


def seconds(value: float | None) -> str:
    """A duration in three figures and the unit that suits it."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size < 1000 else f"{value / size:,.0f} {unit}"
    return f"{value / 1e-9:.0f} ns"


def _knee(result: Mapping[str, Any]) -> list[str]:
    knee, predicted, lines = result["knee"], result["predicted"], []
    if knee is not None and knee["sustained"] is None:
        lines.append(f"No rate was sustained, not even {knee['broken']:.4g} jobs/s.")
    elif knee is not None and knee["broken"] is None:
        lines.append(f"Sustained up to {knee['sustained']:.4g} jobs/s, and no knee was found up to there.")
    elif knee is not None:
        lines.append(f"Knee: {knee['rate']:.4g} jobs/s (sustained {knee['sustained']:.4g}, not {knee['broken']:.4g}).")
    if predicted:
        least = predicted[0]
        useful = result["useful_workers"]
        lines.append(
            f"Predicted from one job alone: {least['rate']:.4g} jobs/s, bound by {least['name']}"
            + ("." if useful is None else f". Useful workers: {useful}.")
        )
    return lines


def _amount(name: str, value: float) -> str:
    return f"{value / 2**20:,.1f} MB" if name in BYTES else f"{value:,.0f}"


def _table(body: list[tuple[str, ...]]) -> list[str]:
    table = [HEAD, *body]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    aligned = []
    for cells in table:
        last = len(cells) - 1
        shown = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        aligned.append("  ".join(shown).rstrip())
    return [aligned[0], "-" * max(map(len, aligned)), *aligned[1:]]
