"""One way from float to quantized: a bench, `quantize` and training agree on every recipe."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_digits import normed
from torch import Tensor

import gp_emq
from gp_emq.mqbench import MeasurementSettings, Measurer, build_bench, find_protocol
from gp_emq.qat import QatSettings, warm_start
from gp_emq.quantization import WeightQuantizer, integer_convolution_available, recipes
from gp_emq.quantization.recipes import Recipe, list_recipes
from gp_emq.quantization.recipes.rtn_bn_correction import _answered_by

OWN = """
from gp_emq.quantization.recipes import Recipe
from gp_emq.quantization.recipes.rtn import round_to_nearest


def forget_means(task):
    def correct(rounded):
        for norm in rounded.norms:
            norm.running_mean = norm.running_mean * 0

    return correct


RECIPE = Recipe("rtn+zero", "batch norms without means", round_to_nearest, correct=forget_means)
"""


def measurement(recipe: str, network: str = "normed", **changes: object) -> MeasurementSettings:
    protocol = find_protocol(recipe).with_options(calibration_images=24)
    iterations = 3 if protocol.iterations else 0
    protocol = replace(protocol, relative=True, iterations=iterations, **changes)
    return MeasurementSettings(
        f"small_digits:{network}", None, (), protocol, (2, 3, 4), 120, 0, "float"
    )


def quantized_alike(measurer: Measurer, widths: Sequence[int]) -> torch.nn.Module:
    """What `quantize` makes of the same settings, images and widths."""
    protocol = measurer.settings.protocol
    return gp_emq.quantize(
        measurer.network.model,
        {layer.name: widths[layer.entry] for layer in measurer.network.layers},
        measurer.calibration.samples,
        method=protocol.recipe,
        quantizer=protocol.weights,
        activation_bits=protocol.activations.bits,
        activation_rule=protocol.activations.scale_rule,
        iterations=protocol.iterations or None,
        seed=measurer.settings.seed,
    )


def right(logits: Tensor, labels: Tensor) -> np.ndarray:
    return (logits.argmax(1) == labels).numpy()


@pytest.mark.parametrize("recipe", [recipe.name for recipe in list_recipes()])
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_a_bench_measures_what_quantize_makes(recipe: str, data: st.DataObject) -> None:
    quantizer = WeightQuantizer(
        symmetric=data.draw(st.booleans()),
        per_channel=data.draw(st.booleans()),
        scale_rule=data.draw(st.sampled_from(["minmax", "mse"])),
    )
    rule = data.draw(st.sampled_from(["minmax", "robust"]))
    protocol = find_protocol(recipe)
    activations = replace(protocol.activations, scale_rule=rule)
    network = data.draw(st.sampled_from(["normed", "plain", "shared"]))
    asked = measurement(recipe, network, weights=quantizer, activations=activations)
    measurer = Measurer(asked)
    count = 1 + max(layer.entry for layer in measurer.network.layers)
    widths = data.draw(st.lists(st.sampled_from([2, 3, 4]), min_size=count, max_size=count))
    labels = measurer.test.targets
    found = np.unpackbits(measurer.measure(widths), count=len(labels)).astype(bool)
    with torch.no_grad():
        logits = quantized_alike(measurer, widths)(measurer.test.samples)
    # Where two classes are as good as equal, the order of sums decides.
    best = logits.topk(2, dim=1).values
    clear = (best[:, 0] - best[:, 1] > 1e-3 * logits.abs().amax()).numpy()
    assert clear.mean() > 0.9
    assert np.array_equal(found[clear], right(logits, labels)[clear])


@pytest.mark.skipif(not integer_convolution_available(), reason="needs an 8-bit convolution")
@pytest.mark.parametrize("recipe", ["rtn", "rtn+bn", "rtn+bn-correction"])
def test_integer_arithmetic_corrects_the_same(recipe: str) -> None:
    asked = measurement(recipe)
    one, other = (
        np.unpackbits(Measurer(replace(asked, arithmetic=arithmetic)).measure([2, 3, 4, 4]))
        for arithmetic in ("float", "integer")
    )
    assert (one != other).sum() <= 2


@pytest.fixture
def own_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe that is one new file, where the package looks for them."""
    (tmp_path / "own_recipe_of_tests.py").write_text(OWN, encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    return "rtn+zero"


def test_a_recipe_is_one_new_file(own_recipe: str, tmp_path: Path) -> None:
    chosen = measurement(own_recipe)
    bench = build_bench(chosen, count=2, out=tmp_path / "bench.safetensors")
    assert bench.provenance["protocol"]["recipe"] == own_recipe
    measurer, (widths, _) = Measurer(chosen), bench.configurations
    quantized = quantized_alike(measurer, widths.tolist())
    assert all(not norm.running_mean.any() for norm in quantized.network.norms)
    with torch.no_grad():
        logits = quantized(measurer.test.samples)
    packed = np.packbits(right(logits, measurer.test.targets))
    assert np.array_equal(packed, bench.correct[0])
    planned = {layer.name: 4 for layer in measurer.network.layers}
    start = warm_start(
        measurer.network.model, measurer.network.layers, planned, measurer.calibration.samples,
        QatSettings(), recipe=own_recipe,
    )  # fmt: skip
    assert all(not norm.running_mean.any() for norm in start.network.norms)


def test_a_recipe_rounds_in_one_way() -> None:
    with pytest.raises(ValueError, match="either round_layer or round_network"):
        Recipe("none", "rounds nothing")


def test_training_starts_from_what_quantize_makes() -> None:
    measurer = Measurer(measurement("rtn+bn"))
    layers, images = measurer.network.layers, measurer.calibration.samples
    widths = {layer.name: 3 for layer in layers}
    asked = QatSettings(first_last_bits=None)
    model, _ = normed()
    start = warm_start(model, layers, widths, images, asked, recipe="rtn+bn")
    quantized = gp_emq.quantize(model, widths, images, method="rtn+bn")
    state = quantized.network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in start.network.state_dict().items())


