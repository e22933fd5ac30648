import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.allocation import load_plan, save_plan
from gp_emq.errors import NetworkError
from gp_emq.networks import PER_CHANNEL, entry_layers, find_layers, float_sizes, size_table
from gp_emq.proxies.handcrafted import HANDCRAFTED


class Shared(nn.Module):
    """Two products with one weight, each with its bias, and a module known by two names."""

    def __init__(self, shared=True, apart=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)
        self.again = self.stem
        if shared:
            self.second.weight = self.first.weight
        if apart:
            self.second.weight = nn.Parameter(self.first.weight.data)

    def forward(self, x):
        hidden = self.stem(x).relu().mean((2, 3))
        return self.head(self.second(self.first(hidden).relu()).relu())


@pytest.fixture(scope="module", params=[False, True], ids=["one", "two on one storage"])
def model(request):
    torch.manual_seed(0)
    return Shared(shared=not request.param, apart=request.param).eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 3, 8, 8, generator=generator), torch.arange(12) % 4


@pytest.fixture(scope="module")
def statistics(model, batch):
    return gp_emq.collect_statistics(model, *batch, bits=(2, 4))


def test_layers_with_one_weight_are_one_entry(model):
    layers = find_layers(model, torch.zeros(1, 3, 8, 8))
    assert [layer.name for layer in layers] == ["stem", "first", "second", "head"]
    assert [layer.shares for layer in layers] == ["", "", "first", ""]
    assert entry_layers(layers) == ((0,), (1, 2), (3,))
    assert [layer.parameters for layer in layers] == [168, 42, 6, 28]
    assert [layer.macs for layer in layers] == [36 * 162, 36, 36, 24]


def test_ties_of_the_user_join_what_shares_a_weight(model):
    layers = find_layers(model, torch.zeros(1, 3, 8, 8), [("second", "head")])
    assert entry_layers(layers) == ((0,), (1, 2, 3))
    both = find_layers(model, torch.zeros(1, 3, 8, 8), [("stem", "first"), ("second", "head")])
    assert entry_layers(both) == ((0, 1, 2, 3),)


def test_a_bias_that_two_layers_share_is_counted_once():
    model = Shared()
    model.second.bias = model.first.bias
    layers = find_layers(model, torch.zeros(1, 3, 8, 8))
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in model.parameters())


class Halves(nn.Module):
    """Two products with weights that are the columns of one matrix, and a norm of kept numbers."""

    def __init__(self, start=6):
        super().__init__()
        matrix = torch.randn(6, 12)
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.first.weight = nn.Parameter(matrix[:, :6])
        self.second.weight = nn.Parameter(matrix[:, start : start + 6])
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        return self.second(self.norm(self.first(x.flatten(1)[:, :6])).relu())


class Transposed(Halves):
    """An autoencoder whose second product is the first the other way round."""

    def __init__(self):
        super().__init__()
        self.second.weight = nn.Parameter(self.first.weight.data.t())


