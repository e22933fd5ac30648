"""Do layers' harms add up? ``python -m benchmarks.interactions``.

With ``D(b)`` the divergence of the network's outputs where one entry alone has ``b`` bits, and
``I(b, c)`` what two entries make beyond what both make alone, configurations are ranked by

    Σ D(b),   Σ D(b) + Σ I(lowest, lowest) · a(b) a(c) over pairs, a(b) = √(D(b) / D(lowest)),
    and   Σ D(b) + Σ I(b, c),

over all pairs, or those of neighbours in forward order; the last also with all other entries at the
middle width in place of float. Then by ``gp-measured`` plus a multiple of each sum over pairs, the
multiple chosen on half of the configurations for the rank on the other half. The idea of pairwise
terms is CLADO's (Deng et al., Mixed-precision quantization with cross-layer dependencies, 2023).
One forward pass over the calibration images for a pair at two widths; batch norms take the
statistics of the images where the bench's recipe re-estimates them. Rows are kept, and a killed
call goes on from them.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.ceilings import fitted_table_taus
from gp_emq.command import run_command
from gp_emq.correlation import FloatArray, KendallRanker, PairMask
from gp_emq.errors import BenchError
from gp_emq.files import atomic_write_text, read_document
from gp_emq.networks import in_double, undisturbed
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import shipped_proxy
from gp_emq.quantization import batch_norms
from gp_emq.ranking import RankedBench, score
from gp_emq.statistics import default_cache
from gp_emq.statistics._context import Context
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
ALONE = ("additive", "neighbours", "all pairs", "each width", "at the middle")
BESIDE = tuple(f"+ {way}" for way in ALONE[1:])
WAYS = (*ALONE, "gp-measured", *BESIDE, "fitted")
MULTIPLES = (0.0, *(0.1 * 2.0**power for power in range(7)))
"""Of a sum over pairs, whose standard deviation is made that of the proxy's scores."""
HALVES = 20
Found = dict[str, float]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Divergences:
    """What entries make of the outputs, each alone and two at a time.

    Attributes:
        single: Of one entry at a width, (entries, bits).
        pairs: Beyond both alone, (entries, bits, entries, bits), symmetric; 0 within an entry.
    """

    single: FloatArray
    pairs: FloatArray


