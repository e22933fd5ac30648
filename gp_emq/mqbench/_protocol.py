"""Protocols: how the accuracies of a bench are measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from gp_emq.errors import BenchError
from gp_emq.files import shortened
from gp_emq.quantization import ActivationQuantizer, WeightQuantizer

SETTINGS_FORMAT = 2
"""Of `Protocol.settings`; those without one, in files written before, are of format 1."""
_RULES_OF_FORMAT_1 = {"mse": "mse-shrunk"}
"""Scale rules that had other names: `mse` was the search up to the min-max range alone."""

T = TypeVar("T")


@dataclass(frozen=True)
class Protocol:
    """How a bit configuration becomes an accuracy.

    Attributes:
        name: by which it is registered.
        description: one line.
        weights: how weights are quantized.
        activations: how the input of every layer is quantized, the same for all
            configurations.
        rounding: `"nearest"`; or learned, reconstructing the float output of each `"layer"` from
            what the float network feeds it, rounded to its grid, or of each `"block"` from what
            the network with quantized weights so far feeds it.
        batch_norm: re-estimate the batch-norm statistics of every configuration on the
            calibration images.
        calibration_images: images for activation scales, learned rounding and batch norm.
        iterations: optimization steps of a learned rounding, 0 where there is none.
        relative: whether it measures errors relative to outputs, see `RoundingSettings`.
    """

    name: str
    description: str
    weights: WeightQuantizer = field(default_factory=WeightQuantizer)
    activations: ActivationQuantizer = field(default_factory=ActivationQuantizer)
    rounding: str = "nearest"
    batch_norm: bool = False
    calibration_images: int = 512
    iterations: int = 0
    relative: bool = True

    def settings(self) -> dict[str, Any]:
        """Return everything that decides the measured accuracies, as plain values."""
        values = {key: value for key, value in asdict(self).items() if key != "description"}
        return {**values, "format": SETTINGS_FORMAT}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Protocol":
        """Return the protocol that settings out of a file stand for.

        Args:
            settings: what `settings` gave, in this version or an earlier one.

        Raises:
            BenchError: if they are not what a protocol has.
        """
        values = present_settings(settings)
        try:
            quantizers = [dict(values.pop(name)) for name in ("weights", "activations")]
            return cls(
                **values,
                description="",
                weights=WeightQuantizer(**quantizers[0]),
                activations=ActivationQuantizer(**quantizers[1]),
            )
        except (TypeError, ValueError, KeyError) as error:
            raise BenchError(f"the protocol does not read: {error}") from error

    def with_options(
        self,
        *,
        symmetric: bool | None = None,
        per_channel: bool | None = None,
        scale_rule: str | None = None,
        calibration_images: int | None = None,
        iterations: int | None = None,
    ) -> "Protocol":
        """Return this protocol with some settings replaced; `None` keeps one.

        Raises:
            BenchError: if iterations are less than 1, or the protocol has none.
        """
        if iterations is not None and self.rounding == "nearest":
            raise BenchError(f"protocol {self.name} learns no rounding: it takes no iterations")
        if iterations is not None and iterations < 1:
            raise BenchError(f"iterations must be at least 1, not {iterations}")
        weights = WeightQuantizer(
            symmetric=_chosen(symmetric, self.weights.symmetric),
            per_channel=_chosen(per_channel, self.weights.per_channel),
            scale_rule=_chosen(scale_rule, self.weights.scale_rule),
        )
        return replace(
            self,
            weights=weights,
            calibration_images=_chosen(calibration_images, self.calibration_images),
            iterations=_chosen(iterations, self.iterations),
        )


def present_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings out of a file under the names that they have now, without their format.

    Args:
        settings: what `Protocol.settings` gave, in this version or an earlier one; anything in
            it may be damaged.

    Raises:
        BenchError: if their format is a later one.
    """
    values = dict(settings)
    written = values.pop("format", 1)
    if written not in (1, SETTINGS_FORMAT):
        raise BenchError(
            f"the protocol has format {shortened(written)}: this version reads 1 and "
            f"{SETTINGS_FORMAT}"
        )
    # Errors were not relative to outputs before there was a choice.
    values.setdefault("relative", False)
    for name in ("weights", "activations") if written == 1 else ():
        quantizer = values.get(name)
        rule = quantizer.get("scale_rule") if isinstance(quantizer, dict) else None
        if isinstance(quantizer, dict) and isinstance(rule, str):
            values[name] = {**quantizer, "scale_rule": _RULES_OF_FORMAT_1.get(rule, rule)}
    return values


def _chosen(wanted: T | None, default: T) -> T:
    return default if wanted is None else wanted


PROTOCOLS = (
    Protocol("rtn", "rounding to nearest, batch norm as trained"),
    Protocol(
        "rtn+bn",
        "rounding to nearest, batch-norm statistics re-estimated on the calibration images",
        batch_norm=True,
    ),
    Protocol(
        "adaround",
        "learned rounding, each layer reconstructed from its rounded float input",
        rounding="layer",
        iterations=1000,
    ),
    Protocol(
        "brecq",
        "learned rounding, each block reconstructed from the input that quantized weights give it; "
        "settings of MQ-Bench-101",
        weights=WeightQuantizer(symmetric=False, scale_rule="mse-shrunk"),
        rounding="block",
        calibration_images=1024,
        iterations=20_000,
        relative=False,
    ),
)


def find_protocol(name: str) -> Protocol:
    """Return a registered protocol.

    Raises:
        BenchError: if there is none of this name.
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    known = ", ".join(protocol.name for protocol in PROTOCOLS)
    raise BenchError(f"unknown protocol {name!r}: known are {known}")
