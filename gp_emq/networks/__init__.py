"""Networks, what their layers are, and the images they are fed."""

from gp_emq.networks._cifar_resnet import CifarResNet
from gp_emq.networks._layers import Layer, entry_layers, find_layers
from gp_emq.networks._registry import (
    Network,
    NetworkSpecification,
    load_network,
    network_specifications,
    untrained_network,
)
from gp_emq.networks._weights import file_sha256, load_weights, read_state_dict

__all__ = [
    "CifarResNet",
    "Layer",
    "Network",
    "NetworkSpecification",
    "entry_layers",
    "file_sha256",
    "find_layers",
    "load_network",
    "load_weights",
    "network_specifications",
    "read_state_dict",
    "untrained_network",
]