def divergences(context: Context, base: int | None = None) -> Divergences:
    """Measure entries alone, and pairs of them, at each width.

    Args:
        context: Of the statistics of a network.
        base: Place among the bits of the width that all other entries have; None for float.
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
        weights: list[Tensor] = []
        for weight, change, entry in zip(plain, moved, entries, strict=True):
            place = places.get(entry, base)
            weights.append(weight if place is None else weight + change[place])
        total = 0.0
        for (samples, _), reference in zip(batch.chunks(), before, strict=True):
            outputs = in_double(network.outputs(weights, samples))
            total += float(workload.divergence(reference, outputs, len(samples)))
        return total / len(batch)

    with undisturbed(), torch.no_grad(), by_their_own_statistics(norms):
        before = [in_double(network.outputs(plain, samples)) for samples, _ in batch.chunks()]
        start = divergence({})
        options = [(entry, width) for entry in range(count) for width in range(widths)]
        single = np.array([divergence({entry: width}) - start for entry, width in options])
        pairs = np.zeros((len(options), len(options)))
        for row, (one, at_one) in enumerate(options):
            for column, (other, at_other) in enumerate(options[: one * widths]):
                both = divergence({one: at_one, other: at_other}) - start
                pairs[row, column] = pairs[column, row] = both - single[row] - single[column]
    return Divergences(single.reshape(count, widths), pairs.reshape(count, widths, count, widths))


def harms(found: Divergences, middle: Divergences, places: Places) -> dict[str, FloatArray]:
    """Predict the divergence of configurations.

    Args:
        found: Around the float network.
        middle: Around the network with all entries at the middle width.
        places: Of each entry's width among the bits, (n, entries).

    Returns:
        By `ALONE`, (n,).
    """
    single, lowest_pairs = found.single, found.pairs[:, 0, :, 0]
    entries = np.arange(len(single))
    positive = np.maximum(single, 0)
    lowest = np.maximum(positive[:, :1], np.finfo(float).tiny)
    amplitudes = np.sqrt(positive / lowest)[entries, places]
    near = lowest_pairs * (np.abs(entries[:, None] - entries) == 1)
    carried = [
        np.einsum("ni,ij,nj->n", amplitudes, one, amplitudes) / 2 for one in (near, lowest_pairs)
    ]

    def of(one: Divergences) -> tuple[FloatArray, FloatArray]:
        picked = one.pairs[entries[:, None], places[:, :, None], entries, places[:, None, :]]
        return one.single[entries, places].sum(axis=1), picked.sum(axis=(1, 2)) / 2

    (additive, together), (around, beyond) = of(found), of(middle)
    sums = (additive, additive + carried[0], additive + carried[1], additive + together)
    return dict(zip(ALONE, (*sums, around + beyond), strict=True))


def beside(scores: FloatArray, pairs: FloatArray, values: FloatArray, equal: PairMask) -> float:
    """Rank by scores less a multiple of a sum over pairs that half of the configurations choose.

    Args:
        scores: Of a proxy, higher is better, (n,).
        pairs: Harm that pairs add, (n,).
        values: What was measured, higher is better, (n,).
        equal: Which pairs of configurations are of equal cost, (n, n).

    Returns:
        Mean tau at equal cost on the other halves.
    """
    deviation = float(pairs.std())
    unit = float(scores.std()) / deviation if deviation > 0 else 0.0
    tried = np.stack([scores - multiple * unit * pairs for multiple in MULTIPLES])
    taus = []
    for seed in range(HALVES):
        order = np.random.default_rng(seed).permutation(len(values))
        one, other = order[: len(order) // 2], order[len(order) // 2 :]
        fit, held = (
            KendallRanker(values[half], equal[np.ix_(half, half)]).taus(tried[:, half])
            for half in (one, other)
        )
        taus.append(float(held[int(np.argmax(fit))]))
    return float(np.mean(taus))


def shares(found: Divergences, bits: Sequence[int]) -> Found:
    """Say how much pairs add, as a share of what their two entries make alone.

    Args:
        found: Around the float network.
        bits: The widths.

    Returns:
        Sums over all pairs of entries, by the width of both, as `"share at 2"`.
    """
    away = 1 - np.eye(len(found.single))
    rows: Found = {}
    for place, width in enumerate(bits):
        alone = found.single[:, place]
        sums = float(((alone[:, None] + alone) * away).sum())
        together = float(found.pairs[:, place, :, place].sum())
        rows[f"share at {width}"] = together / sums if sums > 0 else 0.0
    return rows


def measure(name: str) -> Found:
    """Rank a bench each way: tau at equal cost over all its configurations."""
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    bench, inputs = target.bench, target.proxy_inputs()
    pairs = target.pairs_at_equal_size(target.indices("all"))
    values = np.asarray(bench.oriented, dtype=np.float64)
    ranker = KendallRanker(values, pairs)
    places = np.searchsorted(np.asarray(bench.bits), bench.configurations)
    context = cast("Any", inputs.statistics._source)._context
    around = divergences(context)
    predicted = harms(around, divergences(context, len(bench.bits) // 2), places)
    rows = {way: float(ranker.taus(-harm[None])[0]) for way, harm in predicted.items()}
    scores = score(shipped_proxy("gp-measured"), inputs, bench).scores
    if scores is None:
        raise BenchError(f"gp-measured has no finite scores on {name}")
    rows["gp-measured"] = float(ranker.taus(scores[None])[0])
    for way in ALONE[1:]:
        # Around the middle the sum of single entries is another one, and belongs to the terms.
        added = predicted[way] - (0 if way == ALONE[-1] else predicted[ALONE[0]])
        rows[f"+ {way}"] = beside(scores, added, values, pairs)
    rows["fitted"] = fitted_table_taus(bench.configurations, values, pairs)[0]
    rows["entries"] = len(around.single)
    return {**rows, **shares(around, bench.bits)}


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
