"""Reports in a real browser: every figure is drawn, and the page can be read and printed."""

import struct

import pytest

from analysis.reporting import write_report
from benchmarks import picture
from gp_emq.store import RunStore

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(picture.chromium() is None, reason="there is no chromium"),
]
DRAWN = """() => [...document.querySelectorAll("figure.drawing")].every(figure => {
  const svg = figure.querySelector("svg.main-svg");
  const marks = figure.querySelectorAll(".plot .trace path, .plot .heatmaplayer image");
  return svg && svg.getBoundingClientRect().height > 100 && marks.length > 0; })"""
INK = """() => getComputedStyle(document.querySelector(".xtick text")).fill"""

# Where the point of a figure lies whose hover text has some words in it, in pixels of the window.
PLACE_OF = """([name, words]) => {
  const plot = document.querySelector(`#${name} .plot`);
  const full = plot._fullLayout;
  for (const trace of plot._fullData) {
    const place = (trace.text || []).findIndex(text => text.includes(words));
    if (place < 0) continue;
    const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
    return [box.x + full.xaxis.d2p(trace.x[place]), box.y + full.yaxis.d2p(trace.y[place])];
  } }"""
RANGE = """() => document.querySelector("#front .plot")._fullLayout.xaxis.range.map(Number)"""
CHANGED = """before => {
  const range = document.querySelector("#front .plot")._fullLayout.xaxis.range;
  return Math.abs(range[0] - before[0]) + Math.abs(range[1] - before[1]) > 1e-6; }"""


@pytest.fixture(scope="module")
def browser():
    with picture.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(finished_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report([finished_run], path, quiet=True)
    return path


@pytest.fixture(scope="module", params=[(400, "dark"), (1400, "light")], ids=str)
def page(request, browser, report):
    """The report of a run in a window of some width; `said` is what it complains of."""
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda asked: page.said.append(asked.url) if "http" in asked.url[:5] else 0)
    picture.open_report(page, report)
    page.width, page.scheme = width, scheme
    yield page
    page.close()


def test_a_report_is_drawn_whole(page):
    assert page.said == []
    assert page.evaluate("document.documentElement.dataset.drawn") == "9"
    assert page.evaluate(DRAWN)
    bright = int(page.evaluate(INK).removeprefix("rgb(").split(",")[0])
    assert bright > 200 if page.scheme == "dark" else bright < 80


def test_roots_are_as_tall_as_what_is_under_them(page):
    """Browsers stretch them by a font that has tables for it, and leave them small without one."""
    fonts = page.evaluate("getComputedStyle(document.querySelector('.formula math')).fontFamily")
    assert '"DejaVu Math TeX Gyre"' in fonts
    assert fonts.endswith(", math")


def test_nothing_has_to_be_moved_sideways_to_be_read(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= page.width
    too_wide = page.evaluate("""() => [...document.querySelectorAll(".wide")]
        .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth)
        .map(one => one.textContent.slice(0, 40))""")
    assert too_wide == []


def test_hovering_shows_formulas_and_their_parents(page, finished_run):
    with RunStore.open(finished_run, readonly=True) as store:
        chosen = store.individual(store.meta("summary")["best"])
    for figure in ("front", "pedigree"):
        page.locator(f"#{figure} .plot").scroll_into_view_if_needed()
        x, y = page.evaluate(PLACE_OF, [figure, f"#{chosen.id}<"])
        page.mouse.move(x - 2, y - 2)
        page.mouse.move(x, y)
        label = page.locator(f"#{figure} .hoverlayer .hovertext").first
        label.wait_for(timeout=10_000)
        said = label.text_content()
        assert f"#{chosen.id}" in said
        assert chosen.expression[:30] in said
        if figure == "pedigree":
            assert all(f"parent #{parent}" in said for parent in chosen.parents)


def test_dragging_over_the_front_zooms_and_two_clicks_zoom_back(page):
    page.locator("#front .plot").scroll_into_view_if_needed()
    before = page.evaluate(RANGE)
    box = page.locator("#front .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.75, steps=4)
    page.mouse.up()
    page.wait_for_function(CHANGED, arg=before)
    after = page.evaluate(RANGE)
    share = (after[1] - after[0]) / (before[1] - before[0])
    assert share == pytest.approx(0.5, abs=0.02)
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function(CHANGED, arg=after)
    assert page.evaluate(RANGE) == pytest.approx(before)
    assert page.said == []


def test_a_printed_report_fits_its_paper_and_hides_nothing(page):
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(200)
    widths = page.evaluate("""() => [...document.querySelectorAll("svg.main-svg")].map(
        svg => svg.getBoundingClientRect().width)""")
    assert max(widths) <= 690
    assert page.evaluate(INK) == "rgb(0, 0, 0)"
    closed = "document.querySelectorAll('details:not([open])').length"
    assert page.evaluate(closed) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(closed) > 0


def test_a_picture_shows_four_figures_of_a_report(browser, report):
    taken = picture.take_picture(browser, report)
    assert taken[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", taken[16:24])
    assert width == picture.WIDTH
    assert 1000 < height < 2000
    assert 50_000 < len(taken) < 500_000
