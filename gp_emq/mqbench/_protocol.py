"""Protocols: how the accuracies of a bench are measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from gp_emq.errors import BenchError, QuantizationError
from gp_emq.files import shortened
from gp_emq.networks import Granularity
from gp_emq.quantization import ActivationQuantizer, WeightQuantizer
from gp_emq.quantization.recipes import Recipe, find_recipe, list_recipes

SETTINGS_FORMAT = 3
"""Of `Protocol.settings`; those without one, in files written before, are of format 1."""
_BEFORE_RECIPES = 2
_STEPS_OF_FORMAT_2 = {
    "rtn": {"rounding": "nearest", "batch_norm": False},
    "rtn+bn": {"rounding": "nearest", "batch_norm": True},
    "adaround": {"rounding": "layer", "batch_norm": False},
    "brecq": {"rounding": "block", "batch_norm": False},
}
"""Recipes that there were before recipes had names: their settings are written as they were."""
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
        recipe: name of the recipe that weights are rounded and corrected by, see `list_recipes`.
        calibration_images: images for activation scales, learned rounding and batch norm.
        iterations: optimization steps of a learned rounding, 0 where there is none.
        relative: whether it measures errors relative to outputs, see `RoundingSettings`.
    """

    name: str
    description: str
    weights: WeightQuantizer = field(default_factory=WeightQuantizer)
    activations: ActivationQuantizer = field(default_factory=ActivationQuantizer)
    recipe: str = "rtn"
    calibration_images: int = 512
    iterations: int = 0
    relative: bool = True

    def settings(self) -> dict[str, Any]:
        """Return everything that decides the measured accuracies, as plain values."""
        values = asdict(self) | {"weights": self.weights.document()}
        del values["description"]
        if self.recipe not in _STEPS_OF_FORMAT_2:
            return {**values, "format": SETTINGS_FORMAT}
        steps = _STEPS_OF_FORMAT_2[values.pop("recipe")]
        return {**values, **steps, "format": _BEFORE_RECIPES}

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
        group: int | None = None,
        scale_rule: str | None = None,
        calibration_images: int | None = None,
        iterations: int | None = None,
    ) -> "Protocol":
        """Return this protocol with some settings replaced; `None` keeps one.

        A group, of the values of an output channel that share a scale, makes scales per channel;
        scales per tensor have no groups.

        Raises:
            BenchError: if iterations are less than 1, or the protocol has none, or a group is too
                short or wanted with scales per tensor.
        """
        if iterations is not None and not find_recipe(self.recipe).learns:
            raise BenchError(f"protocol {self.name} learns no rounding: it takes no iterations")
        if iterations is not None and iterations < 1:
            raise BenchError(f"iterations must be at least 1, not {iterations}")
        if group is not None and per_channel is False:
            raise BenchError(
                f"groups of {group} values lie within output channels: there are none per tensor"
            )
        channels = _chosen(per_channel, self.weights.per_channel) or group is not None
        group = _chosen(group, self.weights.group) if channels else None
        try:
            granularity = Granularity(channels, group)
        except ValueError as error:
            raise BenchError(str(error)) from None
        weights = WeightQuantizer.of(
            granularity,
            symmetric=_chosen(symmetric, self.weights.symmetric),
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
    if written not in range(1, SETTINGS_FORMAT + 1):
        raise BenchError(
            f"the protocol has format {shortened(written)}: this version reads 1 to "
            f"{SETTINGS_FORMAT}"
        )
    if written <= _BEFORE_RECIPES:
        steps = {name: values.pop(name, none) for name, none in _STEPS_OF_FORMAT_2["rtn"].items()}
        recipes = [name for name, those in _STEPS_OF_FORMAT_2.items() if those == steps]
        if not recipes:
            raise BenchError(f"the protocol has steps that no recipe has: {shortened(steps)}")
        (values["recipe"],) = recipes
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


_PUBLISHED: dict[str, dict[str, Any]] = {
    "brecq": {
        "weights": WeightQuantizer(symmetric=False, scale_rule="mse-shrunk"),
        "calibration_images": 1024,
        "relative": False,
    }
}
"""Settings of MQ-Bench-101."""


def find_protocol(name: str) -> Protocol:
    """Return the protocol of a recipe: each has one, of the same name.

    Raises:
        BenchError: if there is none of this name.
    """
    try:
        return _protocol_of(find_recipe(name))
    except QuantizationError as error:
        known = ", ".join(recipe.name for recipe in list_recipes())
        raise BenchError(f"unknown protocol {name!r}: known are {known}") from error


def _protocol_of(recipe: Recipe) -> Protocol:
    published = _PUBLISHED.get(recipe.name, {})
    return replace(
        Protocol(
            recipe.name,
            recipe.description + ("; settings of MQ-Bench-101" if published else ""),
            recipe=recipe.name,
            iterations=recipe.iterations,
        ),
        **published,
    )
