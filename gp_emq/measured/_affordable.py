"""Which proxies are quick enough for a network to race where nobody asked for them."""

from collections.abc import Mapping, Sequence

from gp_emq.networks import Layer
from gp_emq.proxies import Proxy
from gp_emq.statistics import STATISTICS, Aspect

MOST_MACS = 4e12
"""Multiply-accumulate operations: minutes of one core."""
CURVATURE_PASSES = 100
"""Passes that curvature takes: about what ResNet-20 took beside one of FIT."""
FEW_PASSES = 4
"""Passes that everything else takes."""


def affordable(
    proxies: Mapping[str, Proxy], layers: Sequence[Layer], *, widths: int, samples: int
) -> tuple[str, ...]:
    """Choose the proxies whose scores take minutes at most; those that never take long are kept.

    What is measured with one entry quantized at a time takes a pass of all samples for every entry
    and width, and second derivatives many. Work is counted, not timed, so that every machine
    chooses the same.

    Args:
        proxies: By name.
        layers: The network's.
        widths: How many may be chosen.
        samples: Calibration samples.

    Returns:
        Their names, in order.
    """
    once = samples * sum(layer.macs for layer in layers)
    entries = len({layer.entry for layer in layers})
    return tuple(
        name
        for name, proxy in proxies.items()
        if (passes := _passes(proxy, entries * widths)) <= FEW_PASSES or passes * once <= MOST_MACS
    )


def _passes(proxy: Proxy, places: int) -> int:
    """Return about how many passes of the calibration samples a proxy takes."""
    aspects = [STATISTICS[name].aspects for name in proxy.needs if name in STATISTICS]
    measured = sum(Aspect.MEASUREMENT in those for those in aspects)
    curved = any(Aspect.CURVATURE in those for those in aspects)
    return FEW_PASSES + places * measured + CURVATURE_PASSES * curved
