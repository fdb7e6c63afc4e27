"""The HTML report as a file: what it says without a script, and that nothing in it comes from elsewhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from routilux import Flow, collect, routine
from routilux.execution_mode import ExecutionMode
from routilux.exporters import html
from routilux.exporters.html.graph import Graph, drawn, graph_of
from routilux.exporters.html.markup import Markup, duration, element, text
from routilux.exporters.html.timeline import MOST_SLICES, data_of
from routilux.facts import JobStatus
from routilux.insight.configuration import sequential, threads
from routilux.insight.costs import Costs
from routilux.insight.trace import Attempt
from routilux.insight.what_if import what_if
from tests.exporters.recorded import HOSTILE, mixed
from tests.insight.tales import Tale, fan


class Reader(HTMLParser):
    """Checks that elements nest, and collects what a person sees and what else is named."""

    EMPTY = frozenset({"meta", "br", "link", "img"})

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.ids, self.links, self.names = [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("src", "href", "action", "srcset") if name in given]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@routine
def numbers(n):
    yield from range(n)


@routine
def add(x):
    return x + 1


@routine(fires=collect())
def total(xs):
    return sum(xs)


@pytest.fixture(scope="module")
def trace():
    return mixed(execution_mode="concurrent", max_workers=4)


@pytest.fixture(scope="module")
def page(trace):
    return Reader(html.render(trace, what_if(trace, Costs())))


def test_elements_nest_and_ids_are_unique(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_the_verdict_and_all_tables_are_there_without_a_script(page):
    for said in ("of the wall time", "numbers", "fetch", "parse", "total", "Predicted wall times", "the engine"):
        assert said in page.text
    assert page.names.count("table") >= 6
    assert page.names.count("caption") == page.names.count("table")


def test_nothing_is_fetched_from_anywhere(trace, page):
    text = html.render(trace)
    assert page.links == []
    assert "default-src 'none'" in text
    assert set(re.findall(r"https?://[^\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")


def test_names_of_the_user_are_text_wherever_they_stand():
    tale = Tale().tell(1, HOSTILE, cpu=1, status="retried").tell(1, HOSTILE, cpu=1, fired=2, attempt=2)
    tale.attempts[0] = tale.attempts[0]._replace(error=f"ValueError: {HOSTILE}")
    trace = tale.trace()._replace(flow_id=HOSTILE, job_id='"onload="', engine="<b>")
    text = html.render(trace, what_if(trace, Costs(), [sequential(), threads(2)]))
    page = Reader(text)
    assert page.open == []
    assert page.names.count("script") == 2
    assert HOSTILE in page.text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["routines"] == [HOSTILE]


def test_a_report_can_be_made_of_a_job_in_which_nothing_ran():
    page = Reader(html.render(Tale().trace()))
    assert "Nothing ran in this job." in page.text


def test_foreign_load_and_the_end_of_the_job_are_said():
    trace = fan(3, cpu=1)._replace(foreign_load=0.8, status=JobStatus.FAILED)
    page = Reader(html.render(trace))
    assert "Other processes used 0.80 cores meanwhile" in page.text
    assert "failed" in page.text
    assert "Other processes used 0.80" not in Reader(html.render(trace._replace(foreign_load=0.1))).text


@pytest.mark.no_cover
def test_of_a_very_long_job_the_longest_attempts_are_drawn():
    trace = fan(2)
    short = [
        trace.attempts[1]._replace(activation_id=number, ended=trace.attempts[1].begun + number % 9)
        for number in range(2, MOST_SLICES + 12)
    ]
    data = data_of(trace._replace(attempts=(trace.attempts[0], *short)))
    assert data["hidden"] == 11
    assert sum(len(lane["slices"]) for lane in data["lanes"]) == MOST_SLICES


def test_coroutines_side_by_side_on_one_worker_have_a_lane_each():
    trace = fan(1)._replace(mode=ExecutionMode.ASYNCIO)
    one = trace.attempts[1]
    beside = [one._replace(begun=one.begun, ended=one.ended + 1000, activation_id=number) for number in (3, 4)]
    lanes = data_of(trace._replace(attempts=(*trace.attempts, *beside)))["lanes"]
    assert [lane["name"] for lane in lanes] == ["asyncio, worker 0", "asyncio, worker 0, 2"]


def test_the_graph_has_an_arrow_for_each_connection_that_was_used(trace):
    graph = graph_of(trace)
    assert graph.arrows == {("numbers", "fetch"): 8, ("fetch", "parse"): 8, ("parse", "total"): 1}
    assert graph.columns() == [["numbers"], ["fetch"], ["parse"], ["total"]]


def test_what_is_collected_has_an_arrow_that_says_so():
    flow = Flow("collecting")
    for each in (numbers, add, total):
        flow.add_routine(each)
    flow.connect("numbers", "add")
    flow.connect("numbers", "total")
    flow.connect("add", "total")
    graph = graph_of(flow.record("numbers", {"n": 3}).trace)
    assert graph.arrows == {("numbers", "add"): 3, ("numbers", "total"): None, ("add", "total"): None}
    assert graph.columns() == [["numbers"], ["add"], ["total"]]
    assert "add → total: all" in drawn(graph, {}, {})


def test_a_loop_goes_back_and_crossings_are_avoided():
    loop = Graph(("a", "b", "c", "d"), {("a", "b"): 1, ("b", "a"): 5, ("a", "c"): 1, ("a", "d"): 1, ("c", "c"): 2})
    assert loop.columns() == [["a"], ["b", "c", "d"]]
    crossed = Graph(("s", "a", "b", "x", "y"), {("s", "a"): 1, ("s", "b"): 1, ("a", "y"): 1, ("b", "x"): 1})
    _, middle, last = crossed.columns()
    assert (middle.index("a") < middle.index("b")) == (last.index("y") < last.index("x"))
    assert Reader(drawn(loop, {"a": 0.5}, {})).open == []


def test_what_is_text_is_escaped_and_what_is_markup_is_not():
    assert text("<a>") == "&lt;a&gt;"
    assert text(Markup("<a>")) == "<a>"
    assert element("p", "1 < 2", Markup("<b></b>"), class_='"', aria_label="x") == (
        '<p class="&quot;" aria-label="x">1 &lt; 2<b></b></p>'
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0 ns"), (1.5e-7, "150 ns"), (2.5e-5, "25 µs"), (0.00321, "3.21 ms"), (75.0, "75 s"), (4321.0, "4,321 s")],
)
def test_a_duration_has_three_figures(seconds, shown):
    assert duration(seconds) == shown


def test_the_file_is_written_as_it_is_rendered(tmp_path, trace):
    html.write(trace, str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html.render(trace)
    assert isinstance(trace.attempts[0], Attempt)
