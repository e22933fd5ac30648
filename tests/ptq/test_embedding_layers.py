"""Embeddings as layers: quantized rows, held to products with one-hot vectors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reference_quantizer import row_grids
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import gp_emq
from gp_emq.errors import QuantizationError
from gp_emq.networks import (
    PER_CHANNEL,
    Granularity,
    Workload,
    activation_elements,
    bit_operations_table,
    find_layers,
    size_table,
)
from gp_emq.quantization import ActivationQuantizer, WeightQuantizer, calibrate_activations

WORDS, WIDTH, STEPS, COUNT = 11, 6, 4, 12
ROWS = WeightQuantizer(per_channel=True, scale_rule="minmax")


class Reader(nn.Module):
    """Words by a table, with padding and places; written with the same table where it is tied."""

    def __init__(self, *, tied: bool, **options: object) -> None:
        super().__init__()
        self.read = nn.Embedding(WORDS, WIDTH, **options)
        self.place = nn.Embedding(STEPS, WIDTH)
        self.middle = nn.Linear(WIDTH, WIDTH)
        self.write = nn.Linear(WIDTH, WORDS, bias=False)
        self.gain = 1.0
        if tied:
            self.write.weight = self.read.weight

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1])
        found = self.read(tokens) + self.place(places)
        return self.write(self.gain * torch.tanh(self.middle(found)).mean(1))


def made(*, tied: bool = False, seed: int = 0, **options: object) -> Reader:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Reader(tied=tied, **options).eval()


TOKENS = torch.randint(0, WORDS - 1, (COUNT, STEPS), generator=torch.Generator().manual_seed(1))
"""The last word never occurs."""
WIDTHS = {"read": 3, "place": 4, "middle": 8, "write": 3}


def by_products(weights: dict[str, Tensor], bias: Tensor) -> Tensor:
    found = functional.one_hot(TOKENS, WORDS).float() @ weights["read"] + weights["place"]
    hidden = torch.tanh(found @ weights["middle"].T + bias).mean(1)
    return hidden @ weights["write"].T


@pytest.mark.parametrize("tied", [False, True])
def test_the_quantized_network_reads_rows_of_their_own_grids(tied: bool) -> None:
    model = made(tied=tied, padding_idx=0)
    quantized = gp_emq.quantize(
        Workload(model, TOKENS), WIDTHS, quantizer=ROWS, activation_bits=32, method="rtn"
    )
    weights = {
        name: row_grids(model.get_submodule(name).weight.detach(), bits)
        for name, bits in WIDTHS.items()
    }
    torch.testing.assert_close(
        quantized(TOKENS), by_products(weights, model.middle.bias), rtol=1e-5, atol=1e-6
    )
    assert quantized.network.read.padding_idx == 0
    assert (quantized.network.write.weight is quantized.network.read.weight) == tied


def test_inputs_of_embeddings_have_no_grid() -> None:
    model = made()
    layers = find_layers(model, TOKENS[:1])
    assert [layer.kind for layer in layers] == ["Embedding", "Embedding", "Linear", "Linear"]
    grids = calibrate_activations(model, layers, TOKENS, ActivationQuantizer())
    assert [grid is None for grid in grids] == [True, True, False, False]
    for method in ("rtn", "brecq"):
        learns = {"iterations": 2} if method == "brecq" else {}
        found = gp_emq.quantize(Workload(model, TOKENS), WIDTHS, method=method, **learns)
        assert set(found.activations) == {"middle", "write"}
    only = gp_emq.quantize(Workload(model, TOKENS), {"read": 4}, method="rtn")
    assert only.activations == {}


def test_sizes_count_a_scale_for_each_row_and_operations_nothing() -> None:
    tied, apart = (find_layers(made(tied=of), TOKENS[:1]) for of in (True, False))
    # 66 and 24 numbers of 3 bits, rounded up to bytes; 11 and 4 scales; middle has a bias.
    sizes = size_table(apart, (3,), "stored", granularity=PER_CHANNEL)[:, 0]
    assert sizes.tolist() == [25 + 44, 9 + 16, 14 + 24 + 24, 25 + 44]
    assert size_table(tied, (3,), "stored", granularity=PER_CHANNEL)[:, 0].tolist() == [69, 25, 62]
    # Groups of four run along a row of six: two scales for each.
    grouped = size_table(apart, (3,), "stored", granularity=Granularity(True, 4))[:, 0]
    assert grouped[:2].tolist() == [25 + 88, 9 + 32]
    operations = bit_operations_table(tied, (3,), 8)[:, 0]
    assert operations.tolist() == [WORDS * WIDTH * 24, 0, STEPS * WIDTH * WIDTH * 24]
    elements = activation_elements(Workload(made(), TOKENS), apart)
    assert elements["read"] == (0, STEPS * WIDTH)
    assert elements["write"] == (WIDTH, WORDS)


def test_groups_run_along_a_row() -> None:
    model = made()
    grouped = WeightQuantizer(per_channel=True, group=2, scale_rule="minmax")
    found = gp_emq.quantize(
        Workload(model, TOKENS), {"read": 3}, quantizer=grouped, activation_bits=32, method="rtn"
    )
    pairs = model.read.weight.detach().reshape(-1, 2)
    torch.testing.assert_close(found.network.read.weight, row_grids(pairs, 3).view(WORDS, WIDTH))


@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_learned_rounding_leaves_rows_at_the_nearest(method: str) -> None:
    """A row's numbers are the outputs themselves: nothing comes nearer than the nearest."""
    workload = Workload(made(padding_idx=0, sparse=True), TOKENS)
    nearest = gp_emq.quantize(workload, WIDTHS, method="rtn")
    learned = gp_emq.quantize(workload, WIDTHS, method=method, iterations=30)
    for name in ("read", "place"):
        assert torch.equal(learned.weights[name].integers, nearest.weights[name].integers)


