"""Do layers' harms add up? ``python -m benchmarks.interactions``.

With ``D(b)`` the divergence of the network's outputs where one entry alone has ``b`` bits, and
``I`` what two entries at the lowest width make beyond what both make alone, configurations are
ranked by

    Σ D(b)   and   Σ D(b) + Σ I · a(b) a(c) over pairs,   a(b) = √(D(b) / D(lowest)),

all pairs, or those of neighbours in forward order. The idea of pairwise terms is CLADO's (Deng et
al., Mixed-precision quantization with cross-layer dependencies, 2023). One forward pass over the
calibration images a pair; batch norms take the statistics of the images where the bench's recipe
re-estimates them. Rows are kept, and a killed call goes on from them.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.ceilings import fitted_table_taus
from gp_emq.command import run_command
from gp_emq.correlation import FloatArray, KendallRanker
from gp_emq.errors import BenchError
from gp_emq.files import atomic_write_text, read_document
from gp_emq.networks import undisturbed
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import shipped_proxy
from gp_emq.quantization import batch_norms
from gp_emq.ranking import RankedBench, score
from gp_emq.statistics import default_cache
from gp_emq.statistics._context import Context
from gp_emq.statistics._divergence import in_double
from gp_emq.statistics._renormed import by_their_own_statistics

BENCHES = (
    "wide-digits-rtn-channel", "wide-digits-rtn-tensor", "wide-digits-adaround-channel",
    "plain-digits-rtn-channel", "plain-digits-rtn-tensor", "mixer-digits-rtn-channel",
    "gated-digits-rtn-channel", "unnormed-digits-rtn-channel", "axial-digits-rtn-channel",
    "separable-digits-rtn-bn-channel", "attentive-digits-rtn-bn-channel",
    "branched-digits-rtn-bn-channel", "bottleneck-digits-rtn-bn-channel",
    "attentive-digits-adaround-channel", "gated-digits-adaround-channel",
)  # fmt: skip
"""Of networks of the search and of validation."""
WAYS = ("additive", "neighbours", "all pairs", "gp-measured", "fitted")
Found = dict[str, float]


def divergences(context: Context) -> tuple[FloatArray, FloatArray]:
    """Measure entries alone at each width, and pairs of them at the lowest.

    Args:
        context: Of the statistics of a network.

    Returns:
        (entries, bits), and what pairs make beyond both alone, (entries, entries), symmetric.
    """
    network, moved = context.network, context.own_perturbations()
    entries = [layer.entry for layer in network.weight_layers]
    count, widths = 1 + max(entries), len(moved[0])
    norms = batch_norms(network.network.model) if context.settings.renormed else []
    plain = network.weights()
    workload, batch = network.workload, context.batch
    if norms:
        batch = batch.in_even_chunks(len(batch))

    def divergence(places: dict[int, int]) -> float:
        weights: list[Tensor] = [
            weight + change[places[entry]] if entry in places else weight
            for weight, change, entry in zip(plain, moved, entries, strict=True)
        ]
        total = 0.0
        for (samples, _), reference in zip(batch.chunks(), before, strict=True):
            outputs = in_double(network.outputs(weights, samples))
            total += float(workload.divergence(reference, outputs, len(samples)))
        return total / len(batch)

    with undisturbed(), torch.no_grad(), by_their_own_statistics(norms):
        before = [in_double(network.outputs(plain, samples)) for samples, _ in batch.chunks()]
        single = np.array(
            [[divergence({entry: width}) for width in range(widths)] for entry in range(count)]
        )
        pairs = np.zeros((count, count))
        for one in range(count):
            for other in range(one):
                both = divergence({one: 0, other: 0})
                pairs[one, other] = pairs[other, one] = both - single[one, 0] - single[other, 0]
    return single, pairs


def harms(
    single: FloatArray, pairs: FloatArray, places: "np.ndarray[tuple[int, int], np.dtype[np.intp]]"
) -> dict[str, FloatArray]:
    """Predict the divergence of configurations.

    Args:
        single: Of entries alone, (entries, bits).
        pairs: Beyond both alone, at the lowest width, (entries, entries).
        places: Of each entry's width among the bits, (n, entries).

    Returns:
        By `WAYS`, (n,).
    """
    entries = np.arange(len(single))
    positive = np.maximum(single, 0)
    lowest = np.maximum(positive[:, :1], np.finfo(float).tiny)
    amplitudes = np.sqrt(positive / lowest)[entries, places]
    additive = single[entries, places].sum(axis=1)
    near = pairs * (np.abs(entries[:, None] - entries) == 1)
    together = [np.einsum("ni,ij,nj->n", amplitudes, one, amplitudes) / 2 for one in (near, pairs)]
    return {
        "additive": additive,
        "neighbours": additive + together[0],
        "all pairs": additive + together[1],
    }


def measure(name: str) -> Found:
    """Rank a bench each way: tau at equal cost over all its configurations."""
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    bench, inputs = target.bench, target.proxy_inputs()
    pairs = target.pairs_at_equal_size(target.indices("all"))
    values = np.asarray(bench.oriented, dtype=np.float64)
    ranker = KendallRanker(values, pairs)
    places = np.searchsorted(np.asarray(bench.bits), bench.configurations)
    single, together = divergences(cast("Any", inputs.statistics._source)._context)
    found = {
        way: float(ranker.taus(-harm[None])[0])
        for way, harm in harms(single, together, places).items()
    }
    scores = score(shipped_proxy("gp-measured"), inputs, bench).scores
    found["gp-measured"] = 0.0 if scores is None else float(ranker.taus(scores[None])[0])
    found["fitted"] = fitted_table_taus(bench.configurations, values, pairs)[0]
    found["entries"] = len(single)
    return found


def table_of(rows: dict[str, Found]) -> list[str]:
    """Lay benches against ways, in Markdown."""
    lines = ["| bench | entries | " + " | ".join(WAYS) + " |", "|---|" + "---:|" * (len(WAYS) + 1)]
    for name, row in rows.items():
        cells = " | ".join(f"{row[way]:.3f}" for way in WAYS)
        lines.append(f"| `{name}` | {row['entries']:.0f} | {cells} |")
    means = " | ".join(f"{np.mean([row[way] for row in rows.values()]):.3f}" for way in WAYS)
    return [*lines, f"| mean | | {means} |"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.interactions", description=__doc__)
    parser.add_argument("bench", nargs="*", help=f"names (default: {' '.join(BENCHES)})")
    parser.add_argument("--rows", type=OutputFile(), required=True, metavar="FILE.json")
    options = parser.parse_args(arguments)
    kept: dict[str, Found] = {}
    if options.rows.exists():
        kept = read_document(options.rows, dict[str, Found], BenchError, "the rows")
    names = options.bench or BENCHES
    for name in tqdm(names, unit="bench", leave=False, disable=not sys.stderr.isatty()):
        if name not in kept:
            kept[name] = measure(name)
            atomic_write_text(options.rows, json.dumps(kept, indent=1))
    sys.stdout.writelines(f"{line}\n" for line in table_of({name: kept[name] for name in names}))
    return 0


if __name__ == "__main__":
    run_command(main)
