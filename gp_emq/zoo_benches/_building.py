"""Building benches whose configurations lie where plans lie."""

from pathlib import Path

from gp_emq.farm import FarmSettings
from gp_emq.mqbench import (
    Bench,
    MeasurementSettings,
    Selection,
    build_bench,
    inputs_of,
    read_bench,
)
from gp_emq.zoo_benches._plans import known_proxies, proxy_tables
from gp_emq.zoo_benches._roster import CONFIGURATIONS, ZooBench
from gp_emq.zoo_benches._selecting import select_configurations


def plan_selection(settings: MeasurementSettings, count: int, cache: Path | None) -> Selection:
    """Choose configurations of a bench to be; see `select_configurations`.

    Args:
        settings: What is measured and how.
        count: How many configurations.
        cache: Folder that keeps statistics and tables, or None.

    Raises:
        GpEmqError: Network, weights or images are missing or do not fit.
    """
    inputs = inputs_of(settings)
    layers = inputs.network.layers
    divided = inputs.divided(settings.protocol.calibration_images, settings.tests, settings.seed)
    tables = proxy_tables(
        known_proxies(),
        layers,
        divided.calibration,
        bits=settings.bits,
        quantizer=settings.protocol.weights,
        cache=cache,
    )
    return select_configurations(tables, layers, settings.bits, count=count, seed=settings.seed)


def build_zoo_bench(
    bench: ZooBench, folder: Path, *, cache: Path | None, farm: FarmSettings, progress: bool = False
) -> Bench:
    """Build a bench of the zoo, or read it where its file is there.

    Args:
        bench: The bench.
        folder: Where its file goes; a call that was killed goes on from what it left there.
        cache: Folder that keeps statistics and tables, or None.
        farm: Who measures.
        progress: Show a bar with the time left.

    Returns:
        The bench.

    Raises:
        GpEmqError: Network, weights or images are missing or do not fit.
    """
    out = folder / f"{bench.name}.safetensors"
    if out.exists():
        return read_bench(out)
    folder.mkdir(parents=True, exist_ok=True)
    settings = bench.settings()
    return build_bench(
        settings,
        selection=plan_selection(settings, CONFIGURATIONS, cache),
        out=out,
        farm=farm,
        progress=progress,
        timed=True,
    )