@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_learned_rounding_of_a_tied_table_is_of_what_reads_and_what_writes(method: str) -> None:
    model = made(tied=True)
    model.gain = 8.0  # what writes counts for more than what reads
    workload = Workload(model, TOKENS)
    widths = {"read": 2, "write": 2}
    nearest, learned = (
        gp_emq.quantize(workload, widths, method=of, activation_bits=32, **learns)
        for of, learns in (("rtn", {}), (method, {"iterations": 300}))
    )
    hidden = 8 * torch.tanh(
        model.middle(model.read(TOKENS) + model.place(torch.arange(STEPS)))
    ).mean(1)

    def error(made) -> float:
        change = made.network.read.weight - model.read.weight
        read = functional.one_hot(TOKENS, WORDS).float() @ change
        return float((read.square().sum() + (hidden @ change.T).square().sum()).detach())

    assert torch.equal(learned.network.read.weight, learned.network.write.weight)
    assert error(learned) < error(nearest)
    # Whatever is learned stays on the grid, one step from the float weight at most.
    steps = learned.weights["read"].integers - nearest.weights["read"].integers
    assert int(steps.abs().max()) <= 1


@pytest.mark.parametrize("tied", [False, True])
def test_packed_files_hold_the_table_once(tied: bool, tmp_path: Path) -> None:
    model, path = made(tied=tied, padding_idx=0), tmp_path / "q.safetensors"
    quantized = gp_emq.quantize(Workload(model, TOKENS), WIDTHS, method="rtn")
    gp_emq.save_quantized(quantized, path)
    stored = load_file(path)
    assert stored["read.weight.integers"].numel() == 25  # 66 numbers of 3 bits
    assert stored["read.weight.scale"].shape == (WORDS,)
    assert ("write.weight.integers" in stored) != tied
    again = gp_emq.load_quantized(path, made(tied=tied, padding_idx=0, seed=3))
    assert (again.network.read.weight is again.network.write.weight) == tied
    assert torch.equal(again(TOKENS), quantized(TOKENS))


def test_one_decision_and_one_copy_from_statistics_to_the_file(tmp_path: Path) -> None:
    model = made(tied=True)
    workload = Workload(model, TOKENS)
    statistics = gp_emq.collect_statistics(workload, bits=(2, 4, 8))
    layers = {layer.name: layer for layer in statistics.layers}
    assert (layers["read"].entry, layers["write"].shares) == (layers["write"].entry, "read")
    table = gp_emq.load_proxy("fit").table(statistics)
    assert table.shape == (3, 3)
    plan = gp_emq.allocate(table, average_bits=4)
    assert plan.widths["read"] == plan.widths["write"]
    sizes = {"read": 66, "place": 24, "middle": 42}
    bits = sum(count * plan.widths[name] for name, count in sizes.items())
    assert plan.measures.average_bits == pytest.approx(bits / sum(sizes.values()))
    quantized = gp_emq.quantize(workload, plan, method="rtn")
    gp_emq.save_quantized(quantized, tmp_path / "q.safetensors", plan=plan)
    again = gp_emq.load_quantized(tmp_path / "q.safetensors", model)
    assert torch.equal(again(TOKENS), quantized(TOKENS))


