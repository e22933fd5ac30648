"""The benches of the zoo: networks × protocols × granularity of the weights' scales."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gp_emq import mqbench
from gp_emq.errors import BenchError
from gp_emq.files import did_you_mean, shortened

if TYPE_CHECKING:
    from gp_emq.mqbench import MeasurementSettings

CONFIGURATIONS = 240
CALIBRATION_IMAGES = 256
CIFAR_TESTS = 2_000
IMAGENET_TESTS, IMAGENET_CALIBRATION = 300, 64
ITERATIONS, IMAGENET_ITERATIONS = 400, 200
"""Of learned rounding: layers on small images are small, and what is left to gain after so many is
little; on large images a step takes tenths of a second."""


@dataclass(frozen=True)
class ZooBench:
    """One bench of the zoo.

    Attributes:
        network: registered name.
        protocol: registered name.
        per_channel: whether weights have a scale per output channel, or one per tensor.
        bits: the bit choices: where something is at stake for the network.
        tests: number of test images; None for all.
        calibration: number of calibration images.
        iterations: steps of learned rounding, where the protocol learns it.
    """

    network: str
    protocol: str
    per_channel: bool
    bits: tuple[int, ...] = (2, 3, 4)
    tests: int | None = None
    calibration: int = CALIBRATION_IMAGES
    iterations: int = ITERATIONS

    @property
    def name(self) -> str:
        """Of the bench."""
        granularity = "channel" if self.per_channel else "tensor"
        return f"{self.network}-{self.protocol.replace('+', '-')}-{granularity}"

    def settings(self, seed: int = 0) -> "MeasurementSettings":
        """Return what is measured and how, on this machine."""
        protocol = mqbench.find_protocol(self.protocol)
        protocol = protocol.with_options(
            per_channel=self.per_channel,
            calibration_images=self.calibration,
            iterations=self.iterations if protocol.iterations else None,
        )
        return mqbench.MeasurementSettings(
            network=self.network,
            weights=None,
            data=(),
            protocol=protocol,
            bits=self.bits,
            tests=self.tests,
            seed=seed,
            arithmetic=mqbench.choose_arithmetic(protocol),
        )


_NORMED = ("separable", "dense", "bottleneck", "excite", "narrow", "wide")
"""Kinds with batch norm, whose statistics can be re-estimated."""
_OTHERS = ("plain", "modern", "transformer")
_LATER = {
    "mixer": "rtn", "grouped": "rtn", "unnormed": "rtn", "attentive": "rtn+bn", "gated": "rtn",
    "branched": "rtn+bn", "shuffled": "rtn+bn", "axial": "rtn", "inverted": "rtn+bn",
    "pooling": "rtn", "hourglass": "rtn+bn", "token": "rtn", "recurrent": "rtn", "latent": "rtn",
    "dilated": "rtn+bn", "multiscale": "rtn+bn",
}  # fmt: skip
"""Kinds that came later, on digits alone, by how they are rounded to nearest."""


def _roster() -> Iterator[ZooBench]:
    for kind in _NORMED:
        # With batch norm re-estimated, the wide network loses less on digits than tests can tell.
        protocol = "rtn" if kind == "wide" else "rtn+bn"
        for per_channel in (False, True):
            yield ZooBench(f"{kind}-digits", protocol, per_channel)
    for kind in _OTHERS:
        for per_channel in (False, True):
            yield ZooBench(f"{kind}-digits", "rtn", per_channel)
    for kind in _NORMED:
        yield ZooBench(f"{kind}-cifar10", "rtn+bn", per_channel=True, tests=CIFAR_TESTS)
    for kind in _OTHERS:
        yield ZooBench(f"{kind}-cifar10", "rtn", per_channel=True, tests=CIFAR_TESTS)
    for kind in (*_OTHERS, *_NORMED):
        yield ZooBench(f"{kind}-digits", "adaround", per_channel=True)
    for kind in _NORMED:
        yield ZooBench(f"{kind}-cifar10", "rtn+bn", per_channel=False, tests=CIFAR_TESTS)
    for kind in _OTHERS:
        yield ZooBench(f"{kind}-cifar10", "rtn", per_channel=False, tests=CIFAR_TESTS)
    yield ZooBench("resnet20", "rtn+bn", per_channel=True, tests=CIFAR_TESTS)
    for kind, protocol in _LATER.items():
        for per_channel in (False, True):
            yield ZooBench(f"{kind}-digits", protocol, per_channel)
        yield ZooBench(f"{kind}-digits", "adaround", per_channel=True)
    # With learned rounding five bits lose little, and three break the network.
    for protocol, bits in (("rtn+bn", (4, 5, 6)), ("adaround", (3, 4, 5))):
        yield ZooBench(
            "efficientnet_lite0", protocol, per_channel=True, bits=bits,
            tests=IMAGENET_TESTS, calibration=IMAGENET_CALIBRATION, iterations=IMAGENET_ITERATIONS,
        )  # fmt: skip


ROSTER: tuple[ZooBench, ...] = tuple(_roster())
"""Every bench of the zoo, the cheap ones first."""


def find_benches(names: Sequence[str]) -> tuple[ZooBench, ...]:
    """Return benches of the zoo by name, all of them where none is given.

    Raises:
        BenchError: if there is none of a name.
    """
    known = {bench.name: bench for bench in ROSTER}
    for name in names:
        if name not in known:
            raise BenchError(
                f"the zoo has no bench {shortened(name)}: {did_you_mean(name, known, most=3)}"
                "--list names them"
            )
    return tuple(known[name] for name in names) or ROSTER
