"""What the script of the report draws: all lanes of a job as plain values.

One object: `routines` and `kinds` name what is meant by their places; each of `lanes` has a name and slices
`[begun, length, routine, status, queue wait, [Python, native, waiting, contention], activation, attempt, error]`;
`levels` are `[moment, running, waiting]`. Moments and durations are microseconds from the start of the job.
"""

from __future__ import annotations

import json
from heapq import nlargest
from typing import Any

from routilux.exporters.html.markup import CLASSES, Markup
from routilux.insight.lanes import lanes_of, levels_of, thinned
from routilux.insight.split import Split, splits_of
from routilux.insight.timeline import Use
from routilux.insight.trace import Attempt, Trace

KINDS = (Use.PYTHON, Use.NATIVE, Use.WAIT, Use.CONTENTION)
"""In the order of the fields of `Split`."""

MOST_SLICES = 50_000
"""Of a job with more attempts the longest are drawn, and the rest counted."""

MOST_LEVELS = 4_000


def data_of(trace: Trace) -> dict[str, Any]:
    """A job as plain values."""
    routines = list(dict.fromkeys(attempt.routine_id for attempt in trace.attempts))
    place = {routine_id: number for number, routine_id in enumerate(routines)}
    splits, shown = splits_of(trace), _shown(trace)
    lanes = [
        {
            "name": f"{lane.mode.value}, {lane.name}",
            "slices": [
                _slice(trace, trace.attempts[index], place, splits[index]) for index in lane.attempts if index in shown
            ],
        }
        for lane in lanes_of(trace)
    ]
    return {
        "total": _micros(trace.end - trace.start),
        "routines": routines,
        "kinds": [{"name": use.value, "class": CLASSES[use]} for use in KINDS],
        "lanes": lanes,
        "levels": [
            [_micros(level.moment - trace.start), level.running, level.waiting]
            for level in thinned(levels_of(trace), MOST_LEVELS)
        ],
        "hidden": len(trace.attempts) - len(shown),
    }


def embedded(data: dict[str, Any]) -> Markup:
    """Plain values as JSON that no text in them can end."""
    text = json.dumps(data, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _shown(trace: Trace) -> set[int]:
    attempts = trace.attempts
    if len(attempts) <= MOST_SLICES:
        return set(range(len(attempts)))
    return set(nlargest(MOST_SLICES, range(len(attempts)), key=lambda index: attempts[index].run_time))


def _slice(trace: Trace, attempt: Attempt, place: dict[str, int], split: Split) -> list[Any]:
    return [
        _micros(attempt.begun - trace.start),
        _micros(attempt.ended - attempt.begun),
        place[attempt.routine_id],
        attempt.status.value,
        round(attempt.queue_wait * 1e6, 3),
        [round(seconds * 1e6, 3) for seconds in split],
        attempt.activation_id,
        attempt.attempt,
        attempt.error,
    ]


def _micros(nanoseconds: int) -> float:
    return nanoseconds / 1e3
