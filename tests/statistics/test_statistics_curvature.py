import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from gp_emq.networks import PrivateNetwork, Workload, find_layers, undisturbed
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, StatisticsSettings, collect_statistics
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._curvature import Hessian, hessian_diagonal
from gp_emq.statistics._network import FunctionalNetwork

SIZES = (36, 72, 12)


@pytest.fixture(scope="module")
def reference(first_model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return derivatives(first_model, images, labels)


def derivatives(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Give the gradient (N,) and the Hessian (N, N) in float64, by autograd's own function."""
    double = copy.deepcopy(model).double().eval()
    names = ("first.weight", "second.weight", "last.weight")
    parameters = {name: value.detach() for name, value in double.named_parameters()}
    shapes = [parameters[name].shape for name in names]

    def loss(flat: Tensor) -> Tensor:
        parts = torch.split(flat, SIZES)
        changed = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        logits = functional_call(double, {**parameters, **changed}, (images.double(),))
        return functional.cross_entropy(logits, labels)

    point = torch.cat([parameters[name].reshape(-1) for name in names])
    gradient = torch.autograd.functional.jacobian(loss, point)
    return gradient, torch.autograd.functional.hessian(loss, point, vectorize=True)


def collect(model: nn.Module, images: Tensor, labels: Tensor, **settings: float) -> Statistics:
    return collect_statistics(
        model,
        images,
        labels,
        bits=(2, 3, 4),
        quantizer=WeightQuantizer(),
        settings=StatisticsSettings(**settings),
    )


@pytest.mark.parametrize("chunk", [4, 10])
def test_orthogonal_sign_patterns_give_the_exact_diagonal(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int, reference: tuple[Tensor, Tensor]
) -> None:
    expected = reference[1].diagonal()
    layers = find_layers(model, images[:1])
    # The rows of a Hadamard matrix are orthogonal, so that what lies off the diagonal cancels.
    probes = [torch.tensor(row[: sum(SIZES)], dtype=torch.float32) for row in hadamard(128).T]
    with undisturbed():
        hessian = Hessian(
            FunctionalNetwork(PrivateNetwork(model), layers, Workload(model, images)),
            Batch(images, labels, chunk),
        )
        found = hessian_diagonal(hessian, probes)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5)


def test_random_probes_converge_to_diagonal_and_trace(
    model: nn.Module, images: Tensor, labels: Tensor, reference: tuple[Tensor, Tensor]
) -> None:
    _, hessian = reference
    probes = 300
    statistics = collect(model, images, labels, hessian_probes=probes)
    # The variance of v · Hv with random signs is the squared rest of the row.
    error = (hessian.square().sum(dim=1) - hessian.diagonal().square()).div(probes).sqrt()
    found = statistics.tensor("hessian_diagonal").double()
    assert bool(((found - hessian.diagonal()).abs() <= 5 * error + 1e-5).all())
    traces = [float(part.sum()) for part in torch.split(hessian.diagonal(), SIZES)]
    # Pairs inside the block count twice, pairs that leave it once.
    rows = torch.split(hessian.square(), SIZES)
    spread = [
        float((row.sum() + block.square().sum() - 2 * block.diagonal().square().sum()) / probes)
        for row, block in zip(rows, blocks(hessian), strict=True)
    ]
    error_of_trace = statistics.tensor("hessian_trace").numpy() - traces
    assert np.all(np.abs(error_of_trace) <= 5 * np.sqrt(spread) + 1e-4)


def test_small_chunks_share_the_probes(
    model: nn.Module, images: Tensor, labels: Tensor, reference: tuple[Tensor, Tensor]
) -> None:
    # Three of the ten images go through at once, and take 90 of 300 probes.
    settings = {"chunk_images": 10, "chunk_values": 3 * 36, "hessian_probes": 300}
    found = collect(model, images, labels, **settings).tensor("hessian_diagonal").double()
    variance = torch.zeros(sum(SIZES), dtype=torch.float64)
    for some, those in zip(images.split(3), labels.split(3), strict=True):
        share = derivatives(model, some, those)[1] * len(some) / len(images)
        variance += (share.square().sum(dim=1) - share.diagonal().square()) / 90
    expected = reference[1].diagonal()
    assert bool(((found - expected).abs() <= 5 * variance.sqrt() + 1e-5).all())


@given(
    probes=st.integers(1, 40),
    chunk=st.integers(1, 300),
    images=st.integers(1, 2_000),
    most=st.integers(1, 200),
)
def test_each_probe_is_used_and_none_twice_by_a_chunk(probes, chunk, images, most) -> None:
    settings = StatisticsSettings(hessian_probes=probes, chunk_images=most)
    each = settings.probes(chunk, images)
    assert 1 <= each <= probes
    assert each * len(range(0, images, chunk)) >= probes
    if chunk >= most or chunk >= images:
        assert each == probes


def test_large_images_take_few_probes_each() -> None:
    # 13 images of 224 × 224 and three at once, as by default; single samples; small images.
    found = [StatisticsSettings().probes(*some) for some in ((3, 13), (1, 512), (128, 512))]
    assert found == [4, 1, 16]


def blocks(hessian: Tensor) -> list[Tensor]:
    ends = np.cumsum(SIZES)
    return [
        hessian[end - size : end, end - size : end] for end, size in zip(ends, SIZES, strict=True)
    ]


@pytest.mark.parametrize("chunk", [4, 10])
def test_hessian_gradient_is_the_full_product(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int, reference: tuple[Tensor, Tensor]
) -> None:
    gradient, hessian = reference
    found = collect(model, images, labels, chunk_images=chunk).tensor("hessian_gradient")
    torch.testing.assert_close(found.double(), hessian @ gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("chunk", [4, 10])
def test_top_eigenvalue_is_the_largest_of_each_block(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int, reference: tuple[Tensor, Tensor]
) -> None:
    _, hessian = reference
    expected = []
    for block in blocks(hessian):
        eigenvalues = np.linalg.eigvalsh(block.numpy())
        expected.append(eigenvalues[np.abs(eigenvalues).argmax()])
    found = collect(
        model, images, labels, chunk_images=chunk, power_iterations=300, power_tolerance=1e-7
    )
    np.testing.assert_allclose(found.tensor("hessian_top_eigenvalue"), expected, rtol=1e-3)


def test_loose_tolerance_stays_near_the_eigenvalue(
    model: nn.Module, images: Tensor, labels: Tensor, reference: tuple[Tensor, Tensor]
) -> None:
    _, hessian = reference
    expected = [np.abs(np.linalg.eigvalsh(block.numpy())).max() for block in blocks(hessian)]
    found = collect(model, images, labels).tensor("hessian_top_eigenvalue").abs()
    np.testing.assert_allclose(found, expected, rtol=0.1)


class Attention(nn.Module):
    """Scaled dot-product attention, whose fused kernel cannot be derived twice."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(1, 2)
        attended = functional.scaled_dot_product_attention(self.queries(tokens), tokens, tokens)
        return self.head(attended.mean(dim=1))


def test_curvature_of_attention(images: Tensor, labels: Tensor) -> None:
    statistics = collect(Attention(), images, labels, hessian_probes=1)
    assert bool(statistics.tensor("hessian_trace").isfinite().all())


def test_network_without_curvature_has_zeros_not_errors(images: Tensor, labels: Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    nn.init.zeros_(network[1].weight)
    statistics = collect(network, torch.zeros_like(images), labels, hessian_probes=2)
    assert statistics.tensor("hessian_trace").tolist() == [0.0]
    assert statistics.tensor("hessian_top_eigenvalue").tolist() == [0.0]


def test_a_large_batch_is_drawn_from_by_the_seed(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    def trace(**settings: float) -> Tensor:
        return collect(model, images, labels, **settings).tensor("hessian_trace")

    # Images have 36 values: this leaves room for 4 of the 10.
    assert torch.equal(trace(curvature_values=4 * 36), trace(curvature_values=5 * 36 - 1))
    assert not torch.equal(trace(curvature_values=4 * 36), trace())
    chosen = Batch(images, labels, 3).part(4, torch.Generator().manual_seed(0))
    assert (len(chosen), chosen.chunk) == (4, 3)
    assert all(any(torch.equal(image, other) for other in images) for image in chosen.images)
