"""Seeding torch's generators, without what it costs where there is no device."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gp_emq import determinism
from gp_emq.determinism import seed_generators
from gp_emq.networks import PrivateNetwork, undisturbed


@pytest.fixture(params=[None, "cuda"], ids=["built for none", "built for one"])
def without_device(request, monkeypatch) -> None:
    kind = None if request.param is None else torch.device(request.param)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: kind)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    determinism._is_present.cache_clear()
    yield
    determinism._is_present.cache_clear()


def test_numbers_are_those_of_torch(without_device) -> None:
    with torch.random.fork_rng(devices=[]):
        for seed in (0, 7, 2**40):
            torch.manual_seed(seed)
            expected = torch.rand(5)
            torch.rand(3)
            seed_generators(seed)
            assert torch.equal(torch.rand(5), expected)


def test_a_pass_writes_down_no_stack_for_devices_that_are_not_there(
    without_device, monkeypatch
) -> None:
    def written(*_: object) -> list[str]:
        raise AssertionError("a stack was written down")

    network = PrivateNetwork(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train())
    with undisturbed():
        monkeypatch.setattr(sys.modules["traceback"], "format_stack", written)
        found = [network.run(torch.ones(1, 2)) for _ in range(2)]
    assert torch.equal(*found)


def test_devices_that_are_there_are_seeded_too(monkeypatch) -> None:
    seeds: list[int] = []
    device = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch, "get_device_module", lambda kind: device)
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    determinism._is_present.cache_clear()
    seed_generators(3)
    determinism._is_present.cache_clear()
    assert seeds == [3]
