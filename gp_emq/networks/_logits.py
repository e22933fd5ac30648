"""The logits that a classifier gives."""

from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.networks._divergence import described


def logits_of(output: object, images: int) -> Tensor:
    """Return a network's output as logits (n, classes).

    Args:
        output: What the network gave.
        images: How many images it was fed.

    Raises:
        StatisticsError: The output is no matrix of logits.
    """
    if isinstance(output, Tensor) and output.dim() == 1 and images == 1:
        output = output[None]  # a forward that squeezes away the axis of a single image
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != images:
        raise StatisticsError(
            f"the network must map {images} images to ({images}, classes) logits, it gives "
            f"{described(output)}; networks of other outputs are given as a gp_emq.Workload"
        )
    return output


def check_classes(logits: Tensor) -> Tensor:
    """Return logits (n, classes) that a cross-entropy or a prediction can be taken of.

    Raises:
        StatisticsError: There are no two classes.
    """
    if logits.shape[1] < 2:
        raise StatisticsError(
            f"the network gives one number for each image, {tuple(logits.shape)}: losses and "
            "predictions need logits (n, classes) of two classes or more"
        )
    return logits
