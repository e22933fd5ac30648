"""Whether what is said of a sample's outputs depends on what else is in its batch."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.networks._rows import Rows
from gp_emq.networks._samples import Samples, count, take

LOOKED_AT = 32
"""Samples that are judged together, and each alone."""
_VALUE, _LOSS = 1e-3, 0.5
"""Differences, relative to the larger one, from which on a sample's value, or a loss of several
samples, depends on the others. Losses that are the mean over all parts of all samples, such as
those of words, may weigh samples by how many they have."""

Judge = Callable[[Any, Samples], Tensor]
"""Of outputs and targets."""


def check_values(name: str, judge: Judge, outputs: Any, targets: Samples, rows: Rows) -> None:
    """Refuse a metric whose value of a sample is another in another batch.

    Args:
        name: of the metric.
        judge: gives the value of each sample, (n,).
        outputs: of a few samples, run together.
        targets: theirs.
        rows: which outputs have parts of samples.

    Raises:
        StatisticsError: if it is.
    """
    alone = _alone(judge, outputs, targets, rows)
    if alone is None:
        return
    together = judge(outputs, targets).double()
    larger = torch.maximum(alone.abs(), together.abs())
    differs = (alone - together).abs() > _VALUE * larger
    if bool(differs.any()):
        place = int(differs.int().argmax())
        raise StatisticsError(
            f"metric {name} of a sample depends on what else is in its batch: of sample {place} it "
            f"is {float(together[place]):.4g} among {len(together)} and {float(alone[place]):.4g} "
            "alone; one that compares samples is given with per_sample=False, and is then of all "
            "samples at once"
        )


def check_loss(judge: Judge, outputs: Any, targets: Samples, rows: Rows) -> None:
    """Refuse a loss of several samples that is far from what they lose alone.

    Args:
        judge: gives the loss summed over samples.
        outputs: of a few samples, run together.
        targets: theirs.
        rows: which outputs have parts of samples.

    Raises:
        StatisticsError: if it is.
    """
    alone = _alone(lambda *one: judge(*one)[None], outputs, targets, rows)
    if alone is None:
        return
    each, together = alone.mean(), judge(outputs, targets).double() / len(alone)
    if float((each - together).abs()) > _LOSS * float(torch.maximum(each.abs(), together.abs())):
        raise StatisticsError(
            f"the loss of a sample depends on what else is in its batch: it is "
            f"{float(together):.4g} on average among {len(alone)} and {float(each):.4g} alone, so "
            "that no sample has a gradient of its own; give each sample what it is compared with "
            "among its own inputs or targets, or use proxies without gradients"
        )


def _alone(judge: Judge, outputs: Any, targets: Samples, rows: Rows) -> Tensor | None:
    """Judge every sample by its own part of outputs; None where they have no such parts."""
    samples = count(targets)
    parts = [rows.part(outputs, place, samples) for place in range(samples)]
    if samples < 2 or any(part is None for part in parts):
        return None
    with contextlib.suppress(StatisticsError), torch.no_grad():
        return torch.cat(
            [judge(part, take(targets, [place])).double() for place, part in enumerate(parts)]
        )
    return None
