import json

import pytest
import safetensors
import safetensors.torch
import torch
from small_networks import Normed, Shared, Tokens, made, pictures
from torch import nn
from torch.nn.utils import parametrizations

import gp_emq
from gp_emq.errors import GpEmqError, NetworkError, QuantizationError
from gp_emq.export import save_packed
from gp_emq.networks import find_layers
from gp_emq.ptq import read_record
from gp_emq.quantization import WeightQuantizer


@pytest.mark.parametrize("kind", [Normed, Shared, Tokens])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("activation_bits", [4, 32])
def test_a_file_gives_the_same_logits_to_the_last_bit(tmp_path, kind, symmetric, activation_bits):
    model, images = made(kind), pictures()
    widths = {layer.name: 8 for layer in find_layers(model, images[:1])}
    quantized = gp_emq.quantize(
        model,
        widths,
        images,
        method="rtn+bn",
        quantizer=WeightQuantizer(symmetric=symmetric, per_channel=symmetric),
        activation_bits=activation_bits,
    )
    path = tmp_path / "quantized.safetensors"
    gp_emq.save_quantized(quantized, path)
    # The structure is all that is taken from the model: its weights are others.
    again = gp_emq.load_quantized(path, made(kind, seed=5))
    assert torch.equal(again(images), quantized(images))
    for name, weight in quantized.weights.items():
        assert torch.equal(again.weights[name].integers, weight.integers)
        assert again.weights[name].parameters.quant_min == weight.parameters.quant_min
    assert set(again.activations) == (set() if activation_bits == 32 else set(widths))


class OnOneStorage(Shared):
    """The same as `Shared`, with a parameter for each of the two layers."""

    def __init__(self):
        super().__init__()
        self.second.weight = nn.Parameter(self.first.weight.data)
        self.also = self.twice


@pytest.mark.parametrize("kind", [Shared, OnOneStorage])
def test_what_modules_share_is_in_a_file_once(tmp_path, kind):
    model, images, path = made(kind), pictures(), tmp_path / "quantized.safetensors"
    quantized = gp_emq.quantize(model, {"first": 4, "second": 4}, images)
    gp_emq.save_quantized(quantized, path)
    tensors = safetensors.torch.load_file(path)
    # A convolution 2 x 2 x 3 x 3 and a product 2 x 2 with its integers, and three biases of 2.
    grids = {name for name in tensors if name.endswith(("scale", "zero_point"))}
    assert sum(tensors[name].numel() for name in tensors.keys() - grids) == 36 + 4 + 4 + 3 * 2
    assert sum(name.endswith("weight.scale") for name in grids) == 1
    again = gp_emq.load_quantized(path, made(kind, seed=5))
    assert again.network.first.weight is again.network.second.weight
    assert set(again.weights) == {"first", "second"}
    assert torch.equal(again(images), quantized(images))


