"""Rank all proxies on the benches of the zoo, by kind of network: ``python -m benchmarks.zoo``.

All configurations of each bench count. Below the proxies stands what an additive table comes to
that is fitted to the accuracies themselves (`benchmarks/ceilings.py`). Rows are kept as they are
measured, and a killed call goes on from them; the code is not part of what they are kept by.
"""

import json
import sys
from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmarks.ceilings import fitted_table_taus
from gp_emq.command import run_command
from gp_emq.correlation import FloatArray, KendallRanker, kendall_tau
from gp_emq.errors import BenchError
from gp_emq.files import atomic_write_text, read_document
from gp_emq.mqbench import load_bench
from gp_emq.networks.zoo import part_of
from gp_emq.networks.zoo._split import SEARCH, SPLIT, TEST, VALIDATION
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.proxies import Proxy
from gp_emq.proxies.handcrafted import DESCRIPTIONS, RANKING, handcrafted_proxy
from gp_emq.proxies.loading import shipped_proxy
from gp_emq.proxies.shipped import WHOLE, shipped_files
from gp_emq.ranking import RankedBench, score
from gp_emq.statistics import default_cache

FITTED = "fitted to the accuracies"
"""The row of what is no proxy."""

Taus = dict[str, tuple[float, float] | None]
"""By name of a proxy: tau at equal cost and over all pairs; None where it has no scores."""

BENCHES = (
    "plain-digits-rtn-channel",
    "excite-digits-rtn-bn-channel",
    "excite-digits-rtn-bn-tensor",
    "excite-digits-adaround-channel",
    "wide-digits-rtn-channel",
    "wide-digits-rtn-tensor",
    "wide-digits-adaround-channel",
    "excite-cifar10-rtn-bn-channel",
    "excite-cifar10-rtn-bn-tensor",
    "bottleneck-digits-rtn-bn-channel",
    "separable-digits-rtn-bn-channel",
    "narrow-digits-rtn-bn-channel",
    "plain-cifar10-rtn-channel",
    "bottleneck-cifar10-rtn-bn-channel",
    "separable-cifar10-rtn-bn-channel",
    "narrow-cifar10-rtn-bn-channel",
    "mixer-digits-rtn-channel",
    "mixer-digits-rtn-tensor",
    "grouped-digits-rtn-channel",
    "grouped-digits-rtn-tensor",
    "unnormed-digits-rtn-channel",
    "unnormed-digits-rtn-tensor",
    "plain-digits-rtn-tensor",
    "bottleneck-digits-rtn-bn-tensor",
    "separable-digits-rtn-bn-tensor",
    "narrow-digits-rtn-bn-tensor",
    "transformer-digits-rtn-channel",
    "transformer-digits-rtn-tensor",
    "transformer-digits-adaround-channel",
    "modern-digits-rtn-channel",
    "modern-digits-rtn-tensor",
    "modern-digits-adaround-channel",
    "dense-digits-rtn-bn-channel",
    "dense-digits-rtn-bn-tensor",
    "dense-digits-adaround-channel",
    "attentive-digits-rtn-bn-channel",
    "attentive-digits-rtn-bn-tensor",
    "attentive-digits-adaround-channel",
    "gated-digits-rtn-channel",
    "gated-digits-rtn-tensor",
    "gated-digits-adaround-channel",
    "branched-digits-rtn-bn-channel",
    "branched-digits-rtn-bn-tensor",
    "branched-digits-adaround-channel",
    "shuffled-digits-rtn-bn-channel",
    "shuffled-digits-rtn-bn-tensor",
    "shuffled-digits-adaround-channel",
    "axial-digits-rtn-channel",
    "axial-digits-rtn-tensor",
    "axial-digits-adaround-channel",
    "inverted-digits-rtn-bn-channel",
    "inverted-digits-rtn-bn-tensor",
    "inverted-digits-adaround-channel",
    "pooling-digits-rtn-channel",
    "pooling-digits-rtn-tensor",
    "pooling-digits-adaround-channel",
    "hourglass-digits-rtn-bn-channel",
    "hourglass-digits-rtn-bn-tensor",
    "hourglass-digits-adaround-channel",
    "token-digits-rtn-channel",
    "token-digits-rtn-tensor",
    "token-digits-adaround-channel",
    "recurrent-digits-rtn-channel",
    "recurrent-digits-rtn-tensor",
    "recurrent-digits-adaround-channel",
    "latent-digits-rtn-channel",
    "latent-digits-rtn-tensor",
    "latent-digits-adaround-channel",
    "dilated-digits-rtn-bn-channel",
    "dilated-digits-rtn-bn-tensor",
    "dilated-digits-adaround-channel",
    "multiscale-digits-rtn-bn-channel",
    "multiscale-digits-rtn-bn-tensor",
    "multiscale-digits-adaround-channel",
)
"""The default: what the formulas that ship were found on and chosen by, and test networks."""