def by_hand(model: torch.nn.Module, quantized: torch.nn.Module, images: Tensor) -> list[np.ndarray]:
    """Norm after norm: a pass of its own through each network for what the norm is fed."""

    def fed(network: torch.nn.Module, place: int) -> np.ndarray:
        seen: list[Tensor] = []
        handle = network.norms[place].register_forward_pre_hook(lambda _m, x: seen.append(x[0]))
        with torch.no_grad():
            network(images)
        handle.remove()
        return seen[0].double().numpy().transpose(1, 0, 2, 3).reshape(4, -1)

    found = []
    for place, norm in enumerate(quantized.norms):
        before, after = fed(model, place), fed(quantized, place)
        mean = norm.running_mean.numpy() + after.mean(axis=1) - before.mean(axis=1)
        variance = norm.running_var.numpy() * after.var(axis=1) / before.var(axis=1)
        norm.running_mean, norm.running_var = (
            torch.from_numpy(of).float() for of in (mean, variance)
        )
        found += [mean, variance]
    return found


@pytest.mark.parametrize("images", [2, 24])
def test_batch_norms_move_by_what_rounding_changes(images: int) -> None:
    model, _ = normed()
    batch = torch.randn(images, 1, 8, 8, generator=torch.Generator().manual_seed(images))
    widths = {f"convolutions.{place}": 2 for place in range(3)}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    corrected = gp_emq.quantize(model, widths, batch, method="rtn+bn-correction").network
    rounded = gp_emq.quantize(model, widths, batch, method="rtn").network
    found = [of.numpy() for norm in corrected.norms for of in (norm.running_mean, norm.running_var)]
    for ours, expected in zip(found, by_hand(model, rounded, batch), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for norm, trained in zip(corrected.norms, model.norms, strict=True):
        assert not norm.training
        assert norm.momentum == trained.momentum
        assert torch.equal(norm.num_batches_tracked, trained.num_batches_tracked)


@pytest.mark.parametrize("own", [None, torch.neg])
def test_a_norm_computes_in_the_end_what_it_did(own: Callable[[Tensor], Tensor] | None) -> None:
    norm, images = torch.nn.BatchNorm2d(2).eval(), torch.randn(3, 2, 4, 4)
    if own is not None:
        norm.forward = own
    before = norm(images)
    with _answered_by(norm, torch.zeros_like):
        assert not norm(images).any()
    assert torch.equal(norm(images), before)
    assert ("forward" in vars(norm)) == (own is not None)


def test_what_rounding_leaves_alone_leaves_batch_norms_alone() -> None:
    model, _ = normed()
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    made = gp_emq.quantize(
        model, {"head": 2}, images, method="rtn+bn-correction", activation_bits=32
    )
    for norm, trained in zip(made.network.norms, model.norms, strict=True):
        torch.testing.assert_close(norm.running_mean, trained.running_mean)
        torch.testing.assert_close(norm.running_var, trained.running_var)
    with torch.no_grad():
        torch.testing.assert_close(made.network.norms[0].weight, model.norms[0].weight)


def test_a_channel_that_rounding_makes_constant_keeps_its_variance() -> None:
    model, _ = normed()
    with torch.no_grad():
        model.convolutions[0].weight[1] = 1e-9  # is zero on a grid that all channels share
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    made = gp_emq.quantize(
        model, {"convolutions.0": 2}, images, method="rtn+bn-correction",
        quantizer=WeightQuantizer(),
    )  # fmt: skip
    norm = made.network.norms[0]
    assert float(norm.running_var[1]) == pytest.approx(float(model.norms[0].running_var[1]))
    assert made(images).isfinite().all()
