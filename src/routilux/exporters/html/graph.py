"""The graph of a flow as it ran: which routine was fired by which, and each one's share, drawn as SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from routilux.exporters.html.markup import Markup, element, joined, percent
from routilux.insight.trace import Trace

WIDTH, HEIGHT = 168, 54
"""Of a routine, in pixels."""

ACROSS, DOWN = 76, 22
"""Between routines."""

MARGIN = 12
LONGEST_NAME = 22
SMALLEST = 0.65
"""A wide graph is made so small before it has to be scrolled."""

SWEEPS = 4
"""So often the routines of each column are put in the order of their neighbours."""


class Place(NamedTuple):
    """The upper left corner of a routine."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Who fired whom, and how often."""

    routines: tuple[str, ...]
    """In the order in which they first ran."""
    arrows: Mapping[tuple[str, str], int | None]
    """`None` where all values are collected, and fire the other once."""

    def columns(self) -> list[list[str]]:
        """The routines, each to the right of those before it; an arrow of a loop goes back."""
        order = {routine_id: place for place, routine_id in enumerate(self.routines)}
        depth = dict.fromkeys(self.routines, 0)
        # What fired a routine first ran before it, so arrows to earlier ones are those of loops.
        for routine_id in self.routines:
            before = [depth[tail] for tail, head in self.arrows if head == routine_id and order[tail] < order[head]]
            depth[routine_id] = 1 + max(before, default=-1)
        found: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
        for routine_id in self.routines:
            found[depth[routine_id]].append(routine_id)
        return self._ordered(found)

    def _ordered(self, columns: list[list[str]]) -> list[list[str]]:
        """The same columns with fewer crossings: each routine near the middle of those that it has arrows with."""
        height = {who: place for column in columns for place, who in enumerate(column)}
        neighbours: dict[str, list[str]] = {routine_id: [] for routine_id in self.routines}
        for tail, head in self.arrows:
            if tail != head:
                neighbours[tail].append(head)
                neighbours[head].append(tail)
        for _ in range(SWEEPS):
            for column in columns:
                means = {who: _mean([height[one] for one in neighbours[who]], height[who]) for who in column}
                column.sort(key=lambda who: means[who])
                height.update({who: place for place, who in enumerate(column)})
        return columns


def graph_of(trace: Trace) -> Graph:
    """The graph of what ran in a job."""
    who = {attempt.activation_id: attempt.routine_id for attempt in trace.attempts}
    causes = {attempt.activation_id: attempt.causes for attempt in trace.attempts}
    fired = Counter(
        (who[cause], who[number]) for number, several in causes.items() for cause in several if cause in who
    )
    ran = dict.fromkeys(attempt.routine_id for attempt in trace.attempts)
    collected = [(tail, head) for head in ran for tail in trace.observed(head).collects if tail in ran]
    return Graph(tuple(ran), {**fired, **dict.fromkeys(collected)})


def drawn(graph: Graph, shares: Mapping[str, float], notes: Mapping[str, str]) -> Markup:
    """The graph as SVG; `shares` are of all work, `notes` stand beside them."""
    columns = graph.columns()
    tallest = max(map(len, columns), default=0)
    places = {
        routine_id: Place(
            MARGIN + column * (WIDTH + ACROSS),
            MARGIN + (row + (tallest - len(routines)) / 2) * (HEIGHT + DOWN),
        )
        for column, routines in enumerate(columns)
        for row, routine_id in enumerate(routines)
    }
    loops = DOWN + 14 if any(_goes_back(places, arrow) for arrow in graph.arrows) else 0
    width = 2 * MARGIN + len(columns) * (WIDTH + ACROSS) - ACROSS
    height = 2 * MARGIN + tallest * (HEIGHT + DOWN) - DOWN + loops
    arrows = [_arrow(places, arrow, count) for arrow, count in graph.arrows.items()]
    nodes = [_node(places[one], one, shares.get(one, 0.0), notes.get(one, "")) for one in graph.routines]
    view = {"viewBox": f"0 0 {width} {height}", "width": width, "style": f"min-width:{width * SMALLEST:.0f}px"}
    label = f"{len(graph.routines)} routines and {len(graph.arrows)} connections; the table of routines has the figures"
    picture = element("svg", *arrows, *nodes, role="img", class_="graph", aria_label=label, **view)
    return element("div", picture, class_="scroll", tabindex="0", role="region", aria_label="Flow graph")


def _node(place: Place, routine_id: str, share: float, note: str) -> Markup:
    title = element("title", f"{routine_id}: {percent(share)} of all work. {note}")
    shape = {"x": place.x, "y": place.y, "width": WIDTH, "height": HEIGHT, "rx": 7}
    filled = {**shape, "width": round(WIDTH * min(1.0, share), 2)}
    name = routine_id if len(routine_id) <= LONGEST_NAME else f"{routine_id[: LONGEST_NAME - 1]}…"
    lines = (
        element("text", name, x=place.x + 11, y=place.y + 22, class_="name"),
        element("text", percent(share), x=place.x + 11, y=place.y + 41, class_="share"),
        element("text", note.partition(":")[0], x=place.x + WIDTH - 11, y=place.y + 41, class_="note"),
    )
    return element("g", title, element("rect", **shape), element("rect", class_="part", **filled), *lines)


def _arrow(places: Mapping[str, Place], arrow: tuple[str, str], count: int | None) -> Markup:
    tail, head = places[arrow[0]], places[arrow[1]]
    often = "all" if count is None else f"{count:,}"
    words = element("title", f"{arrow[0]} → {arrow[1]}: {often}")
    if _goes_back(places, arrow):
        x, y, left = tail.x + WIDTH / 2, tail.y + HEIGHT, head.x + WIDTH / 2
        low = max(y, head.y + HEIGHT) + DOWN
        line = f"M{x + 12},{y} C{x + 12},{low + 8} {left - 12},{low + 8} {left - 12},{head.y + HEIGHT + 7}"
        tip = _tip(left - 12, head.y + HEIGHT, 0, -1)
        middle = Place((x + left) / 2, low + 14)
    else:
        x, y, right, end = tail.x + WIDTH, tail.y + HEIGHT / 2, head.x, head.y + HEIGHT / 2
        half = (right - x) / 2
        line = f"M{x},{y} C{x + half},{y} {right - half},{end} {right - 7},{end}"
        tip = _tip(right, end, 1, 0)
        middle = Place((x + right) / 2, (y + end) / 2 - 7)
    label = element("text", often, x=round(middle.x, 1), y=round(middle.y, 1), class_="count")
    return element("g", joined((words, element("path", d=line, class_="line"), tip, label)))


def _tip(x: float, y: float, right: int, down: int) -> Markup:
    """The head of an arrow at a point, looking that way."""
    back, side = (x - 8 * right, y - 8 * down), (4 * down, 4 * right)
    points = f"M{x},{y} L{back[0] + side[0]},{back[1] + side[1]} L{back[0] - side[0]},{back[1] - side[1]} Z"
    return element("path", d=points, class_="tip")


def _goes_back(places: Mapping[str, Place], arrow: tuple[str, str]) -> bool:
    return places[arrow[0]].x >= places[arrow[1]].x


def _mean(values: Sequence[int], alone: int) -> float:
    return sum(values) / len(values) if values else float(alone)
