"""Workloads by the name of the function that makes them."""

from pathlib import Path

import torch

from gp_emq.errors import NetworkError
from gp_emq.networks._layer import Layer
from gp_emq.networks._layers import called_layers
from gp_emq.networks._own_code import made_by
from gp_emq.networks._registry import Network
from gp_emq.networks._samples import take
from gp_emq.networks._weights import load_weights
from gp_emq.networks._workload import Workload

_TRACED = 256
"""Most samples that are looked at for the layers that they call."""


def load_workload(name: str) -> Workload:
    """Call a function that returns a workload.

    Args:
        name: `package.module:function`; the function takes no arguments. Random numbers of torch
            start from one seed in it.

    Raises:
        NetworkError: if there is none of this name, it fails, or it returns something else.
    """
    made = made_by(name, "workload", "a gp_emq.Workload")
    if not isinstance(made, Workload):
        raise NetworkError(f"{name} returned {type(made).__name__}, not a gp_emq.Workload")
    return made


def layers_in(workload: Workload) -> tuple[Layer, ...]:
    """Find the layers that the first samples of a workload call."""
    return called_layers(workload.private(), take(workload.samples, slice(0, _TRACED)))


def network_of(workload: Workload, name: str, weights: Path | None = None) -> Network:
    """Return the network of a workload.

    Args:
        workload: the workload.
        name: of the network.
        weights: a file that is loaded into the workload's own model; None for those it has.

    Raises:
        NetworkError: if it has no layers, or the weights do not fit.
    """
    if weights is not None:
        load_weights(workload.model, weights)
    layers = layers_in(workload)
    samples = workload.samples
    is_plain = isinstance(samples, torch.Tensor) and samples.is_floating_point()
    shape = tuple(samples.shape[1:]) if is_plain else ()
    return Network(name, workload.model, layers, shape, weights)
