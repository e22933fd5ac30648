"""What a network is for: how it is fed, what it loses, and how well it does."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import DataError
from gp_emq.networks._apart import LOOKED_AT, check_loss, check_values
from gp_emq.networks._containers import Images, Labels, image_batch
from gp_emq.networks._divergence import (
    described,
    divergences,
    factor_for,
    logits_in,
    stand_in_losses,
    stand_ins,
)
from gp_emq.networks._finite import check_present
from gp_emq.networks._functions import sha256_of_functions
from gp_emq.networks._images import batch_size
from gp_emq.networks._judging import (
    TOP_1,
    check_judges,
    metric_values,
)
from gp_emq.networks._logits import check_classes, check_range, check_spread, logits_of
from gp_emq.networks._losses import Losses
from gp_emq.networks._metric import Loss, Metric
from gp_emq.networks._private import unwrapped
from gp_emq.networks._rows import Rows, check_alike
from gp_emq.networks._running import Forward, PrivateNetwork, feed, undisturbed
from gp_emq.networks._samples import (
    Samples,
    are_labels,
    are_structured,
    count,
    joined,
    on_cpu,
    sha256_of_values,
    split,
    take,
    times,
    values_per_sample,
    with_first,
)

_VALUES_OF_A_TOKEN = 256
"""Whole numbers may be indices, of which a network makes many numbers each."""


class Workload(Losses):
    """A network with its samples, the loss on them, and the metric that counts.

    By default an image classifier: cross-entropy and top-1 accuracy on images with labels, which
    are the network's own predictions where there are none.

    Args:
        model: the network; it is left alone.
        batches: with a forward, a loss or a metric of one's own, batches as `samples` takes them:
            tensors, dicts, tuples or (inputs, targets) pairs, or an iterable of such; else
            images, or token ids (n, steps), in all forms that `image_batch` takes; dicts and pairs
            of several inputs and labels are fed as they are.
        labels: whole numbers (n,), beside images or token ids alone.
        forward: `forward(model, inputs)` gives the outputs; by default the model is called with a
            tensor, the elements of a tuple, or the items of a dict by name.
        loss: `loss(outputs, targets)` gives one number per sample (n,) or their mean; by default
            the cross-entropy of logits (n, classes) and labels (n,), and where there are no labels
            the divergence of outputs from the float network's, of which `divergences` says what
            it is. Targets are the second part of the pairs, or the inputs where batches are no
            pairs.
        metric: how well the network does, by default top-1, or that divergence.

    Attributes:
        model: as given.
        samples: the inputs, tensors on the CPU.
        targets: what loss and metric compare outputs with; None for the network's own predictions.
        forward: how the network is fed.
        loss: as given.
        metric: as given, or top-1, or the divergence.
        diverges: whether the loss is the divergence.

    Raises:
        DataError: if batches or labels are of a wrong kind, shape or value, or forward, loss or
            metric are none.
        NetworkError: if the model is no module, or has no numbers.

    Examples:
        >>> import gp_emq
        >>> from torch import manual_seed, nn, randn
        >>> _ = manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> def squared(y, wanted):
        ...     return (y - wanted).square().mean(1)
        >>> workload = gp_emq.Workload(
        ...     model, (randn(32, 6), randn(32, 2)), loss=squared,
        ...     metric=gp_emq.Metric("squared error", squared, higher_is_better=False),
        ... )
        >>> statistics = gp_emq.collect_statistics(workload, bits=(2, 4, 8))
        >>> gp_emq.load_proxy("fit").table(statistics).shape
        (2, 3)
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Images | Samples,
        labels: Labels | None = None,
        *,
        forward: Forward | None = None,
        loss: Loss | None = None,
        metric: Metric | None = None,
    ) -> None:
        check_present(unwrapped(model))
        check_judges(forward, loss, metric)
        self.model = model
        self.forward = forward or feed
        self.loss = loss
        self.diverges = False
        self.metric = metric or TOP_1
        self._has_own_loss, self._has_own_metric = loss is not None, metric is not None
        self.samples: Samples
        self.targets: Samples | None
        first, batches = with_first(batches)
        self.is_default = forward is None and loss is None and metric is None
        self.is_default &= not are_structured(first)
        if self.is_default:
            self.samples, self.targets = image_batch(batches, labels)
            if self.targets is not None or self.samples.is_floating_point():
                return
            self.is_default = False
        elif labels is not None:
            raise DataError("labels beside batches: give (inputs, labels) pairs as batches")
        else:
            self.samples, self.targets = joined(batches)
        self._rows = Rows(partial(_outputs, model, self.forward), self.samples)
        self.diverges = loss is None and not are_labels(self.targets)
        if self.diverges and metric is None:
            if self.targets is not None:
                raise DataError(
                    f"the targets are {described(self.targets)}, which are no labels (n,): give "
                    "a loss or a metric that compares them with outputs"
                )
            measure = partial(divergences, of_tokens=self._of_tokens, rows=self._rows)
            self.metric = Metric("divergence", measure, higher_is_better=False)
        elif self.targets is None:
            self.targets = self.samples

    def __len__(self) -> int:
        """Return the number of samples."""
        return count(self.samples)

    @property
    def remark(self) -> str:
        """What is guessed of outputs that nobody gives a loss or a name; empty where nothing is.

        Raises:
            NetworkError: if the network fails.
        """
        if not self.diverges or self._has_own_metric:
            return ""
        found = _outputs(self.model, self.forward, take(self.samples, [0]))
        guessed = isinstance(found, Tensor) and logits_in(found, 1, of_tokens=self._of_tokens)
        if guessed is False or guessed is None:
            return ""
        shape = ", ".join(("n", *map(str, guessed.shape[1:])))
        return (
            f"outputs ({shape}) count as logits, whose softmax is compared: where they are other "
            "numbers, let the network give them in a dict, or give a loss"
        )

    def of(self, model: nn.Module) -> "Workload":
        """Return the same workload of another network; it diverges from the outputs of this one."""
        other = copy.copy(self.answered() if self.diverges else self)
        other.model = model
        return other

    def private(self) -> PrivateNetwork:
        """Return a private copy of the network that is fed as this workload says."""
        return PrivateNetwork(self.model, self.forward)

    def values(self, outputs: Any, targets: Samples) -> Tensor:
        """Return the metric of each sample (n,), or of all of them ().

        Raises:
            StatisticsError: if the metric fails, or gives anything else.
        """
        return metric_values(self.metric, outputs, targets)

    def check_metric(self, run: Callable[[Samples], Any]) -> None:
        """Refuse a metric of one's own whose value of a sample is another in another batch.

        Args:
            run: feeds inputs to the network, and returns what it gives.

        Raises:
            StatisticsError: if it is.
        """
        if self._has_own_metric and self.metric.per_sample and self.targets is not None:
            samples, targets = (
                take(part, slice(0, LOOKED_AT)) for part in (self.samples, self.targets)
            )
            with undisturbed(), torch.no_grad():
                outputs = on_cpu(run(samples))
                check_values(self.metric.name, self.values, outputs, targets, self._rows)

    def check_loss(self, run: Callable[[Samples], Any], targets: Samples) -> None:
        """Refuse a loss of one's own of several samples that is far from what they lose alone.

        Args:
            run: feeds inputs to the network, and returns what it gives.
            targets: of all samples.

        Raises:
            StatisticsError: if it is.
        """
        if self._has_own_loss:
            samples = take(self.samples, slice(0, LOOKED_AT))
            with undisturbed(), torch.no_grad():
                outputs = on_cpu(run(samples))
                few = take(targets, slice(0, LOOKED_AT))
                check_loss(self.summed_loss, outputs, few, self._rows)

    def measured(self, batch: int) -> Tensor:
        """Return the metric of the network per sample, or of all of them; see `measured_by`."""
        return self.measured_by(self.private().run, batch)

    def measured_by(self, run: Callable[[Samples], Any], batch: int) -> Tensor:
        """Return the metric of what a network gives per sample, or of all of them.

        Args:
            run: feeds inputs to the network, and returns what it gives.
            batch: samples per pass.

        Returns:
            (n,) where the metric is a mean over samples, else ().

        Raises:
            DataError: if there are no targets.
        """
        if self.targets is None and self.diverges:
            return self.answered().measured_by(run, batch)
        if self.targets is None:
            raise DataError("a metric needs targets: give (inputs, targets) pairs as batches")
        self.check_metric(run)
        with undisturbed(), torch.no_grad():
            outputs = (on_cpu(run(part)) for part in split(self.samples, batch))
            if self.metric.per_sample:
                parts = zip(outputs, split(self.targets, batch), strict=True)
                return torch.cat([self.values(*part) for part in parts])
            counts = [count(part) for part in split(self.targets, batch)]
            return self.values(self._rows.joined(list(outputs), counts), self.targets)

    @property
    def batch(self) -> int:
        """How many samples go through the network at once: few enough to stay in the cache."""
        return batch_size((values_per_sample(self.samples, _VALUES_OF_A_TOKEN),))

    def answered(self) -> "Workload":
        """Return the same workload with targets: where there are none, the network's own answers.

        Raises:
            StatisticsError: if it has no answers.
        """
        if self.targets is not None:
            return self
        other = copy.copy(self)
        if self.diverges:
            other.targets, _ = self._references()
        else:
            logits = self._of_all(lambda found, part: logits_of(found, count(part)))
            other.targets = check_classes(logits).argmax(dim=1)
        return other

    def settled(self) -> "Workload":
        """Return the workload that statistics are of, whose loss has a gradient.

        Where the loss is the divergence, its gradient at the float network is zero: targets drawn
        around that network's outputs stand in for them, see `stand_ins`. Outputs that
        are very small or large are multiplied, see `factor_for`; for the metric they are as they
        were. Else it is this one.

        Raises:
            StatisticsError: if the network gives nothing to compare.
        """
        if not self.diverges:
            return self
        other, metric, of_tokens = copy.copy(self), self.metric, self._of_tokens
        losses = partial(stand_in_losses, of_tokens=of_tokens, rows=self._rows)
        reference, are_logits = self._references()
        if are_logits:
            check_spread(reference)
        factor, forward = 1.0 if are_logits else factor_for(reference), self.forward
        compared = reference if self.targets is None else self.targets
        other.targets = (stand_ins(reference * factor, are_logits=are_logits), compared)
        other.loss = lambda found, pair: losses(found, pair[0])
        if factor == 1:
            measure = metric.measure
        else:
            other.forward = lambda model, inputs: times(forward(model, inputs), factor)

            def measure(found: Any, targets: Any) -> Tensor:
                return metric.measure(times(found, 1 / factor), targets)

        other.metric = replace(metric, measure=lambda found, pair: measure(found, pair[1]))
        return other

    def _references(self) -> tuple[Tensor, bool]:
        """Return what other outputs are compared with, and whether it is logits."""
        logits: list[bool] = []

        def reference(found: Any, part: Samples) -> Tensor:
            samples, of_tokens = count(part), self._of_tokens
            logits.append(logits_in(found, samples, of_tokens=of_tokens) is not None)
            return self.reference(found, samples)

        return self._of_all(reference), all(logits)

    def _of_all(self, kept: Callable[[Any, Samples], Tensor]) -> Tensor:
        """Run all samples, and join what is kept of the network's outputs for each part."""
        network = self.private()
        with undisturbed(), torch.no_grad():
            parts = split(self.samples, self.batch)
            found = [kept(on_cpu(network.run(part)), part) for part in parts]
        for part in found:
            check_alike(found[0].shape, part.shape)
        return torch.cat(found)

    def checked(self, name: str) -> "Workload":
        """Return the workload itself, once its labels are classes of the network.

        Args:
            name: of the network, for the complaint.

        Raises:
            DataError: if they are not.
            StatisticsError: if the default network gives no logits.
        """
        if self.is_default and self.targets is not None:
            network, one = self.private(), take(self.samples, slice(0, 1))
            with undisturbed(), torch.no_grad():
                classes = check_classes(logits_of(network.run(one), 1)).shape[1]
            check_range(self.targets, classes, name)
        return self

    def part(self, indices: Tensor | slice) -> "Workload":
        """Return the same workload on some of its samples."""
        other = copy.copy(self)
        other.samples = take(self.samples, indices)
        other.targets = None if self.targets is None else take(self.targets, indices)
        return other

    def samples_sha256(self) -> str:
        """Return the sha256 of samples and targets, in hexadecimal."""
        return sha256_of_values(self.samples, self.targets)

    def identity(self) -> str | None:
        """Hash the code that feeds and judges the network; None for the default workload."""
        if self.is_default:
            return None
        return sha256_of_functions(self.forward, self.loss, self.metric.measure)


def _outputs(model: nn.Module, forward: Forward, inputs: Samples) -> Any:
    """Run a private copy of a network, once."""
    with undisturbed(), torch.no_grad():
        return PrivateNetwork(model, forward).run(inputs)


def workload_of(
    model: nn.Module | Workload, images: Images | None = None, labels: Labels | None = None
) -> Workload:
    """Return the default workload of a network and images, or the one that is given instead.

    Raises:
        DataError: if there are no images, or they are given beside a workload.
    """
    if isinstance(model, Workload):
        if images is not None or labels is not None:
            raise DataError("a workload brings its samples along: give no images beside it")
        return model
    if images is None:
        raise DataError("there are no images: give them beside the network, or give a Workload")
    return Workload(model, images, labels)
