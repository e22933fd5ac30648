"""Figures of rankings and benches: a legend, and no text over data, lines or other text."""

from dataclasses import replace
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from analysis import _style as style
from analysis.bench import plot_bench
from analysis.ranking import plot_bars, plot_scores
from gp_emq.mqbench import load_bench, model_sizes
from gp_emq.proxies.loading import expression_proxy, load_proxy
from gp_emq.ranking import RankedBench, Ranking, RankOptions, rank

LONG = "a-name-so-long-that-it-has-to-be-cut-somewhere"
NAMES = ("sum_of_bits", "bparams", "relative_output_error", "mse", "plain", "snip", "sqnr")


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> Ranking:
    cache = tmp_path_factory.mktemp("statistics")
    target = RankedBench.load("digits", weights=None, data=[], cache=cache)
    proxies = [*map(load_proxy, NAMES), expression_proxy(f"{LONG}=bits")]
    return rank(target, proxies, RankOptions(resamples=20))


def texts(figure) -> list[Text]:
    """Give the texts that are drawn: matplotlib keeps labels of ticks beyond an axis as well."""
    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    drawn = {id(label) for axis in axes for tick in axis._update_ticks()
             for label in (tick.label1, tick.label2)}  # fmt: skip
    ticks = {id(label) for axis in axes for tick in axis.get_major_ticks()
             for label in (tick.label1, tick.label2)}  # fmt: skip
    return [
        text for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in ticks - drawn
    ]  # fmt: skip


def boxes(figure) -> list[tuple[str, mpl.transforms.Bbox]]:
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts(figure)]


def apart(a: mpl.transforms.Bbox, b: mpl.transforms.Bbox) -> bool:
    return min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)) <= 1


def assert_readable(figure) -> None:
    width, height = figure.bbox.size
    found = boxes(figure)
    for text, box in found:
        assert 0 <= box.x0 <= box.x1 <= width, text
        assert 0 <= box.y0 <= box.y1 <= height, text
    for (one, a), (other, b) in combinations(found, 2):
        assert apart(a, b), f"{one!r} covers {other!r}"


def of_ceilings(ranking: Ranking, noise: float, additive: float) -> Ranking:
    quality = replace(ranking.quality, noise_ceiling=noise, additive_ceiling=additive)
    return replace(ranking, quality=quality)


@pytest.mark.parametrize(
    ("noise", "additive"),
    [(0.975, 0.861), (0.97, 0.96), (0.6, 0.62), (0.9, float("nan")), (0.3, -0.1), (0.8, 0.8)],
)
def test_bars_and_their_ceilings_are_readable(ranking, noise, additive) -> None:
    with mpl.rc_context(style.STYLE):
        figure = plot_bars(of_ceilings(ranking, noise, additive))
    assert_readable(figure)
    (axes,) = figure.axes
    renderer = figure.canvas.get_renderer()
    bars = [bar.get_window_extent(renderer) for bar in axes.patches if isinstance(bar, Rectangle)]
    assert len(bars) == len(ranking.rows)
    lines = [line.get_window_extent(renderer) for line in axes.lines]
    for text, box in boxes(figure):
        assert all(apart(box, bar) for bar in bars), text
        assert not any(box.x0 < line.x0 < box.x1 and line.y0 < box.y1 and box.y0 < line.y1
                       for line in lines if line.width < 1), text  # fmt: skip


@pytest.mark.parametrize("plot", [plot_bars, plot_scores])
def test_each_colour_is_in_the_legend(ranking, plot) -> None:
    with mpl.rc_context(style.STYLE):
        figure = plot(ranking)
    assert_readable(figure)
    (legend,) = figure.legends
    named = {text.get_text() for text in legend.get_texts()}
    assert named == {row.proxy.family for row in ranking.rows}
    window = legend.get_window_extent()
    assert all(apart(window, axes.get_window_extent()) for axes in figure.axes)


def test_a_name_is_cut_where_there_is_no_room(ranking) -> None:
    with mpl.rc_context(style.STYLE):
        for figure in (plot_bars(ranking), plot_scores(ranking)):
            names = [text for text, _ in boxes(figure) if text.startswith("a-n")]
            assert len(names) == 1
            assert "…" in names[0]


def test_a_bench_of_a_long_name_has_a_title(ranking) -> None:
    long = replace(ranking, bench="a-bench-" + "M" * 60)
    with mpl.rc_context(style.STYLE):
        assert_readable(plot_bars(long))
        assert_readable(plot_scores(long))


def test_one_proxy_alone_can_be_drawn(ranking) -> None:
    alone = replace(ranking, rows=ranking.rows[:1])
    with mpl.rc_context(style.STYLE):
        assert_readable(plot_bars(alone))
        assert_readable(plot_scores(alone))


@pytest.mark.parametrize("kind", ["share", "loss", "long name", "no float network"])
def test_a_bench_is_readable(kind) -> None:
    bench = load_bench("digits")
    sizes = model_sizes(bench)
    if kind == "loss":
        bench = replace(bench, metric="mean squared error of all samples", correct=None)
    if kind == "long name":
        bench = replace(bench, name=LONG)
    if kind == "no float network":
        bench = replace(bench, provenance={})
    with mpl.rc_context(style.STYLE):
        figure = plot_bench(bench, sizes)
    assert_readable(figure)
    assert bool(figure.legends) == (kind != "no float network")
    (points,) = figure.axes[0].collections
    np.testing.assert_allclose(points.get_offsets()[:, 1], bench.accuracies)
