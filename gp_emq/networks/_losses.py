"""What outputs of a network lose, beside labels or beside what the float network gives."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gp_emq.networks._divergence import (
    divergences,
    divergences_from_mean,
    divergences_of_logits,
    logits_in,
    reference_of,
    rows_of,
)
from gp_emq.networks._judging import summed_cross_entropy, summed_own_loss
from gp_emq.networks._logits import logits_of
from gp_emq.networks._metric import Loss
from gp_emq.networks._rows import Rows
from gp_emq.networks._samples import Samples, count, tensors_of


class Losses:
    """How a workload compares outputs, which a `Workload` is.

    Attributes:
        samples: what the network is fed.
        loss: one's own, or None.
        diverges: whether the loss is the divergence from the float network's outputs.
    """

    samples: Samples
    loss: Loss | None
    diverges: bool
    _rows: Rows

    @property
    def _of_tokens(self) -> bool:
        """Whether the network is fed whole numbers."""
        return any(not values.is_floating_point() for _, values in tensors_of(self.samples, ""))

    @property
    def gives_logits(self) -> bool:
        """Whether outputs are logits (n, classes), as the default loss needs."""
        return self.loss is None and not self.diverges

    def matrix(self, outputs: Any, samples: int) -> Tensor:
        """Return outputs as one row per sample, (n, values).

        Raises:
            StatisticsError: if they have no rows, or are no logits where the loss needs them.
        """
        if self.gives_logits:
            return logits_of(outputs, samples)
        return rows_of(outputs, samples, self._rows.flags)

    def reference(self, outputs: Any, samples: int) -> Tensor:
        """Return what `divergences_from` compares other outputs with, a row for each sample.

        Args:
            outputs: of the float network.
            samples: how many samples they are of.

        Returns:
            Logits (n, ..., classes), or all outputs as rows (n, values).
        """
        if self.diverges:
            return reference_of(outputs, samples, of_tokens=self._of_tokens, rows=self._rows)
        return self.matrix(outputs, samples)

    def divergences_from(self, reference: Tensor, outputs: Any) -> Tensor:
        """Return how far outputs are from the float network's, for each sample, (n,).

        Args:
            reference: what `reference` gave of the float network's.
            outputs: of another network, on the same samples.

        Returns:
            KL(softmax before ‖ softmax after) of logits, the summed squared difference of other
            outputs; where the workload diverges, means over the steps of logits and over other
            values, as its metric is.
        """
        if self.diverges:
            return divergences(outputs, reference, of_tokens=self._of_tokens, rows=self._rows)
        after = self.matrix(outputs, len(reference))
        if not self.gives_logits:
            return (reference - after).square().sum(dim=1)
        return divergences_of_logits(reference, after)

    def divergence(self, before: Any, after: Any, samples: int) -> Tensor:
        """Return how far outputs are from others, summed over samples; see `divergences_from`.

        Args:
            before: outputs of the float network.
            after: outputs of another.
            samples: how many samples they are of.
        """
        return self.divergences_from(self.reference(before, samples), after).sum()

    def divergence_of_mean(self, parts: Iterable[tuple[Any, int]]) -> Tensor:
        """Return how far outputs are from their own mean, summed over samples.

        That is the `divergence` of the best answer that is the same for every input.

        Args:
            parts: outputs of the float network, each with how many samples they are of.
        """
        rows, are_logits = [], self.gives_logits
        for outputs, samples in parts:
            rows.append(self.reference(outputs, samples))
            if self.diverges:
                known = logits_in(outputs, samples, of_tokens=self._of_tokens)
                are_logits = known is not None
        found = divergences_from_mean(torch.cat(rows), are_logits=are_logits).sum()
        return found if self.diverges or are_logits else found * rows[0].shape[1]

    def summed_loss(self, outputs: Any, targets: Samples) -> Tensor:
        """Return the loss summed over samples.

        Args:
            outputs: what the network gave.
            targets: of the same samples.

        Raises:
            StatisticsError: if outputs are no logits of several classes, where the loss needs
                them, or the loss fails, is of a wrong shape or has no gradient.
        """
        if self.diverges and self.loss is None:
            return self.divergences_from(targets, outputs).sum()
        if self.loss is None:
            return summed_cross_entropy(outputs, targets)
        return summed_own_loss(self.loss, outputs, targets)

    def loss_beside(self, before: Any, outputs: Any, targets: Samples) -> Tensor:
        """Return the loss summed over samples; the divergence itself where that is the loss.

        Args:
            before: outputs of the float network.
            outputs: those that are judged.
            targets: of the same samples.
        """
        if self.diverges:
            return self.divergence(before, outputs, count(targets))
        return self.summed_loss(outputs, targets)
