"""Networks that people have: run in any mode, called in any way, made of more than layers."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from random_networks import everything_of, same
from small_networks import Normed, Shared, made, pictures
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import gp_emq
from gp_emq.errors import GpEmqError, NetworkError, QuantizationError
from gp_emq.export import export_onnx, load_quantized, save_packed
from gp_emq.networks import PrivateNetwork, find_layers, undisturbed
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedNetwork,
    WeightQuantizer,
    calibrate_activations,
    fake_quantize,
    integer_convolution_available,
    passes,
)
from gp_emq.quantization._batch_norm import estimating
from gp_emq.quantization._quantized_network import quantize_weights


class Standardized(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)


class Scaled(nn.Linear):
    def forward(self, x, factor, *, shift):
        return super().forward(x) * factor + shift


class WithArguments(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = Standardized(2, 4, 3), Scaled(4, 3)
        self.conv.register_forward_hook(lambda _m, _i, o: o.relu())

    def forward(self, x):
        return self.head(self.conv(x / 2).mean((2, 3)), 3.0, shift=x.mean((1, 2, 3))[:, None])


class SequenceFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(2, 6), nn.Linear(6, 3)

    def forward(self, x):
        tokens = x.flatten(2).permute(2, 0, 1)
        return self.two(self.one(tokens).relu()).mean(0)


class OneByOne(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return torch.cat([self.head(self.conv(v[None]).relu().mean((2, 3))) for v in x])


class AgainstTheBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.head((self.conv(x - x.mean(0, keepdim=True))).relu().mean((2, 3)))


def error_of(model, quantized, images):
    with torch.no_grad():
        return float((quantized(images) - model(images)).square().sum())


@pytest.mark.parametrize(
    ("kind", "bits"), [(WithArguments, 3), (SequenceFirst, 3), (AgainstTheBatch, 4)]
)
@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_learned_rounding_keeps_what_layers_compute_however_they_are_called(kind, bits, method):
    model, images = made(kind), pictures(16)
    widths = {layer.name: bits for layer in find_layers(model, images[:1])}
    options = {"activation_bits": 32}
    before = everything_of(model)
    plain = gp_emq.quantize(model, widths, images, method="rtn", **options)
    learned = gp_emq.quantize(model, widths, images, method=method, iterations=150, **options)
    assert same(before, everything_of(model))
    assert error_of(model, learned, images) < error_of(model, plain, images)


class SeesOthers(nn.Module):
    """Lets some images see others: in some places of the batch, or in large ones alone."""

    def __init__(self, sees):
        super().__init__()
        self.conv, self.head, self.sees = nn.Conv2d(2, 4, 3), nn.Linear(4, 3), sees

    def forward(self, x):
        hidden = self.conv(x).relu().mean((2, 3))
        return self.head(hidden + 0.1 * self.sees(hidden))


def _seen_by_later(distance, least=0):
    def sees(hidden):
        shown = torch.zeros_like(hidden)
        if len(hidden) > max(distance, least):
            shown[distance:] = hidden[:-distance]
        return shown

    return sees


def _only_the_last_sees_the_middle(hidden):
    return torch.cat([0 * hidden[:-1], hidden[len(hidden) // 2][None]])


@pytest.mark.parametrize(
    "sees",
    [
        _seen_by_later(1), _seen_by_later(2), _seen_by_later(8), _seen_by_later(40),
        _seen_by_later(1, least=64), _seen_by_later(3, least=100), _only_the_last_sees_the_middle,
    ],
)  # fmt: skip
def test_images_that_see_each_other_anywhere_go_together(sees):
    images = torch.cat([pictures(64), 3 * pictures(60)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SeesOthers(sees).eval()
    fed = []
    handle = model.head.register_forward_hook(lambda _m, given, _o: fed.append(given[0]))
    model(images)
    handle.remove()
    quantized = gp_emq.quantize(
        model,
        {"conv": 8, "head": 8},
        images,
        activation_rule="minmax",
        activation_bits=8,
        method="rtn",
    )
    grid, span = quantized.activations["head"], fed[0].detach().aminmax()
    torch.testing.assert_close(float(grid.scale), float(span.max - min(0, span.min)) / 255)


def test_images_that_do_not_see_each_other_are_looked_at_three_times():
    seen = []
    model, images = made(Normed), pictures(100)
    model.register_forward_pre_hook(lambda _m, given: seen.append(len(given[0])))
    network = PrivateNetwork(model)
    assert len(passes(network, images)) == 2
    # All together, two alone, and all in two kinds of groups.
    assert sum(seen) == 3 * 100 + 2
    assert len(passes(network, images)) == 2
    assert sum(seen) == 3 * 100 + 2


class AllAtOnce(OneByOne):
    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


class BatchFirst(SequenceFirst):
    def forward(self, x):
        return self.two(self.one(x.flatten(2).transpose(1, 2)).relu()).mean(1)


@pytest.mark.parametrize("method", ["adaround", "brecq"])
@pytest.mark.parametrize("kinds", [(OneByOne, AllAtOnce), (SequenceFirst, BatchFirst)])
def test_networks_that_compute_the_same_learn_the_same(kinds, method):
    images, found = pictures(16), []
    for kind in kinds:
        model = made(kind)
        widths = {layer.name: 3 for layer in find_layers(model, images[:1])}
        found.append(gp_emq.quantize(model, widths, images, method=method, iterations=6))
    for name, weight in found[0].weights.items():
        assert torch.equal(weight.integers, found[1].weights[name].integers)


def test_weights_of_subclasses_are_rounded_and_their_own_forward_is_kept():
    model, images = made(WithArguments), pictures()
    quantized = gp_emq.quantize(
        model, {"conv": 4, "head": 4}, images, activation_bits=32, method="rtn"
    )
    expected = copy.deepcopy(model)
    for name in ("conv", "head"):
        grid = quantized.weights[name].parameters
        weight = model.get_submodule(name).weight.detach()
        nearest = (weight / grid.scale).round().clamp(grid.quant_min, grid.quant_max) * grid.scale
        expected.get_submodule(name).weight.data = nearest
    torch.testing.assert_close(quantized(images), expected(images))


def test_grids_span_the_calls_for_all_images():
    model, images = made(OneByOne), pictures()
    images[0] *= 10
    quantized = gp_emq.quantize(model, {"conv": 8}, images, activation_rule="minmax", method="rtn")
    grid = quantized.activations["conv"]
    assert float(255 * grid.scale) == pytest.approx(float(images.max() - images.min()), rel=1e-5)


def test_a_weight_that_layers_share_is_learned_from_what_all_are_fed():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            flat = x.mean((2, 3))
            return self.a(flat * torch.tensor([1.0, 0.0])) + 9 * self.b(
                flat * torch.tensor([0.0, 1.0])
            )

    model, images = made(Two), pictures(64)
    for method in ("adaround", "brecq"):
        quantized = gp_emq.quantize(
            model, {"a": 2, "b": 2}, images, method=method, iterations=100, activation_bits=32
        )
        assert quantized.network.a.weight is quantized.network.b.weight
        assert quantized.weights["a"] is quantized.weights["b"]
        plain = gp_emq.quantize(model, {"a": 2, "b": 2}, images, activation_bits=32, method="rtn")
        assert error_of(model, quantized, images) <= error_of(model, plain, images)


def test_a_shared_weight_is_in_a_packed_file_once(tmp_path):
    model, images = made(Shared), pictures()
    layers = find_layers(model, images[:1])
    quantized = gp_emq.quantize(model, {"first": 4, "second": 4, "twice": 4}, images, method="rtn")
    report = save_packed(quantized, layers, tmp_path / "shared.safetensors")
    # 4 weights of 4 bits and 2 scales, once; 2 biases each.
    sizes = {layer.name: (layer.weight_bytes, layer.grid_bytes) for layer in report.layers}
    assert (sizes["first"], sizes["second"]) == ((2, 8), (0, 0))
    assert report.beyond_accounting_bytes == 0
    again = load_quantized(tmp_path / "shared.safetensors", made(Shared, seed=5))
    assert again.network.first.weight is again.network.second.weight
    assert set(again.weights) == {"first", "second", "twice"}
    assert torch.equal(again(images), quantized(images))


@pytest.mark.parametrize(
    "change",
    [
        lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
    ],
    ids=["pruned", "weight norm", "spectral norm"],
)
def test_weights_computed_from_others_are_quantized_as_they_are_used(change, tmp_path):
    model, images = made(Normed), pictures()
    change(model.conv)
    model.eval()
    with torch.no_grad():
        model(images)
    effective, before = model.conv.weight.detach().clone(), everything_of(model)
    quantized = gp_emq.quantize(model, {"conv": 4, "head": 4}, images, method="rtn")
    assert same(before, everything_of(model))
    expected = fake_quantize(effective, quantized.weights["conv"].parameters)
    torch.testing.assert_close(quantized.network.conv.weight.detach(), expected)
    layers = find_layers(model, images[:1])
    save_packed(quantized, layers, tmp_path / "packed.safetensors")
    gp_emq.save_quantized(quantized, tmp_path / "quantized.safetensors")
    for again in (
        load_quantized(tmp_path / "packed.safetensors", model),
        gp_emq.load_quantized(tmp_path / "quantized.safetensors", model),
    ):
        assert torch.equal(again(images), quantized(images))


@pytest.mark.parametrize("method", ["rtn+bn", "adaround", "brecq"])
def test_the_order_of_numbers_in_memory_changes_no_integer(method):
    """Sums in another order differ in their last digits, which moves no weight to another value."""
    learns = {} if method == "rtn+bn" else {"iterations": 3}
    last = {"memory_format": torch.channels_last}
    found, expected = (
        gp_emq.quantize(model, {"conv": 3, "head": 4}, images, method=method, **learns)
        for model, images in (
            (made(Normed).to(**last), pictures().contiguous(**last)),
            (made(Normed), pictures()),
        )
    )
    for name, weight in expected.weights.items():
        assert torch.equal(found.weights[name].integers, weight.integers)
    torch.testing.assert_close(found(pictures()), expected(pictures()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_any_floating_type_give_outputs_in_it_from_weights_on_their_grids(
    dtype, tmp_path
):
    model, images = made(Normed).to(dtype), pictures()
    quantized = gp_emq.quantize(model, {"conv": 3, "head": 4}, images, method="adaround",
                                iterations=2)  # fmt: skip
    assert quantized(images.to(dtype)).dtype == dtype
    for name, weight in quantized.weights.items():
        assert torch.equal(quantized.network.get_submodule(name).weight, weight.values())
    save_packed(quantized, find_layers(model, images[:1]), tmp_path / "packed.safetensors")
    gp_emq.save_quantized(quantized, tmp_path / "quantized.safetensors")
    for again in (
        load_quantized(tmp_path / "packed.safetensors", model),
        gp_emq.load_quantized(tmp_path / "quantized.safetensors", model),
    ):
        assert again(images).dtype == dtype
        assert torch.equal(again(images), quantized(images))


class Casting(Normed):
    """In half precision, and fed anything: forward casts its input."""

    def forward(self, images):
        return super().forward(images.to(self.head.weight.dtype if self.plain else torch.half))

    plain = False


@pytest.mark.parametrize("method", ["rtn", "rtn+bn", "adaround", "brecq"])
def test_a_network_that_casts_its_input_to_half_precision_is_quantized_in_full(method, tmp_path):
    images = pictures()
    model, plain = (made(Casting).half() for _ in range(2))
    plain.plain = True
    plain.float()
    options = {"iterations": 3} if method in {"adaround", "brecq"} else {}
    found, right = (
        gp_emq.quantize(one, {"conv": 4, "head": 8}, images, method=method, **options)
        for one in (model, plain)
    )
    assert torch.equal(found(images), right(images).half())
    gp_emq.save_quantized(found, tmp_path / "plain.safetensors")
    save_packed(found, find_layers(model, images), tmp_path / "packed.safetensors")
    for again in (
        gp_emq.load_quantized(tmp_path / "plain.safetensors", made(Casting, 5).half()),
        load_quantized(tmp_path / "packed.safetensors", made(Casting, 5).half()),
    ):
        assert torch.equal(again(images), found(images))
    if method != "rtn":
        return
    export_onnx(found, find_layers(model, images), tmp_path / "half.onnx", images.shape[1:])
    session = onnxruntime.InferenceSession(tmp_path / "half.onnx")
    ran = session.run(None, {"images": images.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(ran), right(images), rtol=0.05, atol=0.05)


class Patched(Normed):
    """Has a forward of the user on a module, and a hook: functions that hold on to modules."""

    def __init__(self):
        super().__init__()
        inner, head = self.conv.forward, self.head
        self.conv.forward = lambda x: 2 * inner(x)
        self.norm.register_forward_hook(lambda _m, _i, o: o + head.weight.sum())


def test_functions_that_hold_on_to_modules_hold_on_to_those_of_the_copy():
    model, images = made(Patched), pictures()
    before = everything_of(model)
    quantized = gp_emq.quantize(
        model, {"conv": 2, "head": 2}, images, activation_bits=32, method="rtn"
    )
    assert same(before, everything_of(model))
    network = quantized.network
    fed = 2 * functional.conv2d(images, network.conv.weight, network.conv.bias, padding=1)
    hidden = model.norm.eval().__class__.forward(network.norm, fed) + network.head.weight.sum()
    right = functional.linear(hidden.relu().mean((2, 3)), network.head.weight, network.head.bias)
    torch.testing.assert_close(quantized(images), right)
    statistics = gp_emq.collect_statistics(model, images, bits=(2, 4))
    answers = model(images).argmax(1)
    slope = torch.autograd.grad(
        functional.cross_entropy(model(images), answers), [model.conv.weight, model.head.weight]
    )
    found = statistics.layout("Weights").views(statistics.tensor("weight_gradient"))
    for one, other in zip(found, slope, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class Counting(Normed):
    """Adds to what it keeps in every pass, and looks at how much there is."""

    def __init__(self):
        super().__init__()
        self.kept, self.seen = [], {}

    def forward(self, images):
        self.kept.append(images.mean())
        self.seen[len(self.kept)] = images
        return super().forward(images) * len(self.seen)


def test_what_a_pass_adds_to_lists_of_a_network_changes_no_other_pass():
    images, widths = pictures(), {"conv": 4, "head": 4}
    options = {"method": "adaround", "iterations": 3}
    found = gp_emq.quantize(made(Counting), widths, images, **options)
    right = gp_emq.quantize(made(Normed), widths, images, **options)
    for name, weight in right.weights.items():
        assert torch.equal(found.weights[name].integers, weight.integers)
    assert found.network.kept == []
    tables = [
        gp_emq.load_proxy("fit").table(gp_emq.collect_statistics(made(kind), images, bits=(2, 4)))
        for kind in (Counting, Normed)
    ]
    np.testing.assert_allclose(*tables)


class Empty(Normed):
    """Has a product of nothing, as a generator of networks leaves them behind."""

    def __init__(self):
        super().__init__()
        self.nothing = nn.Linear(0, 3)

    def forward(self, images):
        return super().forward(images) + self.nothing(images.new_zeros(len(images), 0))


def test_a_layer_without_weights_is_none():
    model, images = made(Empty), pictures()
    assert [layer.name for layer in find_layers(model, images)] == ["conv", "head"]
    assert (
        gp_emq.quantize(model, {"conv": 8, "head": 8}, images, method="rtn")(images)
        .isfinite()
        .all()
    )


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")])
def test_wrapped_networks_are_quantized_as_what_they_wrap(wrap):
    images, widths = pictures(), {"conv": 3, "head": 8}
    found = gp_emq.quantize(wrap(made(Normed)), widths, images, method="rtn")
    assert torch.equal(
        found(images), gp_emq.quantize(made(Normed), widths, images, method="rtn")(images)
    )


def packed_by_torch():
    model = nn.Sequential(nn.Conv2d(2, 4, 8), nn.Flatten(), nn.Linear(4, 3))
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: torch.jit.script(made(Normed)), "was scripted or traced"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten()), "has no shape yet"),
        (packed_by_torch, "its module '2' was quantized by torch, .* give the float network"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_networks_that_cannot_be_quantized_are_refused_in_one_line(model, words):
    with pytest.raises(NetworkError, match=words) as caught:
        gp_emq.quantize(model(), {"0": 4}, pictures(), method="rtn")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["rtn+bn", "adaround", "brecq"])
def test_images_of_inference_mode_are_like_any_others(method):
    options = {} if method == "rtn+bn" else {"iterations": 3}
    with torch.inference_mode():
        born = pictures().clone()
    found, right = (
        gp_emq.quantize(made(Normed), {"conv": 3}, images, method=method, **options)
        for images in (born, pictures())
    )
    assert born.is_inference()
    assert torch.equal(found(pictures()), right(pictures()))


@pytest.mark.parametrize("flat", [False, True])
def test_one_logit_is_enough_to_quantize(flat):
    class One(Normed):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, images):
            logit = super().forward(images)
            return logit[:, 0] if flat else logit

    model, images = made(One), pictures()
    for method in ("rtn", "rtn+bn", "adaround", "brecq"):
        options = {"iterations": 3} if method in {"adaround", "brecq"} else {}
        quantized = gp_emq.quantize(model, {"conv": 8, "head": 8}, images, method=method, **options)
        assert quantized(images).shape == model(images).shape
        if method == "rtn":
            torch.testing.assert_close(quantized(images), model(images), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("factor", [1e-5, 1e-7, 1e-20, 1e-30])
def test_tiny_weights_whose_scale_is_undone_are_quantized_like_others(factor):
    class Undone(Normed):
        def forward(self, images):
            hidden = self.norm(self.conv(images) * (1 / self.factor))
            return self.head(torch.relu(hidden).mean((2, 3)))

    def scaled(by):
        model = made(Undone)
        model.factor = by
        with torch.no_grad():
            model.conv.weight.mul_(by)
            model.conv.bias.mul_(by)
        return gp_emq.quantize(model, {"conv": 3, "head": 3}, pictures(), method="rtn")

    tiny, usual = scaled(factor), scaled(1.0)
    assert torch.equal(tiny.weights["conv"].integers, usual.weights["conv"].integers)
    torch.testing.assert_close(tiny(pictures()), usual(pictures()), rtol=1e-3, atol=1e-3)


def test_scales_next_to_the_least_normal_number_survive_the_export(tmp_path):
    class Faint(Normed):
        def forward(self, images):
            hidden = torch.relu(self.conv(images) * 2.0**119)
            return self.head(hidden.mean((2, 3)))

    model, images = made(Faint), pictures()
    with torch.no_grad():
        model.conv.weight.mul_(2.0**-119)
        model.conv.bias.zero_()
    quantized = gp_emq.quantize(model, {"conv": 4, "head": 8}, images, method="rtn")
    assert 0 < float(quantized.weights["conv"].parameters.scale.max()) < 2.0**-122
    path, layers = tmp_path / "faint.onnx", find_layers(model, images[:1])
    export_onnx(quantized, layers, path, images.shape[1:])
    ran = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})[0]
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(ran), quantized(images), rtol=1e-3, atol=1e-3)
        assert float(quantized(images).std()) > 1e-3


@pytest.mark.parametrize(
    ("weights", "inputs"),
    [
        (2.0**-115, 1.0), (1.0, 2.0**-110), (2.0**-60, 2.0**-60), (2.0**60, 2.0**-110),
        (2.0**60, 1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dead", [False, True])
def test_an_export_has_scales_of_any_size(weights, inputs, dead, tmp_path):
    class Undone(Normed):
        def forward(self, images):
            hidden = self.conv(images * inputs) * (1 / inputs) * (1 / weights)
            return self.head(torch.relu(hidden).mean((2, 3)))

    model, images = made(Undone), pictures()
    with torch.no_grad():
        model.conv.weight.mul_(weights)
        model.conv.bias.mul_(weights * inputs)
        if dead:
            model.conv.weight[1] = 1e-41 * min(weights, 1.0)
    quantized = gp_emq.quantize(model, {"conv": 4, "head": 8}, images, method="rtn")
    path, layers = tmp_path / "faint.onnx", find_layers(model, images[:1])
    export_onnx(quantized, layers, path, images.shape[1:])
    ran = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})[0]
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(ran), quantized(images), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(quantized(images), model(images), rtol=0.1, atol=0.05)
        assert float(quantized(images).std()) > 1e-3


def test_half_precision_inputs_are_rounded_in_float32():
    grid = gp_emq.quantization.QuantizationParameters(
        torch.tensor(0.1), torch.tensor(100.0), 0, 255
    )
    values = torch.linspace(-9, 14, 400).to(torch.bfloat16)
    steps = np.round(values.float().numpy() / np.float32(0.1)).clip(-100, 155)
    nearest = torch.from_numpy(steps * np.float32(0.1))
    assert torch.equal(fake_quantize(values, grid), nearest.to(torch.bfloat16))


def test_nothing_around_a_call_changes_what_it_gives():
    model, images = made(Normed), pictures()
    widths = {"conv": 3, "head": 4}
    expected = gp_emq.quantize(model, widths, images, method="adaround", iterations=3)
    contexts = [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
    for context in contexts:
        with context():
            found = gp_emq.quantize(model, widths, pictures(), method="adaround", iterations=3)
        assert torch.equal(found(images), expected(images))
    training = copy.deepcopy(model).train()
    found = gp_emq.quantize(training, widths, images, method="adaround", iterations=3)
    assert torch.equal(found(images), expected(images))
    parallel = gp_emq.quantize(
        nn.DataParallel(model), widths, images, method="adaround", iterations=3
    )
    assert torch.equal(parallel(images), expected(images))


@pytest.mark.parametrize("where", ["conv.weight", "norm.running_var", "head.bias"])
def test_what_is_not_finite_is_refused_by_name(where):
    model = made(Normed)
    model.state_dict()[where].view(-1)[0] = float("nan")
    with pytest.raises(NetworkError, match=where):
        gp_emq.quantize(model, {"conv": 4}, pictures(), method="rtn")
    images = pictures()
    images[3, 0, 0, 0] = float("inf")
    with pytest.raises(GpEmqError, match="image 3"):
        gp_emq.quantize(made(Normed), {"conv": 4}, images, method="rtn")


class Fourier(nn.Module):
    """Turns what each channel has of every wave, and multiplies complex numbers by a matrix."""

    def __init__(self):
        super().__init__()
        self.turns = nn.Parameter(torch.randn(2, 8, 5, dtype=torch.complex64))
        self.register_buffer("phase", torch.exp(1j * torch.arange(5.0)))
        self.conv, self.mixed = nn.Conv2d(2, 4, 3), nn.Linear(4, 4, dtype=torch.complex64)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        waves = torch.fft.rfft2(x) * self.turns * self.phase
        found = self.conv(torch.fft.irfft2(waves, s=(8, 8))).relu().mean((2, 3))
        return self.head(self.mixed(found.to(torch.complex64)).abs())


def test_complex_weights_stay_as_they_are_and_come_back_from_a_file(tmp_path):
    model, images = made(Fourier), pictures()
    layers = find_layers(model, images[:1])
    assert [layer.name for layer in layers] == ["conv", "head"]
    kept = gp_emq.allocation.kept_in_float(model, layers)
    assert kept == {"turns": "complex numbers", "mixed.weight": "complex numbers"}
    quantized = gp_emq.quantize(
        model, {"conv": 8, "head": 8}, images, activation_bits=32, method="rtn"
    )
    assert torch.equal(quantized.network.turns, model.turns)
    torch.testing.assert_close(quantized(images), model(images), atol=0.05, rtol=0)
    gp_emq.save_quantized(quantized, tmp_path / "fourier.safetensors")
    loaded = gp_emq.load_quantized(tmp_path / "fourier.safetensors", model)
    assert torch.equal(loaded(images), quantized(images))
    model.turns.data[1, 2, 3] = complex(0, torch.inf)
    with pytest.raises(NetworkError, match=r"turns holds infj at \[1, 2, 3\]"):
        gp_emq.quantize(model, {"conv": 8}, images, method="rtn")


@pytest.mark.parametrize("rule", ["robust", "minmax", "mse"])
@pytest.mark.parametrize("change", ["log", "reciprocal"])
def test_inputs_of_layers_that_are_not_finite_are_refused_by_name(rule, change):
    class Changed(AllAtOnce):
        def forward(self, x):
            return self.head(getattr(self.conv(x).relu(), change)().mean((2, 3)))

    with pytest.raises(QuantizationError, match="inputs of layer 'head' are not finite"):
        gp_emq.quantize(
            made(Changed), {"conv": 4, "head": 4}, pictures(), activation_rule=rule, method="rtn"
        )


def test_outputs_that_quantization_makes_infinite_are_refused():
    class Inverse(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1, bias=False)
            with torch.no_grad():
                self.conv.weight.copy_(torch.tensor([[1.0, 0.01], [1.0, 0.01]])[:, :, None, None])

        def forward(self, x):
            return 1 / (self.conv(x) * torch.tensor([0.0, 1.0])[:, None, None]).mean((2, 3))

    images = torch.zeros(4, 2, 4, 4)
    images[:, 1] = 1
    with pytest.raises(GpEmqError, match="image 0 is not finite"):
        gp_emq.quantize(
            nn.Sequential(_Masked(), Inverse()),
            {"1.conv": 2},
            images,
            activation_bits=32,
            method="rtn",
        )


class _Masked(nn.Module):
    def forward(self, x):
        return x + torch.tensor([0.0, 1.0])[:, None, None]


def test_a_layer_that_no_image_calls_is_refused_unless_its_input_stays_in_float():
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.more = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            return (self.more(x) if x.mean() > 1e6 else x).mean((2, 3))

    class Second(Sometimes):
        def forward(self, x):
            return torch.cat([
                self.more(self.conv(v)) if v.mean() > 0 else self.conv(v) for v in x.split(1)
            ]).mean((2, 3))  # fmt: skip

    images = pictures()
    with pytest.raises(QuantizationError, match="a layer 'more'"):
        gp_emq.quantize(made(Sometimes), {"conv": 4, "more": 4}, images, method="rtn")
    order = images.mean((1, 2, 3)).argsort()
    quantized = gp_emq.quantize(made(Second), {"conv": 4, "more": 4}, images[order], method="rtn")
    assert set(quantized.activations) == {"conv", "more"}
    learned = gp_emq.quantize(
        made(Second), {"conv": 4, "more": 4}, images[order], method="adaround", iterations=3
    )
    assert learned(images).isfinite().all()


class Autocast(Normed):
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x)


class WithoutRows(AllAtOnce):
    """Feeds its last layer single vectors, without an axis of images."""

    def forward(self, x):
        return torch.stack([self.head(found) for found in self.conv(x).relu().mean((2, 3))])


@pytest.mark.parametrize(
    ("kind", "plain", "method"),
    [
        (Autocast, Normed, "rtn+bn"), (Autocast, Normed, "rtn+bn-correction"),
        (Autocast, Normed, "rtn+bias-correction"), (WithoutRows, AllAtOnce, "rtn+bias-correction"),
    ],
)  # fmt: skip
def test_methods_take_what_layers_and_norms_are_fed_as_it_comes(kind, plain, method):
    images = pictures(8)
    widths = {layer.name: 8 for layer in find_layers(made(plain), images[:1])}
    found, wanted = (
        gp_emq.quantize(made(one), widths, images, method=method, activation_bits=32)(images)
        for one in (kind, plain)
    )
    spread = float(wanted.detach().std())
    torch.testing.assert_close(found.float(), wanted, atol=0.05 * spread, rtol=0.03)


def test_dead_layers_and_constant_inputs_stay_exactly_zero():
    model, images = made(Normed), torch.zeros(4, 2, 8, 8)
    with torch.no_grad():
        model.head.weight.zero_()
        model.conv.weight[1] = 0
    for method in ("rtn", "adaround", "brecq"):
        options = {} if method == "rtn" else {"iterations": 3}
        quantized = gp_emq.quantize(model, {"conv": 4, "head": 4}, images, method=method, **options)
        assert not quantized.network.head.weight.any()
        assert not quantized.network.conv.weight[1].any()
        torch.testing.assert_close(quantized(images), model(images))


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4, momentum=None), nn.BatchNorm2d(4, track_running_stats=False),
        nn.BatchNorm2d(4, affine=False), nn.SyncBatchNorm(4),
        nn.InstanceNorm2d(4, track_running_stats=True),
    ],
    ids=["cumulative", "of the batch", "plain", "synchronized", "of instances"],
)  # fmt: skip
def test_statistics_are_estimated_for_every_kind_of_norm(norm):
    model, images = made(Normed), pictures()
    model.norm = copy.deepcopy(norm)
    model.idle = nn.BatchNorm2d(3)
    model.eval()
    quantized = gp_emq.quantize(model, {"conv": 2}, images, method="rtn+bn", activation_bits=32)
    fresh, again = quantized.network.norm, model.norm
    assert (fresh.training, fresh.momentum) == (False, again.momentum)
    assert torch.equal(quantized.network.idle.running_var, model.idle.running_var)
    if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.track_running_stats:
        outputs = quantized.network.conv(images).detach().double()
        torch.testing.assert_close(fresh.running_mean.double(), outputs.mean((0, 2, 3)))
        assert torch.equal(fresh.num_batches_tracked, again.num_batches_tracked)
    assert quantized(images).isfinite().all()


@pytest.mark.parametrize("calls", [1, 2])
def test_instance_norms_get_the_statistics_that_training_would_give_them(calls):
    class Normalized(Normed):
        def __init__(self):
            super().__init__()
            self.norm = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)

        def forward(self, images):
            fed = [images, 3 * images[:, :, ::2]][:calls]
            return self.head(sum(self.norm(self.conv(x)).relu().mean((2, 3)) for x in fed))

    model, images = made(Normalized), pictures()
    quantized = gp_emq.quantize(model, {"conv": 2}, images, method="rtn+bn", activation_bits=32)
    fed = [images, 3 * images[:, :, ::2]][:calls]
    values = [quantized.network.conv(x).detach().double().flatten(2) for x in fed]
    means = torch.cat([value.mean(2) for value in values]).mean(0)
    variances = torch.cat([value.var(2) for value in values]).mean(0)
    torch.testing.assert_close(quantized.network.norm.running_mean.double(), means)
    torch.testing.assert_close(quantized.network.norm.running_var.double(), variances)


class OneStatistic(nn.Module):
    """Two norms that look at one mean and one variance."""

    def __init__(self, together):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)
        self.one, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        for name in ("running_mean", "running_var"):
            value = getattr(self.one, name)
            self.other._buffers[name] = value if together else value.view(4)

    def forward(self, x):
        hidden = self.one(self.conv(x)) + self.other(self.conv(2 * x + 1))
        return self.head(hidden.relu().mean((2, 3)))


@pytest.mark.parametrize("together", [True, False])
def test_norms_that_share_their_statistics_go_on_sharing_them(together):
    model, images = OneStatistic(together).eval(), pictures()
    quantized = gp_emq.quantize(model, {"conv": 3}, images, method="rtn+bn", activation_bits=32)
    layers = find_layers(model, images[:1])
    weights = quantize_weights(model, layers, (3, 8), WeightQuantizer(per_channel=True))
    bench = QuantizedNetwork(model, layers, weights, None)
    bench.configure([3, 8])
    with undisturbed(), torch.no_grad(), estimating(bench.norms):
        bench.logits(images)
    for network in (quantized.network, bench.model):
        values = [network.conv(x).detach().double() for x in (images, 2 * images + 1)]
        rows = torch.cat(values).transpose(0, 1).flatten(1)
        assert network.one.running_mean is network.other.running_mean
        torch.testing.assert_close(network.one.running_mean, rows.mean(1).float())
        torch.testing.assert_close(network.other.running_var, rows.var(1).float())


def test_a_norm_that_is_called_twice_has_the_statistics_of_both_calls():
    class Twice(Normed):
        def forward(self, images):
            first, second = self.conv(images), self.conv(3 * images)[:, :, ::2]
            both = self.norm(first).mean((2, 3)) + self.norm(input=second).mean((2, 3))
            return self.head(both)

    model, images = made(Twice), pictures()
    quantized = gp_emq.quantize(model, {"conv": 8}, images, method="rtn+bn", activation_bits=32)
    conv = quantized.network.conv
    values = [conv(images), conv(3 * images)[:, :, ::2]]
    rows = torch.cat([v.detach().double().transpose(0, 1).flatten(1) for v in values], dim=1)
    torch.testing.assert_close(quantized.network.norm.running_mean.double(), rows.mean(1))
    torch.testing.assert_close(quantized.network.norm.running_var.double(), rows.var(1))


class Awkward(nn.Module):
    """Convolutions that no integer convolution, and no fused ReLU, may stand for."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), Standardized(4, 4, 3, padding=1)
        self.third, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)
        self.third.register_forward_hook(lambda _m, _i, o: o * 3)

    def forward(self, x):
        x = self.first(input=x).relu()
        x = torch.stack([self.norm(self.third(self.second(v[None])))[0].relu() for v in x])
        return self.head(x.mean((2, 3)))


@pytest.mark.skipif(not integer_convolution_available(), reason="no 8-bit convolution here")
def test_integers_stand_for_floats_only_where_they_compute_the_same():
    model, images = made(Awkward), pictures()
    layers = find_layers(model, images[:1])
    weights = quantize_weights(model, layers, (4,), WeightQuantizer())
    grids = calibrate_activations(model, layers, images, ActivationQuantizer())
    before = everything_of(model)
    found = []
    for integer in (True, False):
        network = QuantizedNetwork(model, layers, weights, grids, integer=integer)
        network.configure([4] * len(layers))
        found.append(network.logits(images))
    torch.testing.assert_close(*found, rtol=0.02, atol=0.02)
    assert same(before, everything_of(model))
