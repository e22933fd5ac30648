"""Labels that are classes of the network, before it is trained on them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gp_emq.networks import (
    PrivateNetwork,
    Workload,
    check_classes,
    check_range,
    logits_of,
    undisturbed,
)
from gp_emq.qat._evaluation import LabelledImages
from gp_emq.qat._samples import Samples, WorkloadSamples


def classes_of(model: nn.Module, samples: Samples | WorkloadSamples) -> int | None:
    """Return how many classes a network tells apart; None where its outputs are a workload's.

    Args:
        model: The network.
        samples: The training images, of which it is shown the first.

    Raises:
        StatisticsError: It gives no logits of two classes or more.
    """
    if isinstance(samples, WorkloadSamples):
        return None
    image = samples[0, 0, 0][0]
    with undisturbed(), torch.no_grad():
        return check_classes(logits_of(PrivateNetwork(model).run(image[None]), 1)).shape[1]


def check_labels(
    model: nn.Module,
    samples: Samples | WorkloadSamples,
    test: LabelledImages | Workload | None,
    classes: int | None,
) -> None:
    """Refuse labels that are no classes, as far as they are known before images are fetched.

    Args:
        model: The network.
        samples: To train on.
        test: To evaluate on.
        classes: As `classes_of` gives it.

    Raises:
        DataError: Some are none.
    """
    if isinstance(samples, WorkloadSamples):
        samples.workload.checked(type(model).__name__)
    for given, what in ((samples, "training"), (test, "test")):
        if isinstance(given, Workload):
            given.checked(type(model).__name__)
        labels = getattr(getattr(given, "source", None), "labels", None)
        if classes is not None and isinstance(labels, (Tensor, Sequence)) and len(labels):
            check_range(torch.as_tensor(labels), classes, of=f"{what} images")
