"""From a network to a plan, against the procedure of Model-Optimizer's `auto_quantize`.

That runs one forward and one backward pass, and within the forward pass the outputs of each layer
at each width; a width of a layer is scored by the squared change of its output times the squared
gradient there. Written here anew, without its library, so that both run in one process; the
library itself stands beside ours in `benchmarks/peers`. Its scales are of the largest weight, as
there; ours are those of least squared error, which are searched for exactly, and that search is
part of what is measured. Weights are random: time does not depend on them.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.timing import Row, compare
from gp_emq.allocation import Plan, allocate
from gp_emq.determinism import one_thread
from gp_emq.networks import Layer, split, untrained_network
from gp_emq.proxies.loading import load_proxy
from gp_emq.quantization import WeightQuantizer, quantize_weights
from gp_emq.statistics import collect_statistics

BITS = (4, 5, 6, 8)
NETWORKS = ("mobilenet_v2", "resnet50")
IMAGES = 32
CHUNK = 4
"""Images that go through at once, few enough for the processor's cache."""


@dataclass
class Scores:
    """What widths of layers change, times how much that matters; filled by a pass back.

    Args:
        layers: The network's layers.
        quantized: By name of the layer, its weight at each width.
    """

    layers: Sequence[Layer]
    quantized: dict[str, list[Tensor]]
    sums: dict[str, list[float]] = field(default_factory=dict)

    def watch(self, model: nn.Module) -> None:
        """Look at every layer's outputs and their gradients."""
        for layer in self.layers:
            module = model.get_submodule(layer.name)
            module.register_forward_hook(partial(self._forward, layer.name))

    def _forward(self, name: str, module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        with torch.no_grad():
            changes = [
                _called(module, inputs[0], weight) - output for weight in self.quantized[name]
            ]
        output.register_hook(partial(self._backward, name, changes))  # type: ignore[no-untyped-call]

    def _backward(self, name: str, changes: list[Tensor], gradient: Tensor) -> None:
        found = [float((gradient.square() * change.square()).sum()) for change in changes]
        before = self.sums.get(name, [0.0] * len(found))
        self.sums[name] = [one + other for one, other in zip(before, found, strict=True)]


def _called(module: nn.Module, values: Tensor, weight: Tensor) -> Tensor:
    if isinstance(module, nn.Conv2d):
        return functional.conv2d(
            values, weight, module.bias, module.stride, module.padding, module.dilation,
            module.groups,
        )  # fmt: skip
    bias = module.bias
    assert isinstance(bias, Tensor)  # noqa: S101 - as in both networks
    return functional.linear(values, weight, bias)


def procedure(
    model: nn.Module, images: Tensor, labels: Tensor, layers: Sequence[Layer]
) -> dict[str, list[float]]:
    """Score every layer at every width as `auto_quantize` does.

    Args:
        model: The network.
        images: (n, 3, H, W).
        labels: int64 (n,).
        layers: Its layers.

    Returns:
        By name of the layer, a score for each width, higher is worse.
    """
    model = copy.deepcopy(model)
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax")
    known = quantize_weights(model, layers, BITS, quantizer)
    quantized = {
        layer.name: [known[index, width].values() for width in BITS]
        for index, layer in enumerate(layers)
    }
    scores = Scores(layers, quantized)
    scores.watch(model)
    for part, answers in zip(split(images, CHUNK), split(labels, CHUNK), strict=True):
        loss = functional.cross_entropy(model(part), answers, reduction="sum")
        torch.autograd.backward(loss)
    return scores.sums


def plan(
    model: nn.Module, images: Tensor, labels: Tensor, layers: Sequence[Layer], proxy: str
) -> Plan:
    """Plan 6 bits on average by a proxy.

    Args:
        model: The network; its weights are moved a little.
        images: (n, 3, H, W).
        labels: int64 (n,).
        layers: Its layers.
        proxy: Its name.
    """
    with torch.no_grad():
        for layer in layers:
            weight = model.get_submodule(layer.name).weight
            assert isinstance(weight, Tensor)  # noqa: S101 - layers have one
            weight.mul_(1 + 2.0**-10 * torch.rand_like(weight))
    statistics = collect_statistics(model, images, labels, bits=BITS, layers=layers)
    return allocate(load_proxy(proxy).table(statistics), average_bits=6)


def benchmark(
    networks: Sequence[str] = NETWORKS, images: int = IMAGES, side: int = 224
) -> list[Row]:
    """Measure plans by FIT, and by the same score as theirs."""
    rows = []
    with one_thread():
        for name in networks:
            torch.manual_seed(0)
            network = untrained_network(name)
            model, layers = network.model.eval(), network.layers
            samples, labels = torch.randn(images, 3, side, side), torch.randint(10, (images,))

            rows += [
                compare(
                    f"a plan of {name} by `{proxy}`, {images} images of {side} × {side}",
                    partial(plan, model, samples, labels, layers, proxy),
                    "scores as by `auto_quantize`",
                    partial(procedure, model, samples, labels, layers),
                    repeats=1,
                )
                for proxy in ("fit_trace", "model_optimizer")
            ]
    return rows
