"""What a real model is here: how its workload is made, and how it is planned and shown."""

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks import Metric, Workload, split, tensors_of

SHARE, DIVERGENCE, PERPLEXITY = "share", "divergence", "perplexity"
FORMS: dict[str, Callable[[float], str]] = {
    SHARE: lambda value: f"{100 * value:.1f} %",
    DIVERGENCE: lambda value: f"{value:.3g}",
    PERPLEXITY: lambda value: f"{math.exp(value):.3f}",
}
"""How a metric is shown: a perplexity is the exponential of the mean loss."""


@dataclass(frozen=True)
class RealModel:
    """A network with its samples.

    Attributes:
        name: What it is called on the command line.
        what: What it does, and where its weights are from.
        make: Gives the workload; the same one each time.
        calibration: How many samples calibrate, from the first on.
        held_back: On how many, after those, plans race; all others measure.
        method: The recipe.
        group: Weights of an output channel that share a scale; None for all of them.
        form: How the metric is shown, of `FORMS`.
    """

    name: str
    what: str
    make: Callable[[], Workload]
    calibration: int = 32
    held_back: int = 64
    method: str = "rtn"
    group: int | None = None
    form: str = DIVERGENCE


def package(name: str, install: str) -> ModuleType:
    """Import a package that holds a model or its data.

    Args:
        name: Of the module.
        install: What pip is told.

    Raises:
        NetworkError: It cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise NetworkError(f"{name} cannot be imported ({error}): pip install {install}") from error


def packaged_file(name: str, inside: str, install: str) -> Path:
    """Find a file of a package that is not imported.

    Args:
        name: Of the package.
        inside: Of the file, in its folder.
        install: What pip is told.

    Raises:
        NetworkError: It is not installed, or has no such file.
    """
    found = importlib.util.find_spec(name)
    path = None if found is None or found.origin is None else Path(found.origin).parent / inside
    if path is None or not path.is_file():
        raise NetworkError(f"there is no {inside} of {name}: pip install {install}")
    return path


def beside_float(model: nn.Module, inputs: Tensor, batch: int = 16) -> Workload:
    """Give a workload whose metric is how far outputs are from the float network's.

    It is the squared difference of all outputs of a sample, as a share of what they differ by from
    their mean over the samples, on average: 1 is as bad as an answer that knows no input.

    Args:
        model: Gives tensors with a row for each sample.
        inputs: (n, ...).
        batch: How many go through the network at once.
    """
    with torch.no_grad():
        rows = torch.cat([rows_of(model(part)) for part in split(inputs, batch)])
    spread = (rows - rows.mean(dim=0)).square().sum(dim=1).mean()

    def share(outputs: object, reference: Tensor) -> Tensor:
        return (rows_of(outputs) - reference).square().sum(dim=1) / spread

    return Workload(
        model, (inputs, rows), metric=Metric("relative divergence", share, higher_is_better=False)
    )


def rows_of(outputs: object) -> Tensor:
    """Join all outputs of a network to one row for each sample, (n, values)."""
    return torch.cat([found.flatten(1) for _, found in tensors_of(outputs, "")], dim=1)
