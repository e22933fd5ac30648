"""What every sample loses, and how well it does, in a network's outputs beside the float one's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gp_emq.errors import AllocationError
from gp_emq.measured._names import DIVERGENCE
from gp_emq.networks import Samples, Workload, in_double, on_cpu

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a network gave for some samples.

    Attributes:
        losses: Of each sample, float64 (n,); infinite where an output is no number.
        values: Its metric, float64 (n,); for a classifier 1 where it is right.
    """

    losses: FloatArray
    values: FloatArray

    def part(self, start: int, stop: int) -> "Answers":
        """Return those of some samples."""
        return Answers(self.losses[start:stop], self.values[start:stop])


def answers(
    workload: Workload, before: Tensor, outputs: Any, targets: Samples, loss: str
) -> Answers:
    """Judge outputs sample by sample.

    Args:
        workload: What they are of.
        before: What `Workload.reference` gave of the float network's, (n, ...).
        outputs: What the network gave.
        targets: Of the same samples.
        loss: One of `LOSSES`.

    Raises:
        AllocationError: The loss gives one number for all samples, which no test can pair.
    """
    count = len(before)
    if loss == DIVERGENCE:
        found = workload.divergences_from(*in_double(on_cpu((before, outputs))))
    else:
        found = _own(workload, outputs, targets)
    if found.shape != (count,):
        raise AllocationError("the loss must give one number for each sample, to be measured by")
    values = workload.values(outputs, targets)
    if not workload.metric.per_sample:
        values = torch.full((count,), torch.nan)
    losses = torch.nan_to_num(found.double().cpu(), nan=torch.inf, posinf=torch.inf)
    return Answers(losses.numpy(), values.double().numpy())


def _own(workload: Workload, outputs: Any, targets: Samples) -> Tensor:
    if workload.loss is None:
        logits = workload.matrix(outputs, len(targets)).double()
        return functional.cross_entropy(logits, targets.to(logits.device), reduction="none")
    return workload.loss(outputs, targets).detach()
