"""What quantizing a layer does to that layer's own output, on the float network's inputs."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gp_emq.determinism import one_thread
from gp_emq.networks import batch_size
from gp_emq.proxies.handcrafted._proxy import ProxyInputs, negative_sums


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
    def quantized_variance(self) -> float:
        """Variance of the quantized layer's output."""
        mean = self.quantized / self.count
        return self.quantized_squared / self.count - mean * mean


def output_error(inputs: ProxyInputs) -> Tensor:
    """Squared change of a layer's output when its weight is quantized, per image.

    Returns:
        Oriented table −‖Q_b(W)x − Wx‖²/images, float64 (entries, bits).
    """
    moments = inputs.once("outputs", _measure)
    images = len(inputs.images)
    return negative_sums(inputs, {key: value.error / images for key, value in moments.items()})


def relative_output_error(inputs: ProxyInputs) -> Tensor:
    """Squared change of a layer's output relative to the squared output.

    Returns:
        Oriented table −‖Q_b(W)x − Wx‖²/‖Wx‖², float64 (entries, bits).
    """
    moments = inputs.once("outputs", _measure)
    return negative_sums(inputs, {key: _share(m.error, m.output) for key, m in moments.items()})


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
    logarithms = {
        key: -0.5 * torch.tensor(m.quantized_variance, dtype=torch.float64).log().item()
        for key, m in moments.items()
    }
    return negative_sums(inputs, logarithms)


def _share(part: float, whole: float) -> float:
    """Divide; what has no whole is not a number, as the table then is not finite."""
    return part / whole if whole > 0 else math.nan


def _measure(inputs: ProxyInputs) -> dict[tuple[str, int], _Moments]:
    """Run the float network once and measure every layer at every width on its inputs."""
    statistics = inputs.statistics
    moments = {
        (layer.name, width): _Moments() for layer in statistics.layers for width in statistics.bits
    }

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, taken: tuple[Tensor, ...], output: Tensor) -> None:
            for width in statistics.bits:
                # The layer is linear in its weight: the change is the output for ΔW alone.
                state = {"weight": inputs.perturbations[name, width].to(output.device)}
                if isinstance(module.bias, Tensor):
                    state["bias"] = torch.zeros_like(module.bias)
                with _without_hooks(module):
                    change = functional_call(module, state, (taken[0],))
                moments[name, width].add(output, change)

        return hook

    device = next(inputs.model.parameters()).device
    handles = [
        inputs.model.get_submodule(layer.name).register_forward_hook(watch(layer.name))
        for layer in statistics.layers
    ]
    try:
        with one_thread(), torch.no_grad():
            for part in torch.split(inputs.images, batch_size(inputs.images.shape[1:])):
                inputs.model(part.to(device))
    finally:
        for handle in handles:
            handle.remove()
    return moments


@contextlib.contextmanager
def _without_hooks(module: nn.Module) -> Iterator[None]:
    """Call a module inside its own hook without calling the hook again."""
    hooks = module._forward_hooks.copy()
    module._forward_hooks.clear()
    try:
        yield
    finally:
        module._forward_hooks.update(hooks)