PARTS = (SEARCH, VALIDATION, TEST)
TITLES = {SEARCH: "search", VALIDATION: "validation", TEST: "test"}


def proxies() -> dict[str, Proxy]:
    """Give every hand-made proxy and every formula that ships, by name."""
    hand_made = {name: handcrafted_proxy(name) for name in DESCRIPTIONS}
    return hand_made | {name: shipped_proxy(name) for name in shipped_files()}


def measure(name: str, candidates: dict[str, Proxy]) -> Taus:
    """Rank the configurations of a bench by each proxy, and by a table that is fitted to them."""
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    bench, inputs = target.bench, target.proxy_inputs()
    pairs = target.pairs_at_equal_size(target.indices("all"))
    equal = KendallRanker(bench.oriented, pairs)
    found: Taus = {FITTED: fitted_table_taus(bench.configurations, bench.oriented, pairs)}
    for proxy, candidate in candidates.items():
        scores = score(candidate, inputs, bench).scores
        found[proxy] = (
            None
            if scores is None
            else (float(equal.taus(scores[None])[0]), kendall_tau(scores, bench.oriented))
        )
    return found


def kind_of(network: str) -> str:
    """Give the kind of a network of the zoo: its name without the data it was trained on."""
    return network.partition("-")[0]


def table_of(rows: dict[str, Taus], place: int) -> list[str]:
    """Lay proxies against kinds of networks, and against what the networks are for.

    Args:
        rows: Taus of each bench.
        place: 0 for tau at equal cost, 1 for tau over all pairs.

    Returns:
        Lines of Markdown: means over all benches of a part, and over those of each kind; the
        mean of these, by which proxies are sorted, and the worst. A bench where a proxy has no
        scores counts as 0. What was fitted stands last.
    """
    networks = {bench: load_bench(bench).network for bench in rows}
    columns: list[tuple[str, list[str]]] = []
    for part in PARTS:
        members = [bench for bench in rows if part_of(networks[bench]) == part]
        if members:
            columns.append((f"**{TITLES[part]}** ({len(members)})", members))
        for kind in dict.fromkeys(kind_of(network) for network in SPLIT[part]):
            own = [bench for bench in members if kind_of(networks[bench]) == kind]
            if own:
                columns.append((f"{kind} ({len(own)})", own))
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    means = {name: [_mean(rows, name, own, place) for _, own in columns] for name in names}
    kinds = [index for index, (title, _) in enumerate(columns) if not title.startswith("**")]
    for row in means.values():
        found = [row[index] for index in kinds]
        row += [float(np.mean(found)), min(found)]
    titles = [*(title for title, _ in columns), "mean of kinds", "worst kind"]
    lines = ["| proxy | " + " | ".join(titles) + " |"]
    lines.append("|---|" + "---:|" * len(titles))
    fitted = means.pop(FITTED, None)
    for name in sorted(means, key=lambda name: -means[name][-2]):
        cells = [_cell(means, name, index) for index in range(len(titles))]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    if fitted:
        lines.append(f"| *{FITTED}* | " + " | ".join(f"{mean:.3f}" for mean in fitted) + " |")
    return lines


