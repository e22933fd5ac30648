"""Many benches side by side, as a Markdown table."""

from collections.abc import Sequence

from gp_emq.correlation import kendall_tau
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._origin import origin_of
from gp_emq.mqbench._quality import bench_quality

_COLUMNS = (
    "bench", "protocol", "configurations, widths", "test images", "accuracy: mean, range",
    "spread", "sampling error", "reliability", "noise ceiling", "additive ceiling", "Σ bits",
    "processor seconds per configuration",
)  # fmt: skip


def overview(benches: Sequence[Bench]) -> str:
    """Return what benches hold and what they can tell, a row for each."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_row, benches)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(bench: Bench) -> tuple[str, ...]:
    quality, made = bench_quality(bench), origin_of(bench)
    weights = None if made is None else made.protocol.weights
    scales = "" if weights is None or not weights.per_channel else f", per {weights.granularity}"
    repeated, groups = bench.images // bench.groups, f"{bench.groups:,}"
    low, high = 100 * float(bench.accuracies.min()), 100 * float(bench.accuracies.max())
    seconds = bench.provenance.get("processor_seconds")
    sums = bench.configurations.sum(axis=1, dtype=float)

    def told(name: str, value: float | None) -> str:
        return "–" if value is None or name in quality.undefined else f"{value:.3f}"

    return (
        f"`{bench.name}`",
        f"`{bench.protocol}`{scales}",
        f"{len(bench.split)}, {{{', '.join(map(str, bench.bits))}}}",
        f"{repeated} × {groups}" if repeated > 1 else groups,
        f"{100 * quality.mean:.1f} %, {low:.1f} to {high:.1f}",
        f"{100 * quality.spread:.2f} %",
        f"{100 * quality.sampling_error:.2f} %",
        told("reliability", quality.reliability),
        told("noise_ceiling", quality.noise_ceiling),
        told("additive_ceiling", quality.additive_ceiling),
        f"{kendall_tau(sums, bench.oriented):.2f}",
        f"{seconds:.2f}" if isinstance(seconds, float) else "–",
    )