class EmbeddedAlike(nn.Module):
    """A product with the weight of an embedding, which is no layer to quantize."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 9)
        self.head.weight = self.embed.weight

    def forward(self, images):
        return self.head(self.embed(images.flatten(1)[:, :6].abs().long().clamp(max=8)).mean(1))


def test_a_weight_that_is_an_embedding_too_comes_back(tmp_path):
    model, images, path = made(EmbeddedAlike), 4 * pictures(), tmp_path / "quantized.safetensors"
    quantized = gp_emq.quantize(model, {"head": 4}, images)
    gp_emq.save_quantized(quantized, path)
    again = gp_emq.load_quantized(path, made(EmbeddedAlike, seed=5))
    assert again.network.head.weight is again.network.embed.weight
    assert torch.equal(again(images), quantized(images))


@pytest.mark.parametrize("change", [parametrizations.orthogonal, lambda head: head])
def test_the_order_of_a_weight_in_memory_changes_no_bit(tmp_path, change):
    model, images, path = made(Normed), pictures(), tmp_path / "quantized.safetensors"
    change(model.head)
    model.to(memory_format=torch.channels_last)
    quantized = gp_emq.quantize(model, {"conv": 8, "head": 8}, images)
    gp_emq.save_quantized(quantized, path)
    assert torch.equal(gp_emq.load_quantized(path, model)(images), quantized(images))


class WithExtraState(Normed):
    def get_extra_state(self):
        return {"scale": 3}

    def set_extra_state(self, state):
        pass


def test_state_that_no_file_holds_is_refused_in_one_line(tmp_path):
    model, images, path = made(WithExtraState), pictures(), tmp_path / "quantized.safetensors"
    quantized = gp_emq.quantize(model, {"conv": 8}, images)
    for save in (
        lambda: gp_emq.save_quantized(quantized, path),
        lambda: save_packed(quantized, find_layers(model, images[:1]), path),
    ):
        with pytest.raises(GpEmqError, match="keeps '_extra_state', a dict"):
            save()
    assert not path.exists()


@pytest.mark.parametrize(
    "shares",
    [
        {"second.weight": "third.weight"},
        {"first.weight": "second.weight", "second.weight": "first.weight"},
        {"second.weight": "first.weight", "first.bias": "second.bias"},
        {"second.weight": "first.bias"},
    ],
)
def test_a_file_whose_shared_tensors_do_not_fit_is_damaged(tmp_path, shares):
    model, images, path = made(Shared), pictures(), tmp_path / "quantized.safetensors"
    gp_emq.save_quantized(gp_emq.quantize(model, {"first": 4, "second": 4}, images), path)
    with safetensors.safe_open(path, "pt") as file:
        record = json.loads(file.metadata()["gp_emq"])
    record["shares"] = shares
    tensors = safetensors.torch.load_file(path)
    path.write_bytes(safetensors.torch.save(tensors, {"gp_emq": json.dumps(record)}))
    with pytest.raises(QuantizationError, match="damaged"):
        gp_emq.load_quantized(path, model)


@pytest.fixture
def written(tmp_path):
    model, images = made(Normed), pictures()
    plan = gp_emq.allocate(
        [[-3, -2, -1]] * 2,
        find_layers(model, images[:1]),
        bits=(2, 3, 4),
        average_bits=3,
        fix={"head": 8},
    )
    quantized = gp_emq.quantize(model, plan, images)
    path = tmp_path / "plan-rtn.safetensors"
    gp_emq.save_quantized(quantized, path, method="rtn", settings={"seed": 0}, plan=plan)
    return model, plan, quantized, path


def test_the_file_is_a_state_dict_with_grids_beside_it(written):
    model, _, quantized, path = written
    tensors = safetensors.torch.load_file(path)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert missing == []
    assert sorted(unexpected) == [
        f"{layer}.{part}"
        for layer in ("conv", "head")
        for part in (
            "input.scale", "input.zero_point", "weight.integers", "weight.scale",
            "weight.zero_point",
        )
    ]  # fmt: skip
    rebuilt = tensors["conv.weight.integers"].float() * tensors["conv.weight.scale"]
    assert torch.equal(rebuilt, tensors["conv.weight"])
    assert tensors["conv.weight.integers"].dtype == torch.int8
    assert torch.equal(model.conv.weight, quantized.weights["conv"].values())


def test_the_record_holds_plan_method_and_settings(written):
    _, plan, _, path = written
    record = read_record(path)
    assert (record.plan, record.method, record.settings) == (plan, "rtn", {"seed": 0})


def test_equal_networks_are_equal_bytes(written, tmp_path):
    _, plan, quantized, path = written
    again = tmp_path / "again.safetensors"
    gp_emq.save_quantized(quantized, again, method="rtn", settings={"seed": 0}, plan=plan)
    assert again.read_bytes() == path.read_bytes()


def test_what_does_not_fit_or_is_damaged_is_one_clear_error(written, tmp_path):
    model, _, _, path = written
    with pytest.raises(NetworkError, match="does not fit Tokens: the file lacks"):
        gp_emq.load_quantized(path, made(Tokens))
    content = path.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content[:-20])
    with pytest.raises(QuantizationError, match="does not read as safetensors"):
        gp_emq.load_quantized(damaged, model)
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(QuantizationError, match="damaged: its content is not what was written"):
        gp_emq.load_quantized(damaged, model)
    with pytest.raises(QuantizationError, match="cannot read the quantized network"):
        gp_emq.load_quantized(tmp_path / "none.safetensors", model)
    safetensors.torch.save_file(model.state_dict(), damaged)
    with pytest.raises(QuantizationError, match="is no quantized network"):
        gp_emq.load_quantized(damaged, model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.update(format=9), "has format 9; this version reads format 1"),
        (lambda record: record["weights"].pop("conv"), "does not fit Normed: the network has no"),
        (
            lambda record: record["weights"].update(conv=[0, 1]),
            "of conv leave their grid: they reach from",
        ),
        (lambda record: record["inputs"].update(conv=None), "is damaged"),
        (lambda record: record.pop("inputs"), "is damaged: it lacks 'inputs'"),
    ],
)
def test_damaged_metadata_is_one_clear_error(written, tmp_path, change, message):
    model, _, _, path = written
    with safetensors.safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["gp_emq"])
    change(record)
    damaged = tmp_path / "damaged.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, damaged, {"gp_emq": json.dumps(record)})
    with pytest.raises(GpEmqError, match=message) as caught:
        gp_emq.load_quantized(damaged, model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [8, -9, 300])
def test_integers_off_their_grid_are_not_written(written, tmp_path, wrong):
    _, _, quantized, _ = written
    weight = quantized.weights["conv"]
    ends = (weight.parameters.quant_min, weight.parameters.quant_max)
    weight.integers.view(-1)[3] = wrong
    path = tmp_path / "wrong.safetensors"
    message = f"conv leave their grid: .* {wrong}.*{ends[0]} to {ends[1]}"
    with pytest.raises(QuantizationError, match=message):
        gp_emq.save_quantized(quantized, path)
    assert not path.exists()


def test_a_damaged_plan_is_one_clear_error(written, tmp_path):
    _, _, _, path = written
    with safetensors.safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["gp_emq"])
    record["plan"].pop("layers")
    damaged = tmp_path / "damaged.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, damaged, {"gp_emq": json.dumps(record)})
    with pytest.raises(QuantizationError, match="its plan is damaged: it lacks 'layers'"):
        read_record(damaged)
