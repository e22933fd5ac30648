"""From networks that are not of this project to a plan and a quantized forward pass."""

import numpy as np
import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.allocation import kept_in_float
from gp_emq.networks._torchvision import import_torchvision
from gp_emq.quantization import WeightQuantizer
from gp_emq.quantization._blocks import find_blocks
from gp_emq.quantization.recipes import find_recipe

pytestmark = pytest.mark.slow

FAST = WeightQuantizer(per_channel=True, scale_rule="minmax")


def narrow_vgg11(num_classes: int) -> nn.Module:
    """torchvision's, but for the 4096 outputs of linear layers, of which it has 48."""
    with torch.device("meta"):
        model = import_torchvision("models").vgg11(num_classes=num_classes)
    outputs = iter((48, 48, num_classes))
    for place, layer in enumerate(model.classifier):
        if isinstance(layer, nn.Linear):
            inputs = layer.in_features if place == 0 else 48
            model.classifier[place] = nn.Linear(inputs, next(outputs))
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            layer.to_empty(device="cpu").reset_parameters()
    return model


def narrow_vit(num_classes: int) -> nn.Module:
    """torchvision's vit_b_16, but for a sixteenth of the width, on images of 64 pixels."""
    return import_torchvision("models").VisionTransformer(
        image_size=64, patch_size=16, num_layers=12, num_heads=12, hidden_dim=48, mlp_dim=192,
        num_classes=num_classes,
    )  # fmt: skip


NARROW = {"narrow_vgg11": narrow_vgg11, "narrow_vit": narrow_vit}


def build(name: str, **options: object) -> nn.Module:
    make = NARROW.get(name) or getattr(import_torchvision("models"), name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(num_classes=10, **options).eval()
        for head in model.modules():
            # The last layer of torchvision's transformers starts at zero.
            if isinstance(head, nn.Linear) and head.out_features == 10:
                nn.init.normal_(head.weight, std=0.05)
    return model


TOKENS = ("class_token", "encoder.pos_embedding")
"""The weights of vision transformers that are in no layer."""


@pytest.mark.parametrize(
    ("name", "side", "proxy", "layers", "in_float"),
    [
        # Layers by hand: 8 convolutions and 3 linear; 1 + 58 × 2 + 3 + 1; 1 + 1 × 4 + 15 × 5 + 1
        # + 1; the patches, four layers of attention and two more of each of 12 blocks, the head.
        ("narrow_vgg11", 32, "ompq", 8 + 3, ()),
        ("densenet121", 32, "fit", 1 + 58 * 2 + 3 + 1, ()),
        ("efficientnet_b0", 32, "relative_output_error", 1 + 4 + 15 * 5 + 1 + 1, ()),
        ("narrow_vit", 64, "ompq", 1 + 12 * (4 + 2) + 1, TOKENS),
    ],
)
def test_layers_statistics_plan_and_forward_pass(name, side, proxy, layers, in_float) -> None:
    model = build(name)
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    statistics = gp_emq.collect_statistics(model, images, bits=(2, 4), quantizer=FAST)
    assert len(statistics.layers) == layers
    table = gp_emq.load_proxy(proxy).table(statistics)
    assert table.shape == (layers, 2)
    assert np.isfinite(table).all()
    first = statistics.layers[0].name
    plan = gp_emq.allocate(table, statistics.layers, bits=(2, 4), average_bits=3, fix={first: 8})
    assert tuple(kept_in_float(model, statistics.layers)) == in_float
    quantized = gp_emq.quantize(model, plan, images, quantizer=FAST, method="rtn")
    for layer, bits in plan.widths.items():
        low, high = quantized.weights[layer].integers.aminmax()
        assert -(2 ** (bits - 1)) <= int(low) <= int(high) < 2 ** (bits - 1)
    with torch.no_grad():
        logits = quantized(images)
    assert logits.shape == (1, 10)
    assert logits.isfinite().all()


@pytest.fixture(scope="module")
def transformer() -> nn.Module:
    """A vision transformer of two blocks, made of the same modules as vit_b_16."""
    models = import_torchvision("models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.VisionTransformer(
            image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12,
            num_classes=10,
        ).eval()  # fmt: skip
        nn.init.normal_(model.heads.head.weight)
    return model


def test_curvature_goes_through_attention(transformer: nn.Module) -> None:
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    statistics = gp_emq.collect_statistics(transformer, images, bits=(2, 3, 4))
    for proxy in ("hawq_v2", "hawq", "fit"):
        assert np.isfinite(gp_emq.load_proxy(proxy).table(statistics)).all()
    assert tuple(kept_in_float(transformer, statistics.layers)) == TOKENS


@pytest.mark.parametrize("method", ["rtn+bn", "adaround", "brecq"])
def test_every_method_takes_tokens(transformer: nn.Module, method: str) -> None:
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    widths = {layer.name: 3 for layer in gp_emq.networks.find_layers(transformer, images[:1])}
    options = {"iterations": 5} if find_recipe(method).learns else {}
    quantized = gp_emq.quantize(transformer, widths, images, method=method, **options)
    assert set(quantized.weights) == set(widths)
    assert quantized(images).isfinite().all()


def test_the_blocks_of_an_encoder_and_of_a_wrapped_backbone(transformer: nn.Module) -> None:
    images = torch.zeros(1, 3, 16, 16)
    layers = gp_emq.networks.find_layers(transformer, images)
    assert find_blocks(transformer, layers) == (
        "conv_proj",
        "encoder.layers.encoder_layer_0",
        "encoder.layers.encoder_layer_1",
        "heads.head",
    )

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = build("resnet18")

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.backbone(images)

    model = Wrapped().eval()
    blocks = find_blocks(model, gp_emq.networks.find_layers(model, torch.zeros(1, 3, 32, 32)))
    stages = [f"backbone.layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert blocks == ("backbone.conv1", *stages, "backbone.fc")
    inception = build("googlenet", init_weights=False, aux_logits=False)
    layers = gp_emq.networks.find_layers(inception, torch.zeros(1, 3, 64, 64))
    blocks = find_blocks(inception, layers)
    # Branches of an inception module are sequences, but of single convolutions.
    assert blocks[:5] == ("conv1", "conv2", "conv3", "inception3a", "inception3b")
    assert len(blocks) == 3 + 9 + 1
    dense = build("densenet121")
    blocks = find_blocks(dense, gp_emq.networks.find_layers(dense, torch.zeros(1, 3, 32, 32)))
    assert "features.denseblock1" in blocks
    assert "features.transition1.conv" in blocks
