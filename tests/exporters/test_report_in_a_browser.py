"""The HTML report in Chromium, where there is one."""

from __future__ import annotations

import shutil

import pytest

from routilux.exporters import html
from routilux.insight.costs import Costs
from routilux.insight.what_if import what_if
from tests.exporters.recorded import HOSTILE, mixed
from tests.insight.tales import Tale

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a report; whatever goes wrong in it, and whatever it asks for, is written down."""
    contexts = []

    def open_report(text, **options):
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": 1200, "height": 1000}, **options))
        page = contexts[-1].new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def report():
    trace = mixed(execution_mode="concurrent", max_workers=3)
    return html.render(trace, what_if(trace, Costs()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_timeline_is_drawn_without_a_complaint_or_a_request(opened, report, scheme):
    page = opened(report, color_scheme=scheme)
    assert page.complaints == []
    assert len(page.requests) == 1
    assert page.locator("#chart rect.row").count() >= 1
    assert page.locator("#chart .use-python").count() >= 8
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_dark_and_light_differ_and_can_both_be_read(opened, report):
    seen = []
    for scheme in ("light", "dark"):
        page = opened(report, color_scheme=scheme)
        seen.append(
            page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
        )
    for ink, paper in seen:
        assert contrast(ink, paper) >= 7
    assert seen[0] != seen[1]


def test_an_attempt_is_explained_under_the_pointer_and_with_the_keyboard(opened, report):
    page = opened(report)
    page.focus("#chart")
    page.keyboard.press("Home")
    assert "numbers, yielded" in page.inner_text("#selected")
    page.keyboard.press("End")
    assert "total, completed" in page.inner_text("#selected")
    page.locator("#chart").scroll_into_view_if_needed()
    piece = page.locator("#chart .wait").first.bounding_box()
    page.mouse.move(piece["x"] + piece["width"] / 2, piece["y"] + 8)
    assert "fetch, completed" in page.inner_text("#tip")


def test_dragging_and_buttons_zoom_and_the_whole_job_comes_back(opened, report):
    page = opened(report)
    chart = page.locator("#chart")
    chart.scroll_into_view_if_needed()
    whole, box = chart.inner_html(), chart.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 520, box["y"] + 44)
    page.mouse.up()
    near = chart.inner_html()
    assert near != whole
    page.get_by_role("button", name="Zoom in").click()
    assert chart.inner_html() != near
    page.get_by_role("button", name="Whole job").click()
    assert chart.inner_html() == whole


def test_without_scripts_the_verdict_and_the_tables_are_there(opened, report):
    page = opened(report, java_script_enabled=False)
    assert "of the wall time" in page.inner_text(".verdict")
    assert "scripts are blocked" in page.inner_text("noscript")
    assert page.get_by_role("table").count() >= 6
    assert page.locator(".tools").is_hidden()


def test_a_routine_named_like_a_script_runs_nothing(opened):
    tale = Tale().tell(1, HOSTILE, cpu=1).tell(2, "<img src=x onerror=\"document.title='broken into'\">", [1], wait=1)
    trace = tale.trace()._replace(flow_id=HOSTILE)
    page = opened(html.render(trace))
    page.focus("#chart")
    page.keyboard.press("Home")
    assert HOSTILE in page.inner_text("#selected")
    assert "broken into" not in page.title().replace(HOSTILE, "")
    assert page.locator("img").count() == 0
    assert page.complaints == []


def test_every_table_and_region_has_a_name_and_nothing_is_a_keyboard_trap(opened, report):
    page = opened(report)
    assert all(page.evaluate("[...document.querySelectorAll('table')].map(one => one.caption.textContent.length > 0)"))
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.tagName")
        )
    assert {"Timeline of all workers", "Flow graph", "Zoom in"} <= reached


def contrast(one, other):
    """The contrast ratio of two colours as the style sheet computes them."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
