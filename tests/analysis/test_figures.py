import importlib
import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from forked import Forked
from matplotlib.text import Text

import analysis
from analysis._command import styled
from analysis._style import svg_text
from analysis.convergence import plot_convergence
from analysis.correlation import plot_correlation
from analysis.genealogy import plot_genealogy
from gp_emq.errors import RunError
from gp_emq.store import RunStore

ROOT = Path(__file__).parents[2]
PLOTS = [plot_convergence, plot_genealogy, plot_correlation]
RESAMPLES, FEW = "analysis._agreement.RESAMPLES", 25
COMMANDS = ["convergence", "genealogy", "correlation", "report"]


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """The width of intervals is tested elsewhere; here they only have to be drawn."""
    monkeypatch.setattr(RESAMPLES, FEW)


@pytest.fixture(params=["finished_run", "young_run"])
def store(request):
    with RunStore.open(request.getfixturevalue(request.param), readonly=True) as store:
        yield store


@pytest.fixture(scope="module")
def drawn():
    """Draw what a plot makes of the store in a folder, once for all tests that only read it."""

    @cache
    def draw(plot, folder):
        with pytest.MonkeyPatch.context() as patched, RunStore.open(folder, readonly=True) as store:
            patched.setattr(RESAMPLES, FEW)
            return svg_text(styled(plot, store))

    return draw


def labels(tick):
    return tick.label1, tick.label2


def text_boxes(figure):
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    # Matplotlib keeps labels of ticks beyond the limits of an axis, undrawn.
    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    drawn = {label for axis in axes for tick in axis._update_ticks() for label in labels(tick)}
    ticks = {label for axis in axes for tick in axis.get_major_ticks() for label in labels(tick)}
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text not in ticks - drawn:
            box = text.get_window_extent(renderer)
            yield text.get_text(), box, text.get_rotation() % 90 == 0


@pytest.mark.parametrize("plot", PLOTS)
def test_texts_lie_on_the_page_and_apart(store, plot):
    figure = styled(plot, store)
    boxes = list(text_boxes(figure))
    width, height = figure.bbox.size
    for text, box, _ in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    upright = [(text, box) for text, box, is_upright in boxes if is_upright]
    for (one, a), (other, b) in combinations(upright, 2):
        overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(overlap) <= 1, f"{one!r} covers {other!r}"


@pytest.mark.parametrize("plot", PLOTS)
def test_a_figure_is_the_same_each_time(store, plot, drawn):
    first = drawn(plot, store.folder)
    assert first == svg_text(styled(plot, store))
    assert "<dc:date>" not in first
    ET.fromstring(first)  # noqa: S314 - our own


def test_all_figures_are_made_from_the_store_alone(finished_run, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "store.sqlite").write_bytes((finished_run / "store.sqlite").read_bytes())
    written = analysis.make_figures(folder, quiet=False)
    progress = capsys.readouterr().err
    assert all(name in progress for name in ("convergence", "genealogy", "correlation", "report"))
    names = {path.relative_to(folder / "figures").name for path in written}
    plots = {
        f"{n}.{e}" for n in ("convergence", "genealogy", "correlation") for e in ("png", "svg")
    }
    assert names == plots | {"report.html"}
    assert all(path.stat().st_size > 3000 for path in written)
    assert (folder / "figures" / "genealogy.png").read_bytes()[:4] == b"\x89PNG"


def test_the_random_search_is_drawn_beside_the_run(finished_run, young_run, drawn):
    assert "random search reaches" in drawn(plot_convergence, finished_run)
    assert "random search" not in drawn(plot_convergence, young_run)


def test_the_caption_says_what_was_left_out(finished_run, drawn):
    text = drawn(plot_genealogy, finished_run)
    with RunStore.open(finished_run, readonly=True) as store:
        total = len(store.ancestry(store.meta("summary")["best"]))
    assert f"of {total:,} individuals" in text


@pytest.mark.parametrize("plot", [plot_genealogy, plot_correlation])
def test_what_a_run_recommends_is_not_called_its_best(plot, finished_run, young_run, drawn):
    text = drawn(plot, finished_run)
    assert "ecommended formula" in text
    assert "est formula" not in text
    text = drawn(plot, young_run)
    assert "est formula so far" in text
    assert "ecommended" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_no_run_is_refused(command, tmp_path):
    with pytest.raises(RunError, match="is no run"):
        importlib.import_module(f"analysis.{command}").main([str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_that_is_no_run_gives_one_clear_line(tmp_path):
    command = Forked(["analysis.convergence", tmp_path])
    assert command.communicate() == (
        "", f"error: {tmp_path} is no run: it has no store.sqlite\n"
    )  # fmt: skip
    assert command.returncode == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_write_where_they_are_told(command, finished_run, tmp_path, capsys):
    out = tmp_path / ("page.html" if command == "report" else "elsewhere")
    main = importlib.import_module(f"analysis.{command}").main
    assert main([str(finished_run), "--out", str(out)]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    expected = [out] if command == "report" else [out / f"{command}.{e}" for e in ("png", "svg")]
    assert printed == expected
    assert all(path.is_file() for path in printed)


def test_a_run_without_a_generation_says_so(tmp_path):
    arrays = {
        "configurations": np.array([[2, 3], [3, 2]], dtype=np.int8),
        "accuracies": np.array([0.5, 0.6]),
        "split": np.array([0, 2], dtype=np.int8),
        "bits": np.array([2, 3], dtype=np.int8),
    }
    with RunStore.create(tmp_path, {"bench": {"name": "tiny"}}, arrays) as store:
        with pytest.raises(RunError, match="has not completed a generation"):
            plot_convergence(store)
        with pytest.raises(RunError, match="has evaluated nothing yet"):
            plot_genealogy(store)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("split", np.zeros(3, dtype=np.int8), "do not fit"),
        ("bits", np.array([2, 8], dtype=np.int8), "other bits"),
    ],
)
def test_a_bench_that_does_not_fit_gives_one_clear_line(tmp_path, name, array, message):
    arrays = {
        "configurations": np.array([[2, 3], [3, 2]], dtype=np.int8),
        "accuracies": np.array([0.5, 0.6]),
        "split": np.array([0, 2], dtype=np.int8),
        "bits": np.array([2, 3], dtype=np.int8),
        name: array,
    }
    with (
        RunStore.create(tmp_path, {"bench": {"name": "tiny"}}, arrays) as store,
        pytest.raises(RunError, match=message),
    ):
        plot_correlation(store)


def test_a_figure_that_cannot_be_written_gives_one_clear_line(finished_run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write figures"):
        analysis.make_figures(finished_run, tmp_path / "file" / "figures")


def test_the_package_offers_what_it_lists():
    assert all(callable(getattr(analysis, name)) for name in analysis.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = analysis.nonsense
