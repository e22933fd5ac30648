"""A packed file that several modules read, and what it was made from."""

import pytest
import torch
from quantized_networks import Pair, noise, quantize_network

from gp_emq.export import save_packed


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    torch.manual_seed(0)
    quantized, layers = quantize_network(Pair(2, 2, 3, 4, bias=True), noise(2, 2, 4, 4), 3)
    path = tmp_path_factory.mktemp("packed") / "pair.safetensors"
    save_packed(quantized, layers, path, provenance={"network": "pair", "bits": [3, 3]})
    return path, quantized, layers
