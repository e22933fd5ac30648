import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gp_emq.errors import NetworkError
from gp_emq.quantization import QuantizationParameters, QuantizedModel, QuantizedWeight


def grid(scale: float, low: int, high: int) -> QuantizationParameters:
    return QuantizationParameters(torch.tensor(scale), torch.tensor(0.0), low, high)


WEIGHT = QuantizedWeight(torch.tensor([[1, -2], [0, 1]], dtype=torch.int16), grid(0.5, -2, 1))
IMAGES = torch.tensor([[0.3, 0.7], [0.2, 9.0]])


def make(hook=None) -> QuantizedModel:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].bias.data.fill_(1)
    if hook is not None:
        model[0].register_forward_pre_hook(hook)
    return QuantizedModel(model, {"0": WEIGHT}, {"0": grid(0.25, 0, 3)})


def test_weights_are_grid_values_and_inputs_are_rounded():
    weight = torch.tensor([[0.5, -1.0], [0.0, 0.5]])
    expected = F.linear(torch.tensor([[0.25, 0.75], [0.25, 0.75]]), weight, torch.ones(2))
    assert torch.equal(make()(IMAGES), expected)


def test_without_rounded_inputs_the_weights_stay_and_hooks_of_the_user_too():
    doubled = make(lambda _module, inputs: (2 * inputs[0],))
    before = doubled(IMAGES)
    network = doubled.without_rounded_inputs()
    weight = torch.tensor([[0.5, -1.0], [0.0, 0.5]])
    assert torch.equal(network(IMAGES), F.linear(2 * IMAGES, weight, torch.ones(2)))
    assert torch.equal(doubled(IMAGES), before)


def test_what_fits_no_layer_is_refused():
    with pytest.raises(NetworkError, match="Sequential has no layer '1' with a weight"):
        QuantizedModel(nn.Sequential(nn.Linear(2, 2)), {"1": WEIGHT}, {})
    with pytest.raises(NetworkError, match=r"the weight of 0 has shape \(3, 2\), not \(2, 2\)"):
        QuantizedModel(nn.Sequential(nn.Linear(2, 3)), {"0": WEIGHT}, {})
