"""Second-order statistics of the weights, by double backward."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._seeds import PROBES, generator, rademacher
from gp_emq.statistics._twice import DerivedTwice

_ALIKE = 8
"""Powers of two between the gradients of two layers within which no estimate swamps another."""


class Hessian:
    """The Hessian of the mean cross-entropy by the weights of all layers.

    The first derivative is taken once per chunk with its graph kept, and every product
    with a vector is one more backward pass through that graph. A batch of one chunk keeps
    its graph from call to call.

    Args:
        network: The network.
        batch: What the loss is the mean over.

    Attributes:
        batch: The same.
    """

    def __init__(self, network: FunctionalNetwork, batch: Batch) -> None:
        self._network = network
        self.batch = batch
        self._weights = network.weights()
        self._kept: list[Tensor] | None = None

    def gradients(self) -> Iterator[list[Tensor]]:
        """Yield, for each chunk, its share of the gradient, with its graph."""
        if self._kept is not None:
            yield self._kept
            return
        for images, labels in self.batch.chunks():
            with DerivedTwice():
                loss = self._network.summed_loss(self._weights, images, labels) / len(self.batch)
                share = torch.autograd.grad(
                    loss, self._weights, create_graph=True, materialize_grads=True
                )
            if len(self.batch) <= self.batch.chunk:
                self._kept = list(share)
            yield list(share)

    def product(self, gradients: Sequence[Tensor], vectors: Sequence[Tensor]) -> list[Tensor]:
        """Multiply one chunk's share of the Hessian with a vector.

        Args:
            gradients: One element of `gradients()`.
            vectors: One tensor per layer.

        Returns:
            One tensor per layer.
        """
        return _derive(gradients, vectors, self._weights)

    def block_product(self, gradients: Sequence[Tensor], layer: int, vector: Tensor) -> Tensor:
        """Multiply one layer's diagonal block of one chunk's share with a vector."""
        return _derive([gradients[layer]], [vector], [self._weights[layer]])[0]

    def split(self, flat: Tensor) -> list[Tensor]:
        """Cut a flat (N,) buffer into tensors shaped as the layers' weights."""
        parts = torch.split(
            flat.to(self._network.device), [value.numel() for value in self._weights]
        )
        return [part.view_as(value) for part, value in zip(parts, self._weights, strict=True)]


