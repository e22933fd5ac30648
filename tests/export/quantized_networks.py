"""Networks to store: quantized from their own weights and a batch of noise."""

import copy

import torch
from torch import Tensor, nn

from gp_emq.networks import Layer, find_layers
from gp_emq.networks._torchvision import import_torchvision
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedModel,
    WeightQuantizer,
    calibrate_activations,
)
from gp_emq.quantization._quantized_network import quantize_weights

MINMAX = WeightQuantizer(scale_rule="minmax")
EIGHT_BITS = ActivationQuantizer()


class Pair(nn.Module):
    """A grouped convolution with a batch norm, and a linear layer, of awkward sizes."""

    def __init__(
        self, channels: int, groups: int, kernel: int, classes: int, *, bias: bool
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(groups, channels * groups, kernel, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(channels * groups)
        self.linear = nn.Linear(channels * groups, classes, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.norm(self.convolution(images)).mean((2, 3)))


class Block(nn.Module):
    """A transformer's block, of parts that export as they are and have linear layers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.after = nn.LayerNorm(width)
        wide = 2 * width
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        parts = self.projections(self.before(tokens)).chunk(3, dim=-1)
        query, key, value = (
            part.reshape(count, length, self.heads, width // self.heads).transpose(1, 2)
            for part in parts
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(count, length, width))
        return tokens + self.mlp(self.after(tokens))


class Transformer(nn.Module):
    """A vision transformer of two blocks for 8x8 images, with parameters of no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        self.blocks = nn.Sequential(Block(16, 2), Block(16, 2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(images.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.norm(self.blocks(tokens + self.positions))[:, 0])


def quantize_network(
    model: nn.Module,
    images: Tensor,
    widths: dict[str, int] | int,
    *,
    weights: WeightQuantizer = MINMAX,
    activations: ActivationQuantizer | None = EIGHT_BITS,
) -> tuple[QuantizedModel, tuple[Layer, ...]]:
    """Quantize some layers, or all where there is one width, and give all layers too."""
    model = model.eval()
    layers = find_layers(model, images[:1])
    if isinstance(widths, int):
        widths = {layer.name: widths for layer in layers}
    made = quantize_weights(model, layers, sorted(set(widths.values())), weights)
    chosen = {
        layer.name: made[index, widths[layer.name]]
        for index, layer in enumerate(layers)
        if layer.name in widths
    }
    grids = {}
    if activations is not None:
        found = calibrate_activations(model, layers, images, activations)
        named = {layer.name: grid for layer, grid in zip(layers, found, strict=True)}
        grids = {name: named[name] for name in chosen}
    return QuantizedModel(model, chosen, grids), layers


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def live_norms(model: nn.Module, seed: int = 1) -> nn.Module:
    """Give the batch norms of an untrained network other values than those they start with."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias, module.running_mean):
                tensor.data.uniform_(-0.2, 0.2, generator=generator)
    return model


def blank(model: nn.Module) -> nn.Module:
    """Give a copy with the same number everywhere, which any other state has to replace."""
    copied = copy.deepcopy(model)
    for tensor in copied.state_dict().values():
        tensor.fill_(7)
    return copied


def small_mobilenet() -> nn.Module:
    """A MobileNetV2 of four blocks."""
    torch.manual_seed(0)
    blocks = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]]
    return live_norms(
        import_torchvision("models").MobileNetV2(10, inverted_residual_setting=blocks)
    )
