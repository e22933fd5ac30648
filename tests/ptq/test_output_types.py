"""The floating types of what quantized networks give: those of the network's own outputs."""

import pytest
import torch
from small_networks import pictures
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.errors import ExportError
from gp_emq.export import load_quantized, save_packed
from gp_emq.export._container import read_container
from gp_emq.export._header import header_text, read_header
from gp_emq.networks import find_layers
from gp_emq.qat import QatSettings, Samples, TensorImages, train, warm_start

HALF, BRAIN, DOUBLE = torch.float16, torch.bfloat16, torch.float64
WIDTHS = {"conv": 8, "inner": 8, "head": 8}


class Parts(nn.Module):
    """A convolution, another and a product, whose floating types are told one by one."""

    kinds = (torch.float32,) * 3
    last: torch.dtype | None = None

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.inner = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1)
            self.head = nn.Linear(4, 3)
        for module, kind in zip((self.conv, self.inner, self.head), self.kinds, strict=True):
            module.to(kind)

    def forward(self, x):
        x = self.conv(x.to(self.kinds[0])).relu()
        x = self.inner(x.to(self.kinds[1])).to(self.kinds[2])
        out = self.head(x.mean((2, 3)))
        return out if self.last is None else out.to(self.last)


def parts(*kinds, last=None):
    return type("Parts", (Parts,), {"kinds": kinds, "last": last})


class Many(parts(HALF, HALF, HALF)):
    def forward(self, x):
        out = super().forward(x)
        return {"logits": out.float(), "raw": out, "best": out.argmax(1), "twice": (2 * out, "s")}


class AfterNorm(Parts):
    """In half precision, but for a part that is registered last."""

    kinds = (HALF, HALF, HALF)

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)


class Autocast(Parts):
    def forward(self, x):
        with torch.autocast("cpu", BRAIN):
            return super().forward(x)


KINDS = {
    "half": parts(HALF, HALF, HALF),
    "bfloat16": parts(BRAIN, BRAIN, BRAIN),
    "double": parts(DOUBLE, DOUBLE, DOUBLE),
    "half inside": parts(torch.float32, HALF, torch.float32),
    "half, out in float": parts(HALF, HALF, HALF, last=torch.float32),
    "float, out in half": parts(*(torch.float32,) * 3, last=HALF),
    "a head in double": parts(torch.float32, BRAIN, DOUBLE),
    "a head in half": parts(torch.float32, torch.float32, HALF),
    "double inside": parts(HALF, DOUBLE, BRAIN),
    "several outputs": Many,
    "another part last": AfterNorm,
    "autocast": Autocast,
}


def leaves(output):
    found = torch.utils._pytree.tree_leaves(output)
    return [leaf for leaf in found if isinstance(leaf, torch.Tensor)]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("method", ["rtn", "adaround"])
def test_outputs_have_the_types_that_the_network_gives_them(kind, method, tmp_path):
    model, images = KINDS[kind]().eval(), pictures()
    options = {} if method == "rtn" else {"iterations": 2}
    quantized = gp_emq.quantize(model, WIDTHS, images, method=method, activation_bits=32, **options)
    right, found = leaves(model(images)), leaves(quantized(images))
    assert [value.dtype for value in found] == [value.dtype for value in right]
    for one, other in zip(found, right, strict=True):
        if one.is_floating_point():
            torch.testing.assert_close(one.double(), other.double(), rtol=0.05, atol=0.02)
    path = tmp_path / "packed.safetensors"
    save_packed(quantized, find_layers(model, images[:1]), path)
    again = load_quantized(path, KINDS[kind]().eval())
    for one, other in zip(leaves(again(images)), found, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["half", "double", "half, out in float", "a head in double"])
def test_the_grids_are_those_of_the_values_in_float32(kind):
    model, images = KINDS[kind]().eval(), pictures()
    widths = dict.fromkeys(WIDTHS, 3)
    plain = Parts().eval()
    with torch.no_grad():
        for name in WIDTHS:
            for mine, own in zip(
                plain.get_submodule(name).parameters(), model.get_submodule(name).parameters(),
                strict=True,
            ):  # fmt: skip
                mine.copy_(own)
    found, right = (gp_emq.quantize(one, widths, images, method="rtn") for one in (model, plain))
    for name, weight in right.weights.items():
        assert torch.equal(found.weights[name].integers, weight.integers)
        assert torch.equal(found.activations[name].scale, right.activations[name].scale)
    torch.testing.assert_close(found(images).float(), right(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["half", "half, out in float", "a head in double"])
def test_training_keeps_them(kind):
    model, images = KINDS[kind]().eval(), pictures()
    layers, labels = find_layers(model, images[:1]), torch.arange(len(images)) % 3
    settings = QatSettings(epochs=1, batch=12)
    start = warm_start(model, layers, WIDTHS, images, settings)
    samples = Samples(TensorImages(images, labels))
    trained = train(model, layers, WIDTHS, start, samples, settings=settings, quiet=True)
    wanted = model(images).dtype
    assert (start(images).dtype, trained(images).dtype) == (wanted, wanted)


@pytest.mark.parametrize("kind", ["double", "a head in double", "half inside", "double inside"])
def test_statistics_are_those_of_the_values_in_float64(kind):
    model, images = KINDS[kind]().eval(), pictures(6)
    labels = torch.arange(6) % 3
    plain = Parts().double().eval()
    with torch.no_grad():
        for mine, own in zip(plain.parameters(), model.parameters(), strict=True):
            mine.copy_(own)
    plain.kinds = (DOUBLE,) * 3
    weights = [plain.get_submodule(name).weight for name in WIDTHS]
    squares = [torch.zeros_like(weight) for weight in weights]
    for image, label in zip(images.double().split(1), labels.split(1), strict=True):
        gradients = torch.autograd.grad(functional.cross_entropy(plain(image), label), weights)
        for total, gradient in zip(squares, gradients, strict=True):
            total.add_(gradient.square() / len(images))
    statistics = gp_emq.collect_statistics(model, images, labels, bits=(2, 4))
    views = statistics.layout("Weights").views(statistics.tensor("fisher_diagonal").double())
    for one, other in zip(views, squares, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-9)
    gp_emq.load_proxy("hawq").table(statistics)


def test_a_file_with_no_such_type_is_damaged(tmp_path):
    model, images = KINDS["half, out in float"]().eval(), pictures()
    quantized = gp_emq.quantize(model, WIDTHS, images, method="rtn")
    save_packed(quantized, find_layers(model, images[:1]), tmp_path / "a.safetensors")
    text = header_text(read_container(tmp_path / "a.safetensors").header())
    assert '"outputs":["float32"]' in text
    with pytest.raises(ExportError, match="is damaged: an output is 'int3'"):
        read_header("a file", text.replace('["float32"]', '["int3"]'))
