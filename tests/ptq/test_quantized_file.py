import json

import pytest
import safetensors
import safetensors.torch
import torch
from fuzz._unpacked_file import save_unpacked
from small_networks import Normed, Shared, Tokens, made, pictures
from torch import nn
from torch.nn.utils import parametrizations

import gp_emq
from gp_emq.errors import ExportError, GpEmqError
from gp_emq.export import read_record, save_packed
from gp_emq.networks import find_layers
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
    quantized = gp_emq.quantize(model, {"first": 4, "second": 4}, images, method="rtn")
    gp_emq.save_quantized(quantized, path)
    tensors = safetensors.torch.load_file(path)
    # A convolution 2 x 2 x 3 x 3, two bytes of four integers of 4 bits, and three biases of 2.
    grids = {name for name in tensors if name.endswith(("scale", "zero_point"))}
    assert sum(tensors[name].numel() for name in tensors.keys() - grids) == 36 + 2 + 3 * 2
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
    quantized = gp_emq.quantize(model, {"head": 4}, images, method="rtn")
    gp_emq.save_quantized(quantized, path)
    again = gp_emq.load_quantized(path, made(EmbeddedAlike, seed=5))
    assert again.network.head.weight is again.network.embed.weight
    assert torch.equal(again(images), quantized(images))


@pytest.mark.parametrize("change", [parametrizations.orthogonal, lambda head: head])
def test_the_order_of_a_weight_in_memory_changes_no_bit(tmp_path, change):
    model, images, path = made(Normed), pictures(), tmp_path / "quantized.safetensors"
    change(model.head)
    model.to(memory_format=torch.channels_last)
    quantized = gp_emq.quantize(model, {"conv": 8, "head": 8}, images, method="rtn")
    gp_emq.save_quantized(quantized, path)
    assert torch.equal(gp_emq.load_quantized(path, model)(images), quantized(images))


class WithExtraState(Normed):
    def get_extra_state(self):
        return {"scale": 3}

    def set_extra_state(self, state):
        pass


def test_state_that_no_file_holds_is_refused_in_one_line(tmp_path):
    model, images, path = made(WithExtraState), pictures(), tmp_path / "quantized.safetensors"
    quantized = gp_emq.quantize(model, {"conv": 8}, images, method="rtn")
    for save in (
        lambda: gp_emq.save_quantized(quantized, path),
        lambda: save_packed(quantized, find_layers(model, images[:1]), path),
    ):
        with pytest.raises(GpEmqError, match="keeps '_extra_state', a dict"):
            save()
    assert not path.exists()


class Graph(torch.nn.Module):
    """Mixes rows by a sparse matrix, of its state or not."""

    def __init__(self, *, persistent):
        super().__init__()
        self.first, self.last = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
        near = torch.eye(5) + torch.eye(5).roll(1, 0)
        self.register_buffer("near", near.to_sparse(), persistent=persistent)

    def forward(self, x):
        rows = [torch.sparse.mm(self.near, one) for one in self.first(x).relu()]
        return self.last(torch.stack(rows)).mean(1)


@pytest.mark.parametrize("persistent", [True, False])
def test_networks_with_sparse_buffers_are_planned_and_written_where_a_file_has_room(
    tmp_path, persistent
):
    torch.manual_seed(0)
    model, path = Graph(persistent=persistent), tmp_path / "graph.safetensors"
    workload = gp_emq.Workload(model, {"x": torch.randn(80, 5, 3)})
    found = gp_emq.best_plan(workload, average_bits=3, cache=tmp_path)
    small = gp_emq.quantize(workload, found.plan, method="rtn")
    if persistent:
        with pytest.raises(GpEmqError, match=r"keeps 'near', a tensor of layout torch.sparse_coo"):
            gp_emq.save_quantized(small, path)
        assert not path.exists()
        return
    gp_emq.save_quantized(small, path)
    again = gp_emq.load_quantized(path, model)
    assert torch.equal(again(**workload.samples), small(**workload.samples))


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
    quantized = gp_emq.quantize(model, plan, images, method="rtn")
    path = tmp_path / "plan-rtn.safetensors"
    gp_emq.save_quantized(quantized, path, method="rtn", settings={"seed": 0}, plan=plan)
    return model, plan, quantized, path


@pytest.fixture
def unpacked(written, tmp_path):
    """A file as earlier versions wrote it."""
    model, plan, quantized, _ = written
    path = tmp_path / "unpacked.safetensors"
    save_unpacked(quantized, path, method="rtn", settings={"seed": 0}, plan=plan)
    return model, plan, quantized, path


