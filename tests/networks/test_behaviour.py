"""What a network computes beside its weights is hashed: code, constants, attributes and hooks."""

import importlib
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.networks import sha256_of_behaviour

SOURCE = """
import torch
from torch import nn
from helpers_of_a_network import bend
import helpers_of_a_network as helpers

SLOPE = 0.1

class Net(nn.Module):
    factor = 1.0

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 3)
        self.shift, self.table, self.names = 0.5, [1.0, torch.ones(2)], {"a", "b", "c"}
        self.near = torch.eye(2).to_sparse()

    def forward(self, x):
        return self.two(helpers.scale(bend(self.one(x) + self.shift, SLOPE))) * self.factor
"""
HELPERS = """
import torch

POWER = 2

def bend(x, slope):
    return torch.where(x > 0, x, slope * x)

def scale(x):
    return x ** POWER
"""
SAME = {
    "nothing": ("", ""),
    "a comment": ("class Net", "# of mine\nclass Net"),
    "what it says of itself": ("    factor", '    """Of mine."""\n\n    factor'),
    "what it does not use": ("SLOPE = 0.1", "SLOPE = 0.1\nOTHER = 3\n"),
}
OTHER = {
    "forward": ("x) + self.shift", "x) - self.shift"),
    "a constant of the module": ("SLOPE = 0.1", "SLOPE = 0.2"),
    "a constant of the class": ("factor = 1.0", "factor = 2.0"),
    "an attribute": ("= 0.5,", "= 0.25,"),
    "a tensor in a list": ("torch.ones(2)", "torch.zeros(2)"),
    "a sparse tensor": ("torch.eye(2).to_sparse()", "(2 * torch.eye(2)).to_sparse()"),
    "a set": ('"c"}', '"d"}'),
    "a function of another module": ("slope * x", "x / slope"),
    "a function that a module is asked for": ("x ** POWER", "x ** POWER + 1"),
    "a constant of that": ("POWER = 2", "POWER = 3"),
}


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Give the network of the sources, with one place in them changed."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = "network_of_mine", "helpers_of_a_network"

    def made(old="", new=""):
        for name, source in zip(names, (SOURCE, HELPERS), strict=True):
            (tmp_path / f"{name}.py").write_text(source.replace(old, new, 1) if old else source)
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        torch.manual_seed(0)
        return importlib.import_module(names[0]).Net()

    yield made
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=list(SAME))
def test_what_changes_no_output_changes_no_hash(network, old, new):
    assert sha256_of_behaviour(network(old, new)) == sha256_of_behaviour(network())


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=list(OTHER))
def test_code_constants_and_attributes_count(network, old, new):
    own = sha256_of_behaviour(network())
    assert sha256_of_behaviour(network(old, new)) != own


def test_functions_and_hooks_on_modules_count():
    def small():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))

    def hooked(factor):
        model = small()
        model[0].register_forward_hook(lambda _module, _given, out: out * factor)
        return model

    def patched(change):
        model = small()
        model.forward = partial(change, model)
        return model

    found = [
        small(),
        hooked(2.0),
        hooked(3.0),
        patched(lambda model, x: model[2](model[0](x))),
        patched(lambda model, x: model[2](model[0](x).tanh())),
        nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.3), nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.4), nn.Linear(3, 2)),
    ]
    assert len(set(map(sha256_of_behaviour, found))) == len(found)
    assert sha256_of_behaviour(hooked(2.0)) == sha256_of_behaviour(hooked(2.0))
    assert sha256_of_behaviour(small()) == sha256_of_behaviour(small())


def test_statistics_of_another_forward_are_not_taken_from_the_cache(network, tmp_path):
    inputs = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    proxy, tables = gp_emq.load_proxy("fit"), []
    for change in ("", ""), ("bend(self.one(x) + self.shift, SLOPE)", "self.one(x).sin()"):
        # Both have the same weights, and print the same.
        for cache in (tmp_path / "cache", None):
            statistics = gp_emq.collect_statistics(
                network(*change), inputs, bits=(2, 4), cache=cache
            )
            tables.append(np.asarray(proxy.table(statistics)).tolist())
    assert tables[0] == tables[1]
    assert tables[2] == tables[3]
    assert tables[0] != tables[2]
