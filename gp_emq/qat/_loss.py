"""What training minimises: cross-entropy, and the distance to the float network's outputs."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from gp_emq.networks import Workload, count
from gp_emq.qat._settings import QatSettings


def workload_loss(
    workload: Workload, outputs: Any, targets: Any, teacher: Any, settings: QatSettings
) -> Tensor:
    """Return the mean loss of a batch of a workload.

    Args:
        workload: Says what the loss is.
        outputs: Of the quantized network.
        targets: What they are compared with.
        teacher: The float network's outputs; None without distillation.
        settings: The share of distillation, which is the divergence from the float outputs.
    """
    samples = count(targets)
    share = settings.distillation if teacher is not None else 0.0
    loss = (1 - share) * workload.summed_loss(outputs, targets)
    if share:
        loss = loss + share * workload.divergence(teacher, outputs, samples)
    return loss / samples


def training_loss(
    logits: Tensor, labels: Tensor, teacher: Tensor | None, settings: QatSettings
) -> Tensor:
    """Return the mean loss of a batch, in float32.

    Distillation is Hinton et al. 2015 (arXiv 1503.02531): the Kullback-Leibler divergence of
    the softened outputs from the teacher's, times the squared temperature, so that its gradient
    keeps its size whatever the temperature.

    Args:
        logits: (n, classes), of the quantized network.
        labels: int64 (n,).
        teacher: The float network's logits (n, classes); None without distillation.
        settings: Shares, temperature and label smoothing.
    """
    logits = logits.float()
    share = settings.distillation if teacher is not None else 0.0
    loss = logits.new_zeros(())
    if share < 1:
        entropy = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
        loss = loss + (1 - share) * entropy
    if teacher is not None and share > 0:
        divergence = F.kl_div(
            F.log_softmax(logits / settings.temperature, dim=1),
            F.log_softmax(teacher.float() / settings.temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        loss = loss + share * settings.temperature**2 * divergence
    return loss
