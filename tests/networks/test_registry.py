import re

import pytest
import safetensors.torch
import torch
from torch import nn

from gp_emq.errors import NetworkError
from gp_emq.networks import (
    load_network,
    network_specifications,
    registered_layers,
    untrained_network,
)
from gp_emq.networks._weights import read_state_dict


def small_network():
    """A factory as a user would write it."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10)), (3, 8, 8)


class WithoutModes(nn.Sequential):
    """As graphs of torch.export are."""

    def eval(self):
        raise NotImplementedError("Calling eval() is not supported yet.")


def network_without_modes():
    return WithoutModes(*small_network()[0]), (3, 8, 8)


def no_network():
    return "not a module"


@pytest.mark.parametrize(
    ("name", "parameters", "layers"),
    # Parameters as published: akamaster's table for CIFAR, torchvision's documentation.
    [
        ("resnet20", 0.27e6, 20),
        ("resnet32", 0.46e6, 32),
        ("resnet44", 0.66e6, 44),
        ("resnet56", 0.85e6, 56),
        ("resnet18", 11_689_512, 21),
        ("mobilenet_v2", 3_504_872, 53),
    ],
)
def test_networks_have_their_published_size(name, parameters, layers):
    network = untrained_network(name)
    found = sum(p.numel() for p in network.model.parameters())
    tolerance = 0.005e6 if parameters < 1e6 else 0
    assert abs(found - parameters) <= tolerance
    assert len(network.layers) == layers


@pytest.mark.parametrize("name", ["digits", "resnet18", "mobilenet_v2"])
def test_layers_are_known_without_weights(name):
    assert registered_layers(name) == untrained_network(name).layers


def test_every_specification_is_described():
    specifications = network_specifications()
    assert len({s.name for s in specifications}) == len(specifications)
    assert all(s.description for s in specifications)


def test_shortcuts_of_option_a_take_every_second_pixel_and_pad_channels():
    block = untrained_network("resnet20").model.layer2[0]
    with torch.no_grad():
        block.bn2.weight.zero_()
        x = torch.rand(2, 16, 8, 8)
        out = block(x)
    expected = torch.zeros(2, 32, 4, 4)
    expected[:, 8:24] = x[:, :, ::2, ::2]
    torch.testing.assert_close(out, expected)


def test_embedded_digits_network_loads_in_eval_mode():
    network = load_network("digits")
    assert not network.model.training
    assert network.input_shape == (1, 8, 8)
    assert len(network.layers) >= 12
    assert network.weights is not None
    assert network.weights.stat().st_size < 1_000_000


def test_untrained_weights_depend_on_the_seed_alone():
    state = torch.random.get_rng_state()
    first, second = untrained_network("digits", 3), untrained_network("digits", 3)
    assert torch.equal(first.model.conv1.weight, second.model.conv1.weight)
    assert not torch.equal(
        first.model.conv1.weight, untrained_network("digits", 4).model.conv1.weight
    )
    assert torch.equal(state, torch.random.get_rng_state())


def test_published_checkpoints_load_with_their_prefix(tmp_path):
    model = untrained_network("resnet20", 5).model
    file = tmp_path / "resnet20.th"
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state, "best_prec1": 91.73}, file)
    loaded = load_network("resnet20", file)
    assert torch.equal(loaded.model.linear.weight, model.linear.weight)
    assert loaded.weights == file


def test_a_factory_brings_its_own_weights_and_shape(tmp_path):
    network = load_network(f"{__name__}:small_network")
    assert network.input_shape == (3, 8, 8)
    assert [layer.kind for layer in network.layers] == ["Conv2d", "Linear"]
    other = small_network()[0].state_dict()
    safetensors.torch.save_file(other, tmp_path / "w.safetensors")
    loaded = load_network(f"{__name__}:small_network", tmp_path / "w.safetensors")
    assert torch.equal(loaded.model[0].weight, other["0.weight"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet21", "unknown network 'resnet21': known are digits, resnet20"),
        ("nowhere.at_all:build", "no network factory 'nowhere.at_all:build'"),
        (f"{__name__}:absent", "no network factory"),
        (
            f"{__name__}:network_without_modes",
            "network_without_modes does not go into eval mode: NotImplementedError: Calling eval",
        ),
        (f"{__name__}:no_network", "returned str, not a torch.nn.Module"),
    ],
)
def test_unknown_networks_are_named(name, words):
    with pytest.raises(NetworkError, match=re.escape(words)):
        load_network(name)


def test_weights_that_are_needed_and_absent_are_asked_for(monkeypatch):
    monkeypatch.delenv("GP_EMQ_DATA", raising=False)
    with pytest.raises(NetworkError, match=r"give a file, or put it at \$GP_EMQ_DATA/cifar10/"):
        load_network("resnet20")


class Harmful:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("case", [
    "missing", "text", "pickle", "list", "misfit", "shape", "extra", "integers", "complex",
])  # fmt: skip
def test_weights_that_do_not_read_or_fit_give_one_line(tmp_path, case, capsys):
    file = tmp_path / "weights.pt"
    state = untrained_network("digits").model.state_dict()
    if case == "text":
        file.write_text("no weights")
    elif case == "pickle":
        torch.save({"state_dict": Harmful()}, file)
    elif case == "list":
        torch.save([torch.zeros(1)], file)
    elif case == "misfit":
        torch.save({k: v for k, v in state.items() if k != "conv1.weight"}, file)
    elif case == "shape":
        torch.save({**state, "conv1.weight": torch.zeros(8, 3, 3, 3)}, file)
    elif case == "extra":
        torch.save({**state, "more": torch.zeros(1)}, file)
    elif case in ("integers", "complex"):
        kind = torch.int8 if case == "integers" else torch.complex64
        torch.save({**state, "conv1.weight": torch.zeros(8, 1, 3, 3, dtype=kind)}, file)
    with pytest.raises(NetworkError, match=r"weights\.pt") as caught:
        load_network("digits", file)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(load_network("digits").weights.read_bytes()[:1000])
    with pytest.raises(NetworkError, match="does not read as safetensors"):
        read_state_dict(file)
