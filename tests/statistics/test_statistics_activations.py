import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, StatisticsSettings, collect_statistics
from gp_emq.statistics._activations import kept_images


def collect(model: nn.Module, images: Tensor, labels: Tensor | None, **settings: int) -> Statistics:
    return collect_statistics(
        model,
        images,
        labels,
        bits=(2, 4),
        quantizer=WeightQuantizer(),
        settings=StatisticsSettings(**settings),
    )


def test_activation_is_the_modules_output_before_norm_and_in_place_relu(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect(model, images, labels, activation_images=4, seed=1)
    views = statistics.layout("Activations").views(statistics.tensor("activation"))
    kept = images[kept_images(10, 4, 1)]
    evaluated = copy.deepcopy(model).eval()
    first = evaluated.first(kept)
    second = evaluated.second(evaluated.norm(first).relu())
    last = evaluated.last(second.relu().mean(dim=(2, 3)))
    for found, expected in zip(views, (first, second, last), strict=True):
        torch.testing.assert_close(found, expected)


def test_activation_gradient_agrees_with_finite_differences(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect(model, images, labels, activation_images=3)
    layout = statistics.layout("Activations")
    gradients = layout.views(statistics.tensor("activation_gradient"))
    kept = kept_images(10, 3, 0)
    double = copy.deepcopy(model).double().eval()
    step = 1e-6

    def mean_loss(name: str, index: tuple[int, ...], change: float) -> float:
        """Mean loss of all ten images when one activation of one image is moved."""

        def move(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            output = output.clone()
            output[index] += change
            return output

        handle = double.get_submodule(name).register_forward_hook(move)
        with torch.no_grad():
            loss = functional.cross_entropy(double(images.double()), labels)
        handle.remove()
        return float(loss)

    for layer, gradient in zip(statistics.layers, gradients, strict=True):
        for place in (0, gradient.numel() // 2, gradient.numel() - 1):
            image, *rest = (
                int(i) for i in torch.unravel_index(torch.tensor(place), gradient.shape)
            )
            index = (int(kept[image]), *rest)
            slope = mean_loss(layer.name, index, step) - mean_loss(layer.name, index, -step)
            found = gradient.reshape(-1)[place]
            torch.testing.assert_close(float(found), slope / (2 * step), rtol=1e-3, atol=1e-7)


def test_a_batch_smaller_than_the_number_kept_is_kept_whole() -> None:
    assert kept_images(3, 16, 0).tolist() == [0, 1, 2]


def test_other_seeds_keep_other_images() -> None:
    assert kept_images(1000, 8, 0).tolist() != kept_images(1000, 8, 1).tolist()