class Looked(Halves):
    """Shares the memory of a weight with a buffer that forward adds to it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("looked_at", self.first.weight.data)

    def forward(self, x):
        return super().forward(x) + x.flatten(1)[:, :6] @ self.looked_at.t()


def test_parts_of_one_storage_that_do_not_meet_are_weights_of_their_own():
    layers = find_layers(Halves(), torch.zeros(1, 3, 8, 8))
    assert [layer.shares for layer in layers] == ["", ""]


@pytest.mark.parametrize("make", [lambda: Halves(start=3), Transposed])
def test_weights_that_overlap_are_refused_in_one_line(make, batch):
    calls = (
        lambda: find_layers(make(), batch[0]),
        lambda: gp_emq.collect_statistics(make(), *batch, bits=(2, 4)),
        lambda: gp_emq.quantize(make(), {"first": 2}, batch[0], method="rtn"),
    )
    for call in calls:
        with pytest.raises(NetworkError, match=r"'first\.weight' and .* share a part"):
            call()


def test_a_buffer_on_the_memory_of_a_weight_is_quantized_with_it(batch):
    quantized = gp_emq.quantize(
        Looked(), {"first": 2}, batch[0], activation_bits=32, method="rtn"
    ).network
    assert quantized.first.weight[0].unique().numel() <= 4
    assert torch.equal(quantized.looked_at, quantized.first.weight)


def test_the_weight_is_stored_once(model):
    layers = find_layers(model, torch.zeros(1, 3, 8, 8))
    numbers = np.array([168, 36 + 6 + 6, 28])
    np.testing.assert_array_equal(float_sizes(layers), 4 * numbers)
    np.testing.assert_array_equal(size_table(layers, (4,))[:, 0], numbers / 2)
    # 36 weights of 4 bits, six float32 scales, and two biases of six float32.
    stored = size_table(layers, (4,), "stored", granularity=PER_CHANNEL)
    assert stored[1, 0] == 18 + 24 + 48


def test_a_statistic_has_one_tensor_for_each_weight(model, batch, statistics):
    def slope(images, answers):
        loss = functional.cross_entropy(model(images), answers)
        return sum(torch.autograd.grad(loss, list({model.first.weight, model.second.weight})))

    layout = statistics.layout("Weights")
    assert layout.shapes == ((6, 3, 3, 3), (6, 6), (4, 6))
    gradient = slope(*batch)
    views = layout.views(statistics.tensor("weight_gradient"))
    torch.testing.assert_close(views[1], gradient)
    squares = [slope(batch[0][i : i + 1], batch[1][i : i + 1]).square() for i in range(12)]
    fisher = layout.views(statistics.tensor("fisher_diagonal"))
    torch.testing.assert_close(fisher[1], torch.stack(squares).mean(0))


def test_a_hessian_product_reaches_every_use_of_the_weight(model, batch, statistics):
    weights = [model.stem.weight, model.first.weight.clone(), model.head.weight]
    state = {"first.weight": weights[1], "second.weight": weights[1]}
    logits = torch.func.functional_call(model, state, (batch[0],), tie_weights=False)
    loss = functional.cross_entropy(logits, batch[1])
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    along = sum((g * g.detach()).sum() for g in gradients)
    expected = torch.autograd.grad(along, weights)
    found = statistics.layout("Weights").views(statistics.tensor("hessian_gradient"))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_numbers_of_entries_count_the_weight_once(statistics):
    assert statistics.tensor("parameter_count").tolist() == [168, 48, 28]
    assert statistics.tensor("macs").tolist() == [36 * 162, 72, 24]


def test_every_proxy_has_a_table(statistics):
    for name in HANDCRAFTED:
        table = gp_emq.load_proxy(name).table(statistics)
        assert table.shape == (3, 2), name
        assert np.isfinite(table).all(), name


def test_quantizing_the_entry_alone_quantizes_every_use(model, batch, statistics):
    table = gp_emq.load_proxy("loss_change").table(statistics)
    change = statistics.layout("WeightsPerBit").views(statistics.perturbation())[1][0]
    with torch.no_grad():
        before = model(batch[0]).double()
        state = {f"{name}.weight": model.first.weight + change for name in ("first", "second")}
        after = torch.func.functional_call(model, state, (batch[0],), tie_weights=False).double()
    expected = functional.cross_entropy(before, batch[1])
    expected -= functional.cross_entropy(after, batch[1])
    assert table[1, 0] == pytest.approx(float(expected), rel=1e-9)


def test_a_plan_with_shared_weights_is_read_back(statistics, tmp_path):
    table = [[-1, -0.9], [-9, -1], [-2, -1]]
    plan = gp_emq.allocate(table, statistics.layers, bits=(2, 4), average_bits=3)
    assert plan.widths["first"] == plan.widths["second"]
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan


def test_statistics_on_disk_keep_who_shares(model, batch, tmp_path):
    collected = gp_emq.collect_statistics(model, *batch, bits=(2, 4), cache=tmp_path)
    value = collected.tensor("fisher_diagonal")
    opened = gp_emq.statistics.open_statistics(collected.folder)
    assert opened.layers == collected.layers
    assert torch.equal(opened.tensor("fisher_diagonal"), value)
    assert len(opened.subsample().layout("Weights").shapes) == 3
