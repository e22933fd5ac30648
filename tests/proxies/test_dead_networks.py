"""A network whose weights are all zero has tables that say nothing, and no accident."""

import torch
from torch import nn

from gp_emq.networks import Workload, find_layers
from gp_emq.proxies.handcrafted import HANDCRAFTED, ProxyInputs, handcrafted_table
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import collect_statistics


def test_every_handcrafted_proxy_gives_a_table_of_an_all_zero_network() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).eval()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    images = torch.randn(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    quantizer = WeightQuantizer()
    layers = find_layers(model, images[:1])
    statistics = collect_statistics(
        model, images, labels, bits=(2, 4), quantizer=quantizer, layers=layers
    )
    inputs = ProxyInputs(statistics, Workload(model, images, labels), quantizer)
    for proxy in HANDCRAFTED.values():
        assert handcrafted_table(proxy, inputs, "aligned").shape == (2, 2), proxy.name
    # Its outputs are zero before and after: nothing changes.
    table = handcrafted_table(HANDCRAFTED["relative_output_error"], inputs, "aligned")
    assert not torch.as_tensor(table).any()
