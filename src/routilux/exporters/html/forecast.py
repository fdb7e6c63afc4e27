"""The part of the report that says what other configurations would give."""

from __future__ import annotations

from collections.abc import Sequence

from routilux.execution_mode import ExecutionMode
from routilux.exporters.html.markup import Column, Markup, duration, element, joined, percent, table
from routilux.insight.what_if import Gain, Prediction, WhatIf

FEWEST_POINTS = 3
"""So many numbers of workers of one mode make a curve."""

LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 40
WIDTH, HEIGHT = 620, 240
SHOWN_GAINS = 8


def forecast(what_if: WhatIf, wall_time: float) -> Markup:
    """All answers: how far they can be believed first, then tables and a curve for each mode."""
    trust = element("p", f"{str(what_if.self_check)[:1].upper()}{str(what_if.self_check)[1:]}.", class_="trust")
    gains = [
        _gains("Each routine twice as fast", "routine", what_if.speed_ups),
        _gains("Nothing waiting any more", "for", what_if.waits_gone),
    ]
    curves = [_curve(mode, points) for mode in ExecutionMode if len(points := _points(what_if, mode)) >= FEWEST_POINTS]
    assumed = element("ul", *(element("li", one) for one in what_if.assumptions))
    details = element("details", element("summary", "What this takes for granted"), assumed, open="")
    tables = element("div", *curves, *gains, class_="columns")
    return joined([trust, _predictions(what_if, wall_time), tables, details])


def _predictions(what_if: WhatIf, wall_time: float) -> Markup:
    longest = max([wall_time, *(one.high for one in what_if.predictions)], default=0.0) or 1.0
    best = what_if.recommended()
    rows = [
        (
            joined(["★ " if one is best else "", str(one.configuration)]),
            duration(one.wall_time),
            f"{duration(one.low)} to {duration(one.high)}",
            f"{wall_time / one.wall_time:.2f}x" if one.wall_time else "-",
            _whisker(one, longest, wall_time),
        )
        for one in what_if.predictions
    ]
    columns = [
        Column("configuration"),
        Column("predicted", number=True),
        Column("8 in 10 within", number=True),
        Column("speed-up", number=True),
        Column("beside the recorded run (the line)"),
    ]
    caption = "Predicted wall times; ★ is the simplest of those that are as good as the best on threads"
    return table(caption, columns, rows)


def _whisker(one: Prediction, longest: float, wall_time: float) -> Markup:
    """A prediction with its band, and the recorded run as a line through all of them."""
    place = [f"{seconds / longest * 100:.2f}%" for seconds in (one.wall_time, one.low, one.high, wall_time)]
    width = f"{max(0.4, (one.high - one.low) / longest * 100):.2f}%"
    shapes = (
        element("rect", x="0", y="5", height="10", width=place[0], class_="predicted"),
        element("rect", x=place[1], y="8", height="4", width=width, class_="band"),
        element("line", x1=place[3], x2=place[3], y1="0", y2="20", class_="recorded"),
    )
    return element("svg", *shapes, class_="whisker", aria_hidden="true", height="20", width="100%")


def _gains(caption: str, subject: str, gains: Sequence[Gain]) -> Markup:
    columns = [Column(subject), Column("would take", number=True), Column("shorter by", number=True)]
    return table(
        caption, columns, [(one.subject, duration(one.wall_time), percent(one.share)) for one in gains[:SHOWN_GAINS]]
    )


def _points(what_if: WhatIf, mode: ExecutionMode) -> list[tuple[int, Prediction]]:
    """The predictions of one mode alone by number of workers, fewest first."""
    own = [one for one in what_if.predictions if one.configuration.used == (mode,)]
    return sorted(((one.configuration.workers_of(mode), one) for one in own), key=lambda point: point[0])


def _curve(mode: ExecutionMode, points: Sequence[tuple[int, Prediction]]) -> Markup:
    """Wall time against the number of workers, with its band; numbers of workers stand at equal distances."""
    longest = max(one.high for _, one in points) or 1.0
    across = (WIDTH - LEFT - RIGHT) / (len(points) - 1)

    def at(place: int, seconds: float) -> str:
        return f"{LEFT + place * across:.1f},{HEIGHT - BOTTOM - seconds / longest * (HEIGHT - TOP - BOTTOM):.1f}"

    high = [at(place, one.high) for place, (_, one) in enumerate(points)]
    low = [at(place, one.low) for place, (_, one) in enumerate(points)]
    middle = [at(place, one.wall_time) for place, (_, one) in enumerate(points)]
    base = HEIGHT - BOTTOM
    shapes = [
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"),
        element("line", x1=LEFT, x2=LEFT, y1=TOP, y2=base, class_="axis"),
        element("text", duration(longest), x=LEFT - 8, y=TOP + 5, class_="tick end"),
        element("text", "0", x=LEFT - 8, y=base, class_="tick end"),
        element("polygon", points=" ".join([*high, *reversed(low)]), class_="band"),
        element("polyline", points=" ".join(middle), class_="curve"),
        element("text", "workers", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, class_="tick middle"),
    ]
    for place, (count, one) in enumerate(points):
        x, y = middle[place].split(",")
        dot = element("circle", element("title", f"{count}: {duration(one.wall_time)}"), cx=x, cy=y, r=4, class_="dot")
        shapes += [dot, element("text", count, x=x, y=base + 17, class_="tick middle")]
    label = f"Predicted wall time in mode {mode.value} by number of workers; the table has the figures"
    picture = element("svg", *shapes, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="curves")
    return element("figure", element("figcaption", f"Wall time in mode {mode.value}, by number of workers"), picture)
