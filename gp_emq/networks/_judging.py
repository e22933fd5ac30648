"""What a loss and a metric say of a network's outputs, once it is what they are to say."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gp_emq.errors import DataError, StatisticsError
from gp_emq.networks._divergence import described, in_single
from gp_emq.networks._logits import check_classes, check_range, logits_of
from gp_emq.networks._metric import Loss, Metric, check_function, judged
from gp_emq.networks._samples import Samples, are_labels, count
from gp_emq.networks._trees import leaves_of


def _is_right(outputs: Any, labels: Samples) -> Tensor:
    if not are_labels(labels):
        raise StatisticsError(
            f"top-1 needs labels (n,), whole numbers, and the targets are {described(labels)}: "
            "give Workload a metric"
        )
    logits = logits_of(outputs, len(labels))
    check_range(labels, logits.shape[1])
    right: Tensor = logits.argmax(dim=1) == labels.to(logits.device)
    return right


TOP_1 = Metric("top-1", _is_right)
"""The share of samples whose largest logit is that of their label."""


def check_judges(forward: object, loss: object, metric: object) -> None:
    """Refuse a forward, a loss or a metric that are none, before anything is done with them.

    Raises:
        DataError: if one of them is something else; None passes.
    """
    if forward is not None:
        check_function(forward, "forward", "forward(model, inputs)")
    if loss is not None:
        check_function(loss, "the loss", "loss(outputs, targets)")
    if metric is not None and not isinstance(metric, Metric):
        raise DataError(
            f"the metric is {type(metric).__name__}, not a gp_emq.Metric(name, function, "
            "higher_is_better=...)"
        )


def summed_cross_entropy(outputs: Any, labels: Samples) -> Tensor:
    """Return the cross-entropy of logits (n, classes) and labels (n,), summed over samples.

    Raises:
        StatisticsError: if outputs are no logits of several classes.
    """
    logits = check_classes(logits_of(outputs, count(labels)))
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(logits, labels.to(logits.device), reduction="sum")


def summed_own_loss(loss: Loss, outputs: Any, targets: Samples) -> Tensor:
    """Return a loss of the user's own, summed over samples.

    Raises:
        StatisticsError: if the loss fails, is of a wrong shape or has no gradient.
    """
    samples = count(targets)
    losses = judged(loss, "the loss", outputs, targets)
    if not isinstance(losses, Tensor) or losses.shape not in (torch.Size(), (samples,)):
        wanted = f"one number for each of {samples} samples, or their mean, as a tensor"
        raise StatisticsError(f"the loss must give {wanted}; got {described(losses)}")
    if not losses.requires_grad and any(
        leaf.requires_grad for leaf in leaves_of(outputs) if isinstance(leaf, Tensor)
    ):
        raise StatisticsError(
            f"the loss has no gradient by the network's outputs: it gives {losses.dtype} from "
            "steps that autograd does not follow, as argmax, detach and numpy are"
        )
    return losses.sum() if losses.dim() else losses * samples


def metric_values(metric: Metric, outputs: Any, targets: Samples) -> Tensor:
    """Return a metric of each sample (n,), or of all of them ().

    Raises:
        StatisticsError: if the metric fails, or gives anything else.
    """
    samples, what = count(targets), f"metric {metric.name}"
    found = judged(metric.measure, what, outputs, targets)
    wanted = torch.Size([samples]) if metric.per_sample else torch.Size()
    if not isinstance(found, Tensor) or found.shape != wanted or found.is_complex():
        needed = (
            f"one number for each of {samples} samples, as a tensor ({samples},); with "
            "per_sample=False one for all"
            if metric.per_sample
            else "one number for all samples, as a tensor ()"
        )
        raise StatisticsError(f"{what} must give {needed}; got {described(found)}")
    missing = int(found.isnan().sum())
    if missing:
        raise StatisticsError(f"{what} is not a number for {missing} of {samples} samples")
    return in_single(found.detach()).cpu()