def _derive(
    gradients: Sequence[Tensor], vectors: Sequence[Tensor], weights: Sequence[Tensor]
) -> list[Tensor]:
    """Differentiate Σ gradient · vector by the weights; zeros where nothing depends on them."""
    pairs = [
        (gradient, vector)
        for gradient, vector in zip(gradients, vectors, strict=True)
        if gradient.requires_grad
    ]
    if not pairs:
        return [torch.zeros_like(value) for value in weights]
    with DerivedTwice():
        return list(
            torch.autograd.grad(
                [gradient for gradient, _ in pairs],
                list(weights),
                grad_outputs=[vector for _, vector in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
        )


def hessian_gradient(hessian: Hessian, gradient: Tensor) -> Tensor:
    """Multiply the Hessian with the gradient.

    Args:
        hessian: The Hessian.
        gradient: float32 (N,), of the mean cross-entropy by the weights.

    Returns:
        float32 (N,).
    """
    vectors = hessian.split(gradient)
    total = torch.zeros_like(gradient)
    for share in hessian.gradients():
        total += flatten(hessian.product(share, vectors))
    return total


def probe_sizes(gradients: Sequence[Tensor]) -> Tensor | None:
    """Say how large the probes of each layer are to be, where layers differ by orders of magnitude.

    What a layer's estimate has of other layers' curvature is noise, which swamps it where theirs
    is far larger, as where their weights are tiny and their scale is undone behind them. Probes
    that go with the inverse of a layer's gradients make all blocks alike.

    Args:
        gradients: Of the loss by the weights, one tensor per layer.

    Returns:
        Powers of two, float32 (N,); None where no layer's gradients are some hundred times larger
        or smaller than those of the middle one, and probes are +1 and −1.
    """
    sizes = [float(part.double().square().mean().sqrt()) for part in gradients]
    some = sorted(size for size in sizes if 0 < size < math.inf)
    if not some:
        return None
    middle = some[(len(some) - 1) // 2]
    powers = [round(math.log2(middle / size)) if 0 < size < math.inf else 0 for size in sizes]
    if all(abs(power) < _ALIKE for power in powers):
        return None
    return torch.cat(
        [
            torch.full((part.numel(),), 2.0**power)
            for part, power in zip(gradients, powers, strict=True)
        ]
    )


def hessian_diagonal(
    hessian: Hessian,
    probes: "Sequence[Tensor] | RademacherProbes",
    sizes: Tensor | None = None,
    *,
    each: int | None = None,
) -> Tensor:
    """Estimate the diagonal as the mean of v · Hv over probes v of +1 and −1.

    Source: Bekas, Kokiopoulou and Saad, An estimator for the diagonal of a matrix, 2007.

    Args:
        hessian: The Hessian.
        probes: float32 (N,) each, at least one.
        sizes: What they are multiplied by, and estimates divided by the square of; see
            `probe_sizes`.
        each: How many of the probes each chunk takes, the next chunk the next of them; None for
            all.

    Returns:
        float32 (N,).
    """
    each = each or len(probes)
    total: Tensor | None = None
    for number, share in enumerate(hessian.gradients()):
        part: Tensor | None = None
        for place in range(number * each, (number + 1) * each):
            probe = probes[place % len(probes)]
            sized = probe if sizes is None else probe * sizes
            product = flatten(hessian.product(share, hessian.split(sized))) * probe
            product = product if sizes is None else product / sizes
            part = product if part is None else part.add_(product)
        assert part is not None  # noqa: S101 - there is a probe at least
        part /= each
        total = part if total is None else total.add_(part)
    assert total is not None  # noqa: S101 - and a chunk
    return total


class RademacherProbes:
    """Probes that are drawn again, the same, whenever one is looked at, so that none is stored.

    Args:
        size: Elements of a probe.
        count: Number of probes.
        seed: Seed of them all.
    """

    def __init__(self, size: int, count: int, seed: int) -> None:
        self._size = size
        self._count = count
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        return rademacher(self._size, generator(self._seed, PROBES, index))


def first_vectors(hessian: Hessian, gradient: Tensor, noise: Tensor) -> list[Tensor]:
    """Choose where power iterations start.

    The gradient of a trained network lies close to the top eigenvectors, so that it is a
    better start than noise: fewer steps end ten times closer. A tenth of noise keeps the
    start from having no part in an eigenvector, or from being zero.

    Args:
        hessian: The Hessian.
        gradient: float32 (N,), of the loss by the weights.
        noise: float32 (N,).

    Returns:
        One tensor of norm 1 per layer.
    """
    starts = []
    for slope, random in zip(hessian.split(gradient), hessian.split(noise), strict=True):
        norm = _norm(slope)
        start = 0.1 * random / random.norm()
        if norm > 0:
            start = start + (slope.double() / norm).float()
        starts.append(start / start.norm())
    return starts


def top_eigenvalues(
    hessian: Hessian, start: Sequence[Tensor], *, iterations: int, tolerance: float
) -> Tensor:
    """Find the eigenvalue of largest magnitude of each layer's block, by power iteration.

    Source: Dong et al., HAWQ: Hessian aware quantization, 2019, algorithm 1.

    Args:
        hessian: The Hessian.
        start: First vector of each layer, of norm 1.
        iterations: Most steps; the value is the Rayleigh quotient of the last.
        tolerance: A layer is done when a step changes its value by no more than this
            share of it.

    Returns:
        float64 (layers,), on the CPU.
    """
    vectors = list(start)
    values = torch.zeros(len(vectors), dtype=torch.float64)
    moving = list(range(len(vectors)))
    for _ in range(iterations):
        products = {layer: torch.zeros_like(vectors[layer]) for layer in moving}
        for share in hessian.gradients():
            for layer in moving:
                products[layer] += hessian.block_product(share, layer, vectors[layer])
        still = []
        for layer in moving:
            product, before = products[layer], float(values[layer])
            after = float((vectors[layer].double() * product.double()).sum())
            values[layer] = after
            norm = _norm(product)
            if norm > 0 and abs(after - before) > tolerance * abs(after):
                vectors[layer] = (product.double() / norm).float()
                still.append(layer)
        moving = still
        if not moving:
            break
    return values


def _norm(vector: Tensor) -> float:
    """Compute a norm whose squares float32 may have no room for."""
    return float(vector.double().norm())
