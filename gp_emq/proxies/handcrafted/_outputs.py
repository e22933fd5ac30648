"""What quantizing a layer does to that layer's own output, on the float network's inputs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gp_emq.networks import (
    Call,
    PrivateNetwork,
    is_linear_map,
    split,
    undisturbed,
    watching,
    zero_bias,
)
from gp_emq.proxies._inputs import ProxyInputs, negative_sums


@dataclass
class _Moments:
    """Sums over images, positions and channels of one layer at one width."""

    count: int = 0
    error: float = 0.0
    output: float = 0.0
    quantized: float = 0.0
    quantized_squared: float = 0.0

    def add(self, output: Tensor, change: Tensor) -> None:
        """Add one chunk: the float output and what quantizing the weight changes in it."""
        quantized = (output + change).double()
        self.count += output.numel()
        self.error += float(change.double().square().sum())
        self.output += float(output.double().square().sum())
        self.quantized += float(quantized.sum())
        self.quantized_squared += float(quantized.square().sum())

    @property
    def relative_error(self) -> float:
        """Squared change relative to the squared output; nothing where nothing changes."""
        if self.error == 0:
            return 0.0
        return self.error / self.output if self.output > 0 else math.inf

    @property
    def quantized_entropy(self) -> float:
        """Logarithm of the standard deviation of the quantized layer's output.

        A deviation too small for float32 counts as the smallest that float32 can tell beside
        the layer's float output; of a layer that gives only zeros it is 0.
        """
        if self.count == 0:
            return 0.0
        mean = self.quantized / self.count
        variance = self.quantized_squared / self.count - mean * mean
        least = torch.finfo(torch.float32).eps ** 2 * self.output / self.count
        variance = max(variance, least)
        if variance == 0:
            return 0.0
        return 0.5 * torch.tensor(variance, dtype=torch.float64).log().item()


def output_error(inputs: ProxyInputs) -> Tensor:
    """Squared change of a layer's output when its weight is quantized, per image.

    Returns:
        Oriented table −‖Q_b(W)x − Wx‖²/images, float64 (entries, bits).
    """
    moments = inputs.once("outputs", _measure)
    images = len(inputs.workload)
    return negative_sums(inputs, {key: value.error / images for key, value in moments.items()})


def relative_output_error(inputs: ProxyInputs) -> Tensor:
    """Squared change of a layer's output relative to the squared output.

    Returns:
        Oriented table −‖Q_b(W)x − Wx‖²/‖Wx‖², float64 (entries, bits).
    """
    moments = inputs.once("outputs", _measure)
    return negative_sums(inputs, {key: m.relative_error for key, m in moments.items()})


def quantization_entropy(inputs: ProxyInputs) -> Tensor:
    """Entropy of the quantized layer's output, were it Gaussian, up to a constant.

    Source: Sun et al., Entropy-driven mixed-precision quantization for deep network design,
    2022: the logarithm of the standard deviations of the outputs of quantized layers, here
    on the network's trained weights and true inputs. The public script's weights of the
    stages of two named networks are left out.

    Returns:
        Oriented table log std(Q_b(W)x), float64 (entries, bits).
    """
    moments = inputs.once("outputs", _measure)
    return negative_sums(inputs, {key: -m.quantized_entropy for key, m in moments.items()})


def _measure(inputs: ProxyInputs) -> dict[tuple[str, int], _Moments]:
    """Run the float network once and measure every layer at every width on its inputs."""
    statistics, network = inputs.statistics, inputs.network
    moments = {
        (layer.name, width): _Moments() for layer in statistics.layers for width in statistics.bits
    }
    layers = {layer.name: network.model.get_submodule(layer.name) for layer in statistics.layers}
    linear = {name: is_linear_map(module) for name, module in layers.items()}
    with undisturbed(), torch.no_grad():
        for images in split(inputs.workload.samples, inputs.chunk):
            with watching(list(layers.values()), around_hooks=True) as records:
                network.run(images)
            for (name, module), calls in zip(layers.items(), records, strict=True):
                changes = _linear_changes if linear[name] else _changes
                weights = {
                    width: inputs.perturbations[name, width].to(network.device)
                    for width in statistics.bits
                }
                for call in calls:
                    for width, output, change in changes(network, module, call, weights):
                        moments[name, width].add(output, change)
    return moments


def _linear_changes(
    network: PrivateNetwork, module: nn.Module, call: Call, perturbations: Mapping[int, Tensor]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Give width, output and its change: where the module is linear, the output for ΔW alone."""
    bias = zero_bias(module)
    for width, perturbation in perturbations.items():
        change = network.call(module, call.arguments, call.named, {"weight": perturbation, **bias})
        yield width, call.output.float(), change


def _changes(
    network: PrivateNetwork, module: nn.Module, call: Call, perturbations: Mapping[int, Tensor]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Give width, output and its change of a module whose forward or hooks may do anything."""
    output = network.call(module, call.arguments, call.named)
    weight = module.get_parameter("weight")
    for width, perturbation in perturbations.items():
        changed = network.call(
            module, call.arguments, call.named, {"weight": weight + perturbation}
        )
        yield width, output, changed - output
