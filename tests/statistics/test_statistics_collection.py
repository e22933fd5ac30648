import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gp_emq.errors import DataError, NetworkError, StatisticsError
from gp_emq.quantization import WeightQuantizer, fake_quantize
from gp_emq.statistics import STATISTICS, Kind, Statistics, StatisticsSettings, collect_statistics
from gp_emq.statistics._catalogue import kind_of

BITS = (2, 3, 4)
QUANTIZER = WeightQuantizer()


def collect(
    model: nn.Module, images: Tensor, labels: Tensor | None, **options: object
) -> Statistics:
    return collect_statistics(
        model, images, labels, **{"bits": BITS, "quantizer": QUANTIZER, **options}
    )


def test_every_statistic_has_the_shape_of_its_kind(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect(model, images, labels, ties=[("first", "second")])
    weights = statistics.layout(Kind.WEIGHTS).size
    activations = statistics.layout(Kind.ACTIVATIONS).size
    shapes = {
        Kind.WEIGHTS: ((weights,), torch.float32),
        Kind.WEIGHTS_PER_BIT: ((3, weights), torch.float32),
        Kind.ACTIVATIONS: ((activations,), torch.float32),
        Kind.ACTIVATIONS_PER_BIT: ((3, activations), torch.float32),
        Kind.LAYER_VECTOR: ((2,), torch.float64),
        Kind.BIT_TABLE: ((2, 3), torch.float64),
    }
    assert set(statistics.names) == set(STATISTICS)
    for name in statistics.names:
        tensor = statistics.tensor(name)
        assert (tuple(tensor.shape), tensor.dtype) == shapes[statistics.kind_of(name)], name


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_perturbation_is_the_quantized_weight_minus_the_weight(
    model: nn.Module, images: Tensor, per_channel: bool, symmetric: bool
) -> None:
    quantizer = WeightQuantizer(symmetric=symmetric, per_channel=per_channel)
    statistics = collect(model, images, None, quantizer=quantizer)
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    for name, found in zip(("first", "second", "last"), views, strict=True):
        weight = model.get_submodule(name).weight.detach()
        for index, bits in enumerate(BITS):
            expected = fake_quantize(weight, quantizer.parameters(weight, bits)) - weight
            assert torch.equal(found[index], expected)
            mean = expected.double().square().mean()
            place = statistics.layout("Weights").entries[("first", "second", "last").index(name)]
            torch.testing.assert_close(
                statistics.tensor("quantization_mse")[place, index], mean, rtol=1e-12, atol=0
            )


@pytest.mark.parametrize("per_channel", [False, True])
def test_any_range_of_the_perturbation_is_a_slice_of_the_whole(
    model: nn.Module, images: Tensor, per_channel: bool
) -> None:
    statistics = collect(model, images, None, quantizer=WeightQuantizer(per_channel=per_channel))
    whole = statistics.perturbation()
    for start, stop in [(0, 5), (3, 40), (30, 120), (119, 120), (37, 38), (7, 7)]:
        assert torch.equal(statistics.perturbation(start, stop), whole[:, start:stop])


def test_ties_add_sums_weigh_means_and_take_the_largest_eigenvalue(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    apart = collect(model, images, labels)
    tied = collect(model, images, labels, ties=[("first", "last")])
    first, second, last = (36.0, 72.0, 12.0)
    for name in ("parameter_count", "macs", "hessian_trace"):
        one, other, third = apart.tensor(name).tolist()
        if name != "hessian_trace":
            assert tied.tensor(name).tolist() == [one + third, other]
    depth = tied.tensor("depth").tolist()
    assert depth == [(0 * first + 2 * last) / (first + last), 1.0]
    mse = apart.tensor("quantization_mse")
    expected = (mse[0] * first + mse[2] * last) / (first + last)
    torch.testing.assert_close(tied.tensor("quantization_mse")[0], expected)
    bounds = tied.layout("Weights").entry_bounds
    assert bounds == (0, int(first + last), int(first + last + second))
    diagonal = tied.tensor("hessian_diagonal")
    assert tied.tensor("hessian_trace")[0] == diagonal[: bounds[1]].sum(dtype=torch.float64)
    # Buffers are ordered by entry, so that tied tensors are neighbours.
    assert torch.equal(tied.tensor("weight")[36:48], model.last.weight.detach().reshape(-1))
    values = apart.tensor("hessian_top_eigenvalue")
    torch.testing.assert_close(
        tied.tensor("hessian_top_eigenvalue")[0], values[[0, 2]].max(), rtol=0.05, atol=0
    )


def test_parameter_count_has_the_bias_and_macs_are_counted_by_hand(
    model: nn.Module, images: Tensor
) -> None:
    statistics = collect(model, images, None)
    assert statistics.tensor("parameter_count").tolist() == [36 + 4, 72, 12 + 3]
    assert statistics.tensor("macs").tolist() == [36 * 36, 9 * 72, 12]
    assert statistics.tensor("bits").tolist() == [[2.0, 3.0, 4.0]] * 3


def test_only_what_is_asked_for_is_computed_and_only_once(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    runs = 0

    def count(_module: nn.Module, _inputs: object) -> None:
        nonlocal runs
        runs += 1

    model.register_forward_pre_hook(count)
    statistics = collect(model, images, labels)
    before = runs
    statistics.tensor("weight")
    statistics.perturbation()
    statistics.tensor("bits")
    assert runs == before
    statistics.tensor("weight_gradient")
    after = runs
    assert after > before
    statistics.tensor("weight_gradient")
    assert runs == after
    assert set(statistics.seconds) == {"weight", "bits", "weight_gradient"}


def test_seconds_include_what_a_statistic_is_made_from(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect(model, images, labels)
    statistics.tensor("hessian_diagonal")
    statistics.tensor("hessian_trace")
    seconds = statistics.seconds
    assert 0 < seconds["hessian_diagonal"] < seconds["hessian_trace"]
    # What was there already is counted, but was not waited for again.
    assert seconds["hessian_trace"] < 1.5 * seconds["hessian_diagonal"]


def snapshot(model: nn.Module) -> list[object]:
    return [
        [(n, p.clone(), p.requires_grad, id(p)) for n, p in model.named_parameters()],
        [(n, b.clone(), id(b)) for n, b in model.named_buffers()],
        [(n, m.training, len(m._forward_hooks)) for n, m in model.named_modules()],
    ]


def test_the_model_is_left_as_it_was(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    model.train()
    model.norm.eval()
    model.first.weight.requires_grad_(requires_grad=False)
    model.last.weight.grad = torch.ones_like(model.last.weight)
    before = snapshot(model)
    state = torch.random.get_rng_state()
    statistics = collect(model, images, labels)
    statistics.prepare(statistics.names)
    for old, new in zip(before, snapshot(model), strict=True):
        for left, right in zip(old, new, strict=True):
            for a, b in zip(left, right, strict=True):
                assert torch.equal(a, b) if isinstance(a, Tensor) else a == b
    assert model.first.weight.grad is None
    assert torch.equal(model.last.weight.grad, torch.ones_like(model.last.weight))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_frozen_parameters_and_training_mode_change_nothing(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    names = [name for name in STATISTICS if kind_of(name) != Kind.ACTIVATIONS]
    free = collect(copy.deepcopy(model).eval(), images, labels).content_sha256(names)
    model.requires_grad_(requires_grad=False).train()
    assert collect(model, images, labels).content_sha256(names) == free


def test_values_do_not_depend_on_the_number_of_threads(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    before = torch.get_num_threads()
    hashes = set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            hashes.add(collect(model, images, labels).content_sha256(STATISTICS))
    finally:
        torch.set_num_threads(before)
    assert len(hashes) == 1


def test_random_statistics_follow_the_seed(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    def diagonal(seed: int) -> Tensor:
        settings = StatisticsSettings(seed=seed)
        return collect(model, images, labels, settings=settings).tensor("hessian_diagonal")

    assert torch.equal(diagonal(1), diagonal(1))
    assert not torch.equal(diagonal(1), diagonal(2))


def change_label(labels: Tensor) -> Tensor:
    changed = labels.clone()
    changed[0] = (changed[0] + 1) % 3
    return changed


def test_the_fingerprint_sees_whatever_changes_a_value(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    other_weight = copy.deepcopy(model)
    with torch.no_grad():
        other_weight.first.weight[0, 0, 0, 0] += 1e-6
    other_buffer = copy.deepcopy(model)
    other_buffer.norm.running_mean[0] += 1e-6
    other_structure = copy.deepcopy(model)
    other_structure.relu = nn.Tanh()
    marks = [
        collect(model, images, labels),
        collect(other_weight, images, labels),
        collect(other_buffer, images, labels),
        collect(other_structure, images, labels),
        collect(model, images + 1e-6, labels),
        collect(model, images, change_label(labels)),
        collect(model, images, None),
        collect(model, images, labels, bits=(2, 4)),
        collect(model, images, labels, quantizer=WeightQuantizer(per_channel=True)),
        collect(model, images, labels, settings=StatisticsSettings(seed=1)),
        collect(model, images, labels, ties=[("first", "last")]),
    ]
    assert len({statistics.fingerprint for statistics in marks}) == len(marks)
    again = collect(copy.deepcopy(model), images.clone(), labels.clone())
    assert again.fingerprint == marks[0].fingerprint


def test_subsample_keeps_names_kinds_and_ranks(images: Tensor) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 20, 3), nn.Conv2d(20, 10, 3), nn.Flatten(), nn.Linear(40, 11)
    )
    quantizer = WeightQuantizer(per_channel=True)
    statistics = collect(network, images, None, quantizer=quantizer)
    small = statistics.subsample()
    assert small.names == statistics.names
    assert small.layout("Weights").shapes == ((7, 1, 3, 3), (5, 7, 3, 3), (6, 8))
    assert small.layout("Activations").shapes == ((2, 7, 4, 4), (2, 5, 2, 2), (2, 6))
    for name in statistics.names:
        kind = statistics.kind_of(name)
        if kind in {Kind.LAYER_VECTOR, Kind.BIT_TABLE}:
            assert torch.equal(small.tensor(name), statistics.tensor(name))
            continue
        whole = statistics.layout(kind).views(statistics.tensor(name))
        blocks = small.layout(kind).views(small.tensor(name))
        for tensor, block in zip(whole, blocks, strict=True):
            assert tensor.dim() == block.dim()
            assert set(block.reshape(-1).tolist()) <= set(tensor.reshape(-1).tolist())
    assert torch.equal(
        small.layout("Weights").views(small.tensor("weight"))[0], network[0].weight[::3]
    )
    assert torch.equal(
        small.layout("WeightsPerBit").views(small.perturbation())[2],
        statistics.layout("WeightsPerBit").views(statistics.perturbation())[2][:, ::2, ::5],
    )


def test_a_larger_subsample_is_another_part_where_there_is_one(images: Tensor) -> None:
    network = nn.Sequential(nn.Conv2d(1, 40, 3), nn.Conv2d(40, 10, 3), nn.Flatten())
    statistics = collect(network, images, None, quantizer=WeightQuantizer(per_channel=True))
    large = statistics.subsample(2)
    weights = large.layout("Weights").views(large.tensor("weight"))
    # Every third of 40 channels from the second on; all of ten.
    assert torch.equal(weights[0], network[0].weight[1::3])
    assert torch.equal(weights[1], network[1].weight[:, 1::3])
    assert torch.equal(
        large.layout("WeightsPerBit").views(large.perturbation())[0],
        statistics.layout("WeightsPerBit").views(statistics.perturbation())[0][:, 1::3],
    )


def test_casting_keeps_the_values(model: nn.Module, images: Tensor) -> None:
    statistics = collect(model, images, None)
    double = statistics.to(torch.float64)
    for name in ("weight", "perturbation", "activation"):
        assert double.tensor(name).dtype == torch.float64
        assert torch.equal(double.tensor(name), statistics.tensor(name).double())
    assert double.subsample().tensor("weight").dtype == torch.float64
    assert torch.equal(double.tensor("depth"), statistics.tensor("depth"))


def test_statistics_are_of_the_network_when_it_was_given(model: nn.Module, images: Tensor) -> None:
    expected = collect(copy.deepcopy(model), images, None)
    statistics = collect(model, images, None)
    with torch.no_grad():
        model.first.weight += 1
    model.train()
    names = ("weight", "weight_gradient", "perturbation")
    assert statistics.content_sha256(names) == expected.content_sha256(names)


def test_a_statistic_that_is_not_finite_names_its_layer(model: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        model.second.weight[0] = float("inf")
    with pytest.raises(NetworkError, match=r"second\.weight holds inf at \[0, 0, 0, 0\] and 18"):
        collect(model, images, None)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"images": torch.zeros(3, 6, 6)}, DataError, "images must be"),
        ({"images": torch.full((2, 1, 6, 6), torch.nan)}, DataError, "finite"),
        ({"labels": torch.zeros(9, dtype=torch.int64)}, DataError, "10 whole numbers"),
        ({"labels": torch.zeros(10)}, DataError, "whole numbers"),
        (
            {"labels": torch.full((10,), 3)},
            DataError,
            "must be 0 to 2, those of the data reach from 3",
        ),
        ({"bits": (4, 2)}, StatisticsError, "must rise"),
        ({"bits": ()}, StatisticsError, "must rise"),
        ({"layers": ()}, StatisticsError, "no layer"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    model: nn.Module, change: dict[str, object], error: type[Exception], words: str
) -> None:
    options: dict[str, object] = {
        "images": torch.zeros(10, 1, 6, 6),
        "labels": torch.zeros(10, dtype=torch.int64),
        "bits": BITS,
        "quantizer": QUANTIZER,
        **change,
    }
    with pytest.raises(error, match=words) as caught:
        collect_statistics(model, **options)
    assert "\n" not in str(caught.value)


def test_a_network_without_logits_is_refused(images: Tensor) -> None:
    with pytest.raises(StatisticsError, match="logits"):
        collect(nn.Sequential(nn.Conv2d(1, 2, 3)), images, None)


@pytest.mark.parametrize("name", ["hessian_probes", "chunk_images", "activation_images"])
def test_settings_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(StatisticsError, match=f"{name} must be at least 1, got 0"):
        StatisticsSettings(**{name: 0})


def test_unknown_names_and_kinds_list_what_there_is(model: nn.Module, images: Tensor) -> None:
    statistics = collect(model, images, None)
    with pytest.raises(StatisticsError, match="unknown statistic 'wait'; there are weight, "):
        statistics.tensor("wait")
    with pytest.raises(StatisticsError, match="LayerVector has no layout"):
        statistics.layout("LayerVector")


def test_without_a_cache_nothing_is_written(
    model: nn.Module, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path))
    statistics = collect(model, images, None)
    statistics.tensor("weight")
    assert statistics.folder is None
    assert list(tmp_path.iterdir()) == []
