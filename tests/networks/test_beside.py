"""What a network multiplies with and is no parameter is listed; other tensors of it are not."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.allocation import kept_in_float
from gp_emq.networks import Workload, find_layers

BUFFER, PLAIN = "a buffer of its own", "a tensor of its own, no parameter"


class Own(nn.Module):
    """Holds a tensor, as a buffer or not, and uses it before its layer."""

    def __init__(self, shape, use, *, as_buffer):
        super().__init__()
        value = torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape)
        if as_buffer:
            self.register_buffer("kept", value)
        else:
            self.kept = value
        self.use, self.head = use, nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.use(self, x))


def mean_of(images):
    return images.mean((2, 3))


MULTIPLIED = {
    "linear": ((4, 4), lambda net, x: functional.linear(mean_of(x), net.kept)),
    "by name": ((4, 4), lambda net, x: functional.linear(mean_of(x), weight=net.kept)),
    "convolution": ((4, 4, 3, 3), lambda net, x: mean_of(functional.conv2d(x, net.kept))),
    "transposed": ((4, 4, 3, 3), lambda net, x: mean_of(functional.conv_transpose2d(x, net.kept))),
    "operator": ((4, 4), lambda net, x: mean_of(x) @ net.kept.t()),
    "from the left": ((4, 4), lambda net, x: (net.kept @ mean_of(x).t()).t()),
    "sum of products": ((4, 4), lambda net, x: torch.einsum("nchw,cd->nd", x, net.kept)),
    "a part": ((2, 4, 4), lambda net, x: mean_of(x).mm(net.kept[1])),
    "rows": ((9, 4), lambda net, x: functional.embedding(mean_of(x).argmax(1), net.kept)),
}
NOT_MULTIPLIED = {
    "positions": ((8, 8), lambda net, x: mean_of(x + net.kept)),
    "a mask": ((8, 8), lambda net, x: mean_of(x.masked_fill(net.kept > 0, 0.0))),
    "scales": ((4, 8, 8), lambda net, x: mean_of(x * net.kept)),
    "a product's data": ((1, 4), lambda net, x: net.head(net.kept).new_zeros(len(x), 4)),
    "one axis": ((16,), lambda net, x: mean_of(x) @ net.kept.view(4, 4)),
    "never used": ((4, 4), lambda net, x: mean_of(x)),
}
IMAGES = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def kept_of(model):
    return kept_in_float(Workload(model, IMAGES), find_layers(model, IMAGES[:1]))


@pytest.mark.parametrize("as_buffer", [True, False], ids=["buffer", "plain"])
@pytest.mark.parametrize("use", list(MULTIPLIED))
def test_what_is_multiplied_with_is_listed(use, as_buffer):
    shape, call = MULTIPLIED[use]
    what = BUFFER if as_buffer else PLAIN
    assert kept_of(Own(shape, call, as_buffer=as_buffer)) == {
        "kept": f"Own: {what}, that it multiplies with"
    }


class Members(nn.Module):
    """Multiplies with each of three matrices, side by side, and with a buffer."""

    def __init__(self):
        super().__init__()
        self.members, self.head = nn.Parameter(torch.randn(3, 4, 4)), nn.Linear(4, 2)
        self.register_buffer("kept", torch.randn(4, 4))

    def forward(self, x):
        fed = mean_of(x) @ self.kept
        return self.head(torch.func.vmap(lambda member: fed @ member)(self.members).mean(0))


def test_products_that_are_mapped_over_members_hide_no_others():
    assert kept_of(Members()) == {
        "members": "Members: a parameter of its own, which is no layer's weight",
        "kept": f"Members: {BUFFER}, that it multiplies with",
    }


@pytest.mark.parametrize("as_buffer", [True, False], ids=["buffer", "plain"])
@pytest.mark.parametrize("use", list(NOT_MULTIPLIED))
def test_other_tensors_are_not(use, as_buffer):
    shape, call = NOT_MULTIPLIED[use]
    assert kept_of(Own(shape, call, as_buffer=as_buffer)) == {}


def test_statistics_of_batch_norms_and_aliases_of_parameters_are_not():
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    model[0].also = model[0].weight.data
    assert kept_of(model.eval()) == {}


def test_later_samples_may_take_another_way():
    """The first calls the head alone, the second multiplies before it."""
    images = torch.stack([torch.full((4, 8, 8), -1.0), torch.ones(4, 8, 8)])

    def use(net, x):
        return mean_of(x) @ net.kept if float(x.sum()) > 0 else mean_of(x)

    model = Own((4, 4), use, as_buffer=True)
    layers = find_layers(model, images)
    assert list(kept_in_float(Workload(model, images), layers)) == ["kept"]
    assert kept_in_float(Workload(model, images[:1]), layers) == {}
    assert kept_in_float(model, layers) == {}  # without samples nothing is known of it


def test_statistics_tell_of_it_and_leave_the_network_alone():
    model = Own(*MULTIPLIED["operator"], as_buffer=True)
    before = model.kept.clone()
    statistics = gp_emq.collect_statistics(model, IMAGES, bits=(2, 4))
    assert dict(statistics.kept_in_float) == {"kept": f"Own: {BUFFER}, that it multiplies with"}
    plan = gp_emq.allocate(gp_emq.load_proxy("bits").table(statistics), average_bits=4)
    assert list(plan.kept_in_float) == ["kept"]
    assert torch.equal(before, model.kept)


def test_modules_that_are_not_registered_are_named():
    model = Own((4, 4), lambda net, x: net.parts[0](mean_of(x)), as_buffer=True)
    model.parts = [nn.Linear(4, 4)]
    what = "a tensor of its own, of a module that is not registered"
    assert kept_of(model) == {"parts[0].weight": f"Own: {what}, that it multiplies with"}


def test_tensors_in_containers_have_names():
    model = Own((4, 4), lambda net, x: mean_of(x) @ net.others[1] @ net.deep["a"], as_buffer=True)
    model.others, model.deep = [None, torch.ones(4, 4)], {"a": torch.ones(4, 4)}
    within = nn.Sequential(model)
    assert kept_of(within) == {
        "0.others[1]": f"Own: {PLAIN}, that it multiplies with",
        "0.deep['a']": f"Own: {PLAIN}, that it multiplies with",
    }


class Neighbours(nn.Module):
    """Mixes four channels with their neighbours, which it keeps in some layout."""

    def __init__(self, layout, multiply):
        super().__init__()
        torch.manual_seed(0)
        near = torch.tensor([[0.0, 2, 0, 1], [1, 0, 0, 0], [0, 0, 3, 0], [0.5, 0, 0, 1]])
        near = near if layout == torch.strided else near.to_sparse(layout=layout)
        self.register_buffer("near", near, persistent=False)
        self.multiply, self.head = multiply, nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.multiply(self.near, mean_of(x).t()).t())


@pytest.mark.filterwarnings("ignore:Sparse CS")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
@pytest.mark.parametrize("multiply", [torch.sparse.mm, torch.matmul])
def test_sparse_buffers_are_listed_and_kept_as_they_are(layout, multiply, tmp_path):
    model, dense = Neighbours(layout, multiply), Neighbours(torch.strided, torch.matmul)
    assert kept_of(model) == {"near": f"Neighbours: {BUFFER}, that it multiplies with"}
    expected = gp_emq.quantize(dense, {"head": 4}, IMAGES)
    quantized = gp_emq.quantize(model, {"head": 4}, IMAGES)
    assert torch.allclose(quantized(IMAGES), expected(IMAGES), atol=1e-6)
    gp_emq.save_quantized(quantized, tmp_path / "saved.safetensors")
    loaded = gp_emq.load_quantized(tmp_path / "saved.safetensors", model)
    assert torch.equal(loaded(IMAGES), quantized(IMAGES))
    tables = [
        gp_emq.collect_statistics(net, IMAGES, bits=(2, 4)).tensor("fisher_diagonal")
        for net in (model, dense)
    ]
    assert torch.allclose(*tables, rtol=1e-4)


def test_what_vmap_maps_over_is_listed():
    def use(net, x):
        return torch.vmap(lambda weight: mean_of(x) @ weight)(net.kept).mean(0)

    model = Own((3, 4, 4), use, as_buffer=True)
    assert kept_of(model) == {"kept": f"Own: {BUFFER}, that it multiplies with"}
