"""Peak activation memory: what a layer takes and gives, which must be there at once.

Widths of weights do not change it. What does is the width of activations, which one number gives
for the whole network, and which layers stay in float; so that a limit is kept or not before
anything is chosen.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gp_emq.allocation._plan import Target
from gp_emq.allocation._space import FLOAT_BITS
from gp_emq.errors import AllocationError, InfeasibleError
from gp_emq.quantization import MAX_BITS, MIN_BITS

KIBIBYTE = 2**10
_NAME = "activations"


@dataclass(frozen=True)
class Peak:
    """The layer whose activations take most.

    Attributes:
        layer: Its name.
        elements: Numbers of its input and of its output, for one sample.
        bits: Their width.
    """

    layer: str
    elements: tuple[int, int]
    bits: int

    @property
    def bytes(self) -> int:
        """Bytes of input and output, each packed into whole bytes."""
        return sum(-(-count * self.bits // 8) for count in self.elements)


def activation_peak(
    elements: Mapping[str, tuple[int, int]], bits: int, in_float: Collection[str] = ()
) -> Peak:
    """Find the layer whose input and output take most memory together.

    Other tensors that a network keeps meanwhile, such as the shortcut of a residual block, are
    not counted.

    Args:
        elements: Numbers of input and output by layer: `gp_emq.networks.activation_elements`.
        bits: Width of activations.
        in_float: Layers that stay in float; what they take and give has 32 bits.

    Raises:
        AllocationError: There are no layers.
    """
    if not elements:
        raise AllocationError("there are no layers, and so no activations")
    peaks = [
        Peak(name, counts, FLOAT_BITS if name in in_float else bits)
        for name, counts in elements.items()
    ]
    return max(peaks, key=lambda peak: peak.bytes)


def activation_target(
    limit_kib: float,
    elements: Mapping[str, tuple[int, int]],
    bits: int,
    in_float: Collection[str] = (),
) -> Target:
    """Hold the peak against a limit.

    Args:
        limit_kib: Most KiB of it.
        elements: As for `activation_peak`.
        bits: The same.
        in_float: The same.

    Returns:
        Limit and peak, for the plan.

    Raises:
        InfeasibleError: The peak is over it; the message says in which layer, and what would
            keep it.
    """
    peak = activation_peak(elements, bits, in_float)
    if peak.bytes <= limit_kib * KIBIBYTE:
        return Target(_NAME, "KiB", float(limit_kib), peak.bytes / KIBIBYTE)
    fitting = [
        width
        for width in range(MIN_BITS, MAX_BITS + 1)
        if activation_peak(elements, width, in_float).bytes <= limit_kib * KIBIBYTE
    ]
    if fitting:
        remedy = f"--activation-bits {max(fitting)} would keep it"
    elif peak.bits == FLOAT_BITS:
        remedy = "do not exclude it"
    else:
        remedy = f"not even {MIN_BITS} bits would keep it"
    taken, given = peak.elements
    raise InfeasibleError(
        f"a budget of {limit_kib:.10g} KiB for {_NAME} cannot be met: layer {peak.layer!r} takes "
        f"{taken:,} numbers and gives {given:,}, at {peak.bits} bits {peak.bytes / KIBIBYTE:.5g} "
        f"KiB at once, whatever the widths of weights; {remedy}"
    )