def test_files_of_earlier_versions_are_read(unpacked):
    _, plan, quantized, path = unpacked
    again = gp_emq.load_quantized(path, made(Normed, seed=5))
    assert torch.equal(again(pictures()), quantized(pictures()))
    record = read_record(path)
    assert (record.plan, record.method, record.settings) == (plan, "rtn", {"seed": 0})


def test_fewer_bits_are_a_smaller_file(tmp_path):
    model, images = made(Normed), pictures()
    sizes = {}
    for bits in (2, 3, 4, 8):
        quantized = gp_emq.quantize(model, {"conv": bits, "head": bits}, images, method="rtn")
        path = tmp_path / f"{bits}.safetensors"
        gp_emq.save_quantized(quantized, path)
        sizes[bits] = sum(
            len(v.numpy().tobytes()) for v in safetensors.torch.load_file(path).values()
        )
        assert path.stat().st_size > sizes[bits]
    # 72 weights of the convolution and 12 of the head, in whole bytes.
    taken = {bits: -(-72 * bits // 8) + -(-12 * bits // 8) for bits in sizes}
    assert {b: sizes[b] - sizes[2] for b in sizes} == {b: taken[b] - taken[2] for b in sizes}


class Statless(torch.nn.Module):
    """A batch norm that keeps no statistics, and a weight that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4, track_running_stats=False)
        self.head = torch.nn.Linear(4, 4)
        self.again = torch.nn.Linear(4, 4)
        self.again.weight = self.head.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.again(self.head(self.norm(self.conv(images)).amax(dim=(2, 3))))


def test_batch_norms_without_statistics_and_shared_weights_come_back(tmp_path):
    torch.manual_seed(0)
    model, images = Statless().eval(), pictures()
    quantized = gp_emq.quantize(model, {"conv": 3, "head": 4, "again": 4}, images, method="rtn")
    path = tmp_path / "quantized.safetensors"
    gp_emq.save_quantized(quantized, path)
    again = gp_emq.load_quantized(path, Statless())
    assert torch.equal(again(images), quantized(images))
    assert again.network.head.weight is again.network.again.weight
    stored = [name for name in safetensors.torch.load_file(path) if "weight.integers" in name]
    assert sorted(stored) == ["conv.weight.integers", "head.weight.integers"]


def test_the_record_holds_plan_method_and_settings(written):
    _, plan, _, path = written
    record = read_record(path)
    assert (record.plan, record.method, record.settings) == (plan, "rtn", {"seed": 0})


def test_equal_networks_are_equal_bytes(written, tmp_path):
    _, plan, quantized, path = written
    again = tmp_path / "again.safetensors"
    gp_emq.save_quantized(quantized, again, method="rtn", settings={"seed": 0}, plan=plan)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["written", "unpacked"])
def test_what_does_not_fit_or_is_damaged_is_one_clear_error(kind, request, tmp_path):
    model, _, _, path = request.getfixturevalue(kind)
    with pytest.raises(GpEmqError, match=r"does not fit: Tokens has no layer|fit Tokens: the file"):
        gp_emq.load_quantized(path, made(Tokens))
    content = path.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content[:-20])
    with pytest.raises(ExportError, match="does not read as safetensors"):
        gp_emq.load_quantized(damaged, model)
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        ExportError, match=r"damaged: its (content is not what|checksum is not that)"
    ):
        gp_emq.load_quantized(damaged, model)
    with pytest.raises(ExportError, match="cannot read the quantized network"):
        gp_emq.load_quantized(tmp_path / "none.safetensors", model)
    safetensors.torch.save_file(model.state_dict(), damaged)
    with pytest.raises(ExportError, match="is no quantized network"):
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
def test_damaged_metadata_is_one_clear_error(unpacked, tmp_path, change, message):
    model, _, _, path = unpacked
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
    message = f"conv has integers .*{wrong}.* from {ends[0]} to {ends[1]}"
    with pytest.raises(ExportError, match=message):
        gp_emq.save_quantized(quantized, path)
    assert not path.exists()


def test_a_damaged_plan_is_one_clear_error(unpacked, tmp_path):
    _, _, _, path = unpacked
    with safetensors.safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["gp_emq"])
    record["plan"].pop("layers")
    damaged = tmp_path / "damaged.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, damaged, {"gp_emq": json.dumps(record)})
    with pytest.raises(ExportError, match="its plan is damaged: it lacks 'layers'"):
        read_record(damaged)