def differences_of(rows: dict[str, Taus], rival: str, place: int, best: int = 8) -> list[str]:
    """Say by how much proxies rank better than one of them, kind by kind of network.

    Args:
        rows: Taus of each bench.
        rival: Name of the proxy that others are compared to.
        place: 0 for tau at equal cost, 1 for tau over all pairs.
        best: How many proxies to show.

    Returns:
        Lines of Markdown: for each part, and for all, the mean over kinds of the difference, with
        its 95 % interval by Student's t over kinds; none for a single kind.
    """
    networks = {bench: load_bench(bench).network for bench in rows}
    by_part: dict[str, dict[str, list[str]]] = {}
    for bench, network in networks.items():
        for part in (TITLES.get(part_of(network), "other"), "all"):
            by_part.setdefault(part, {}).setdefault(kind_of(network), []).append(bench)
    parts = [part for part in (*TITLES.values(), "other", "all") if part in by_part]
    names = {name for row in rows.values() for name in row} - {FITTED, rival}
    found = {
        name: {
            part: np.array(
                [
                    _mean(rows, name, benches, place) - _mean(rows, rival, benches, place)
                    for benches in by_part[part].values()
                ]
            )
            for part in parts
        }
        for name in names
    }
    titles = [f"{part} ({len(by_part[part])} kinds)" for part in parts]
    lines = [f"| less `{rival}` | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for name in sorted(found, key=lambda name: -found[name]["all"].mean())[:best]:
        cells = [difference(found[name][part]) for part in parts]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


def difference(values: FloatArray) -> str:
    """Give the mean of differences, one of each kind, with its 95 % interval by Student's t."""
    mean = f"{values.mean():+.3f}"
    if len(values) < 2 or not np.ptp(values):
        return mean
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval()
    return f"{mean} [{low:+.3f}, {high:+.3f}]"


def _mean(rows: dict[str, Taus], name: str, benches: Sequence[str], place: int) -> float:
    found = [rows[bench].get(name) for bench in benches]
    return float(np.mean([0.0 if pair is None else pair[place] for pair in found]))


def _cell(means: dict[str, list[float]], name: str, index: int) -> str:
    best = max(values[index] for values in means.values())
    text = f"{means[name][index]:.3f}"
    return f"**{text}**" if means[name][index] == best else text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument(
        "bench",
        nargs="*",
        help=f"names (default: the {len(BENCHES)} of docs/benches.md)",
    )
    parser.add_argument("--rows", type=OutputFile(), required=True, metavar="FILE.json")
    parser.add_argument("--all-pairs", action="store_true", help="tau over all pairs instead")
    parser.add_argument(
        "--against",
        metavar="PROXY",
        help="say, too, by how much other proxies are better than this one, kind by kind",
    )
    parser.add_argument(
        "--proxies", nargs="+", metavar="PROXY",
        help="rank these alone (default: all that make a table)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    chosen = proxies()
    known: dict[str, Proxy] = {**chosen, **RANKING, **{one: shipped_proxy(one) for one in WHOLE}}
    for option, wanted in (("--against", [options.against]), ("--proxies", options.proxies or [])):
        for one in wanted:
            if one is not None and one not in known:
                parser.error(f"{option} names no proxy: {one!r}; see gp_emq.rank --list-proxies")
    if options.proxies is not None:
        named = dict.fromkeys([*options.proxies, options.against])
        chosen = {one: known[one] for one in named if one is not None}
    names = options.bench or BENCHES
    kept: dict[str, Taus] = {}
    if options.rows.exists():
        kept = read_document(options.rows, dict[str, Taus], BenchError, "the rows")
    for name in names:
        found = kept.setdefault(name, {})
        missing = {one: proxy for one, proxy in chosen.items() if one not in found}
        if missing or FITTED not in found:
            found |= measure(name, missing)
            atomic_write_text(options.rows, json.dumps(kept, indent=1))
            sys.stderr.write(f"{name}\n")
    shown = {*chosen, FITTED}
    rows = {name: {one: taus for one, taus in kept[name].items() if one in shown} for name in names}
    place = int(options.all_pairs)
    lines = table_of(rows, place)
    if options.against is not None:
        lines += ["", *differences_of(rows, options.against, place)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    run_command(main)
