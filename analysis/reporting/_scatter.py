"""Scores of a run's formula against what was measured, bench by bench."""

from analysis._run_data import TEST, TOP_1, TRAINING, VALIDATION, BenchData
from analysis.reporting import _drawing as look
from analysis.reporting._agreements import agreement_on, chosen_scores
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._source import RunSource

_LOOKS = (
    ("training", TRAINING, look.GREY, "circle-open", 0.7),
    ("validation", VALIDATION, look.VERMILION, "diamond", 0.75),
    ("test", TEST, look.BLUE, "circle", 0.85),
)


def draw_scatter(run: RunSource, bench: BenchData, name: str) -> Drawing:
    """Draw the scores of the chosen formula against measured accuracy."""
    scores = chosen_scores(run, bench)
    spread = scores.std()
    x = (scores - scores.mean()) / (spread if spread > 0 else 1.0)
    top_1 = bench.metric == TOP_1
    y = bench.accuracies * (100 if top_1 else 1)
    sizes = bench.sizes
    traces: list[Trace] = []
    for label, part, colour, symbol, opacity in _LOOKS:
        chosen = bench.part(part)
        if not len(chosen):
            continue
        texts = []
        for place in chosen:
            bits = " ".join(map(str, bench.configurations[place]))
            size = "" if sizes is None else f"<br>{sizes[place]:.4g} MiB"
            texts.append(f"{look.wrapped(bits, 40)}{size}")
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": f"{label} ({len(chosen)})",
                "x": numbers(x[chosen]), "y": numbers(y[chosen]), "text": texts,
                "marker": {"color": colour, "symbol": symbol, "size": 7, "opacity": opacity},
                "hovertemplate": "%{y:.2f}<br>bits %{text}<extra></extra>",
            }
        )  # fmt: skip
    test = agreement_on(scores, bench, "test").overall
    found = f"test τ {test}" if test.known else "no τ on the test configurations"
    unit = "measured top-1" if top_1 else f"measured {bench.metric}, higher is better"
    layout = {
        "xaxis": axis("score (standardised)"),
        "yaxis": axis(unit, ticksuffix=" %" if top_1 else ""),
    }
    note = (
        f"Each point is a bit configuration, scored by the {run.what}; the search saw the training "
        "ones alone. Kendall τ with bootstrap 95 % interval."
    )
    return Drawing(f"{name}-{bench.place}", f"{bench.name}: {found}", note, traces, layout,
                   height=380, tall=400, narrow=True)  # fmt: skip