def test_plans_that_say_nothing_of_embeddings_leave_them_as_they_were() -> None:
    apart, tied = made(), made(tied=True)
    found = gp_emq.quantize(Workload(apart, TOKENS), {"middle": 4, "write": 3}, method="rtn")
    assert torch.equal(found.network.read.weight, apart.read.weight)
    found = gp_emq.quantize(Workload(tied, TOKENS), {"middle": 4, "write": 3}, method="rtn")
    assert found.network.read.weight is found.network.write.weight
    assert set(found.weights) == {"read", "middle", "write"}
    with pytest.raises(QuantizationError, match="'read' and 'write' share one weight"):
        gp_emq.quantize(Workload(tied, TOKENS), {"read": 4, "write": 3}, method="rtn")
    # A plan as it was made when embeddings were no layers.
    old = gp_emq.allocate(
        [[-2.0, -1.0]] * 2, numbered_with(apart, set()), bits=(2, 4), average_bits=4
    )
    found = gp_emq.quantize(Workload(apart, TOKENS), old, method="rtn")
    assert set(found.weights) == {"middle", "write"}
    new = gp_emq.allocate(
        [[-2.0, -1.0]] * 3, numbered_with(apart, {"place"}), bits=(2, 4), average_bits=4
    )
    with pytest.raises(QuantizationError, match="says nothing of layer 'read'"):
        gp_emq.quantize(Workload(apart, TOKENS), new, method="rtn")


def numbered_with(model: nn.Module, embeddings: set[str]):
    kept = [
        layer
        for layer in find_layers(model, TOKENS[:1])
        if layer.kind == "Linear" or layer.name in embeddings
    ]
    return [replace(layer, entry=place, depth=place) for place, layer in enumerate(kept)]


class Twice(Reader):
    """Reads words and their neighbours with one table."""

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.read(tokens) + self.read(input=tokens.roll(1, 1))
        return self.write(torch.tanh(self.middle(found)).mean(1))


def test_statistics_of_a_table_that_is_called_twice_are_sums_over_calls() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Twice(tied=False).eval()
    statistics = gp_emq.collect_statistics(Workload(model, TOKENS), bits=(2, 4))
    assert [layer.name for layer in statistics.layers] == ["read", "middle", "write"]
    weight = model.read.weight.detach().double().requires_grad_()
    used = functional.one_hot(torch.stack([TOKENS[:1], TOKENS[:1].roll(1, 1)]), WORDS).double()
    weights = {name: value.detach().double() for name, value in model.named_parameters()}
    hidden = torch.tanh(
        (used @ weight).sum(0) @ weights["middle.weight"].T + weights["middle.bias"]
    )
    (expected,) = torch.autograd.grad((hidden.mean(1) @ weights["write.weight"].T).sum(), weight)
    found = statistics.layout("Weights").views(statistics.tensor("virtual_gradient"))[0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
    # Of each of the samples both calls count.
    every = functional.one_hot(torch.stack([TOKENS, TOKENS.roll(1, 1)]), WORDS).double()
    moved = statistics.layout("Weights").views(statistics.perturbation())[0].double()
    energies = torch.stack([(every @ one).square().sum() / COUNT for one in moved])
    torch.testing.assert_close(
        statistics.tensor("output_change_energy")[0], energies, rtol=1e-4, atol=0
    )


FORMS = {
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "double": lambda model: model.double(),
    "parallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "weight norm": lambda model: changed(model, parametrizations.weight_norm),
    "spectral norm": lambda model: changed(model, parametrizations.spectral_norm),
    "pruned": lambda model: changed(model, lambda m: prune.l1_unstructured(m, "weight", 0.5)),
}


def changed(model: Reader, change: Callable[[nn.Module], object]) -> Reader:
    change(model.read)
    return model.eval()


@pytest.mark.parametrize("form", FORMS)
def test_tables_in_any_form_are_quantized_as_they_are_used(form: str, tmp_path: Path) -> None:
    model, path = made(), tmp_path / "q.safetensors"
    given = FORMS[form](model)
    effective = model.read.weight.detach().float().clone()
    workload = Workload(given, TOKENS)
    layers = gp_emq.collect_statistics(workload, bits=(2, 4)).layers
    assert [layer.kind for layer in layers] == ["Embedding", "Embedding", "Linear", "Linear"]
    quantized = gp_emq.quantize(workload, {"read": 3, "middle": 4}, quantizer=ROWS, method="rtn")
    torch.testing.assert_close(
        quantized.network.read.weight.detach(), row_grids(effective, 3), rtol=1e-5, atol=1e-6
    )
    gp_emq.save_quantized(quantized, path)
    again = gp_emq.load_quantized(path, given)
    assert torch.equal(again(TOKENS), quantized(TOKENS))
    assert again(TOKENS).dtype == model.write.weight.dtype
