import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, StatisticsSettings, collect_statistics

NAMES = ("first.weight", "second.weight", "last.weight")


def collect(model: nn.Module, images: Tensor, labels: Tensor | None, **settings: int) -> Statistics:
    return collect_statistics(
        model,
        images,
        labels,
        bits=(2, 3, 4),
        quantizer=WeightQuantizer(),
        settings=StatisticsSettings(**settings),
    )


def per_image_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Gradients by the weights of the single images' losses, float64 (n, N), by torch.func."""
    double = copy.deepcopy(model).double().eval()
    parameters = dict(double.named_parameters())

    def loss(changed: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(double, {**parameters, **changed}, (image[None],))
        return functional.cross_entropy(logits, label[None])

    weights = {name: parameters[name].detach() for name in NAMES}
    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, images.double(), labels)
    return torch.cat([gradients[name].reshape(len(images), -1) for name in NAMES], dim=1)


@pytest.mark.parametrize("chunk", [3, 128])
def test_weight_gradient_is_the_mean_of_the_images_gradients(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int
) -> None:
    expected = per_image_gradients(model, images, labels).mean(dim=0).float()
    found = collect(model, images, labels, chunk_images=chunk).tensor("weight_gradient")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk", [3, 128])
def test_fisher_diagonal_is_the_mean_of_the_squared_images_gradients(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int
) -> None:
    expected = per_image_gradients(model, images, labels).square().mean(dim=0).float()
    found = collect(model, images, labels, chunk_images=chunk).tensor("fisher_diagonal")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


class ScaledLinear(nn.Linear):
    def forward(self, value: Tensor) -> Tensor:
        return functional.linear(value, self.weight * self.weight.sum(), self.bias)


def test_fisher_diagonal_of_a_layer_with_its_own_forward(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    scaled = ScaledLinear(4, 3)
    scaled.load_state_dict(model.last.state_dict())
    model.last = scaled
    expected = per_image_gradients(model, images, labels).square().mean(dim=0).float()
    found = collect(model, images, labels).tensor("fisher_diagonal")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


class Twice(nn.Module):
    """Calls one linear layer on every position, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(1).view(len(images), -1, 4)
        return self.head(self.mix(torch.tanh(self.mix(tokens))).mean(dim=1))


def test_fisher_diagonal_of_a_layer_called_twice_on_many_positions(
    images: Tensor, labels: Tensor
) -> None:
    network = Twice()
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def loss(weight: Tensor, image: Tensor, label: Tensor) -> Tensor:
        state = {**parameters, "mix.weight": weight}
        return functional.cross_entropy(
            functional_call(network, state, (image[None],)), label[None]
        )

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters["mix.weight"], images, labels)
    found = collect(network, images, labels).tensor("fisher_diagonal")[:16].view(4, 4)
    torch.testing.assert_close(found, gradients.square().mean(dim=0), rtol=1e-4, atol=1e-7)


def linear_network() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 2))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return network


@pytest.mark.parametrize(
    ("name", "magnitude"), [("virtual_gradient", False), ("synflow_gradient", True)]
)
def test_ones_gradient_of_a_linear_network_by_hand(name: str, magnitude: bool) -> None:
    network = linear_network()
    a, a_bias, b, _ = (
        (value.detach().abs() if magnitude else value.detach()) for value in network.parameters()
    )
    # The sum of the logits is 1ᵀ(B(A1 + a) + b).
    hidden = a.sum(dim=1) + a_bias
    by_a = b.sum(dim=0)[:, None].expand(3, 4)
    by_b = hidden[None, :].expand(2, 3)
    found = collect(network, torch.randn(2, 1, 2, 2), None).tensor(name)
    torch.testing.assert_close(found, torch.cat([by_a.reshape(-1), by_b.reshape(-1)]))


def test_synflow_of_a_deep_network_is_scaled_by_a_power_of_two_and_keeps_its_ratios() -> None:
    depth = 60
    network = nn.Sequential(nn.Flatten(), *(nn.Linear(4, 4, bias=False) for _ in range(depth)))
    for layer in network[1:]:
        nn.init.constant_(layer.weight, -16.0)
    found = collect(network, torch.randn(2, 1, 2, 2), None).tensor("synflow_gradient")
    assert bool(found.isfinite().all())
    # Each layer multiplies by 4 · 16, each gradient lacks one 16 and is the same everywhere.
    assert float(found.min()) == float(found.max()) == 2.0**19


def test_without_labels_the_network_answers_for_itself(model: nn.Module, images: Tensor) -> None:
    predictions = copy.deepcopy(model).eval()(images).argmax(dim=1)
    own = collect(model, images, None).tensor("weight_gradient")
    assert torch.equal(own, collect(model, images, predictions).tensor("weight_gradient"))


def test_a_parameter_shared_by_two_layers_gets_its_whole_gradient(
    images: Tensor, labels: Tensor
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    network[3].weight = network[2].weight
    functional.cross_entropy(network(images), labels).backward()
    found = collect(network, images, labels).tensor("weight_gradient")
    expected = network[2].weight.grad.reshape(-1)
    torch.testing.assert_close(found[-9:], expected)
    assert len(found) == 36 * 3 + 9
