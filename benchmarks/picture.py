"""Make a picture of the report of a run: ``python -m benchmarks.picture RUN``.

A Chromium that is on the path draws the page; of its figures four are taken, side by side.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.reporting import write_report
from gp_emq.command import run_command
from gp_emq.errors import GpEmqError
from gp_emq.files import atomic_write_bytes
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOWN = ("course", "scatter-0", "front", "pedigree")
WIDTH = 1180
_FLAGS = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
          "--disable-background-networking", "--disable-component-update")  # fmt: skip
_TAKE = """names => {
  const grid = document.createElement("div");
  grid.className = "figures";
  for (const name of names) {
    const figure = document.getElementById(name);
    figure.classList.add("narrow");
    grid.append(figure);
  }
  const kept = [...document.querySelectorAll("h1, .lead, .formula")].slice(0, 3);
  document.body.replaceChildren(...kept, grid);
  dispatchEvent(new Event("resize")); }"""
_FITTED = """() => [...document.querySelectorAll(".plot")].every(plot =>
  Math.abs(plot.clientWidth - plot.querySelector(".main-svg").clientWidth) < 2)"""
"""Whether every figure has the width of its place."""


def chromium() -> str | None:
    """Where a Chromium is, None without one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser() -> Iterator["Browser"]:
    """A browser without a window.

    Raises:
        GpEmqError: There is none, or playwright is missing.
    """
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the test extra
    except ImportError as error:
        raise GpEmqError("playwright is missing: pip install 'gp_emq[test]'") from error
    path = chromium()
    if path is None:
        raise GpEmqError("there is no chromium on the path")
    with sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=path, args=list(_FLAGS), chromium_sandbox=False
        )
        yield opened
        opened.close()


def open_report(page: "Page", path: Path) -> None:
    """Open a report, and wait until all of its figures are drawn."""
    page.goto(path.resolve().as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn", timeout=90_000)


def take_picture(opened: "Browser", report: Path) -> bytes:
    """Give a picture of the formula and four figures of a report, as PNG.

    Args:
        opened: The browser.
        report: The page.
    """
    page = opened.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
    open_report(page, report)
    page.evaluate(_TAKE, list(SHOWN))
    page.wait_for_function(_FITTED, timeout=30_000)
    taken = page.screenshot(full_page=True)
    page.close()
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.picture", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--out", type=OutputFile((".png",)), default=Path("docs/images/report.png"),
        help="the picture (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, browser() as opened:
        report = write_report([options.run], Path(folder) / "report.html", quiet=True)
        atomic_write_bytes(options.out, take_picture(opened, report))
    sys.stdout.write(f"{options.out}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
