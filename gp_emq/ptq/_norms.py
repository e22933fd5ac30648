"""What re-estimating batch norms does to the float network itself."""

import torch
from torch import nn

from gp_emq.networks import TOP_1, Metric, Workload, undisturbed
from gp_emq.ptq._accuracy import Measured
from gp_emq.ptq._task import private_on_cpu
from gp_emq.ptq._text import shown
from gp_emq.quantization import batch_norms, estimating


def with_own_statistics(calibration: Workload) -> nn.Module:
    """Copy a float network, with batch-norm statistics of the calibration samples alone.

    Args:
        calibration: The network, and the samples.
    """
    network = private_on_cpu(calibration)
    with undisturbed(), torch.no_grad(), estimating(batch_norms(network.model)):
        network.run(calibration.samples)
    return network.model


def told_of_statistics(lost: Measured, metric: Metric) -> list[str]:
    """Say where re-estimated statistics are surely worse than those that the network came with.

    Args:
        lost: How the metric of the float network changes by them.
        metric: The metric.
    """
    worse = lost.high if metric.higher_is_better else lost.low
    if worse is None or (worse >= 0 if metric.higher_is_better else worse <= 0):
        return []
    change = shown(lost.value, metric.name == TOP_1.name, "+")
    return [
        (
            f"batch norms re-estimated alone change the float network's {metric.name} by {change}: "
            "these images are too few or of another kind; rtn+bn-correction keeps what was trained"
        )
    ]
