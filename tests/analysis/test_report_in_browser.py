"""Reports in a real browser: every figure is drawn, and the page can be read and printed."""

import shutil

import pytest

from analysis.reporting import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
DRAWN = """() => [...document.querySelectorAll("figure.drawing")].every(figure => {
  const svg = figure.querySelector("svg.main-svg");
  const marks = figure.querySelectorAll(".plot .trace path, .plot .heatmaplayer image");
  return svg && svg.getBoundingClientRect().height > 100 && marks.length > 0; })"""
INK = """() => getComputedStyle(document.querySelector(".xtick text")).fill"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False
        )
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
def test_a_report_is_drawn_whole(browser, finished_run, tmp_path, width, scheme):
    path = write_report([finished_run], tmp_path / "report.html", quiet=True)
    size = {"width": width, "height": 900}
    page = browser.new_page(viewport=size, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url) if "http" in asked.url[:5] else None)
    page.goto(path.resolve().as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === '9'", timeout=90_000)
    assert said == []
    assert page.evaluate(DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bright = int(page.evaluate(INK).removeprefix("rgb(").split(",")[0])
    assert bright > 200 if scheme == "dark" else bright < 80
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(200)
    widths = page.evaluate("""() => [...document.querySelectorAll("svg.main-svg")].map(
        svg => svg.getBoundingClientRect().width)""")
    assert max(widths) <= 690
    assert page.evaluate(INK) == "rgb(0, 0, 0)"
    page.close()
