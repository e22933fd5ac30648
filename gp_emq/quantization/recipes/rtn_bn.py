"""Rounding to nearest, and batch-norm statistics of the quantized network."""

from collections.abc import Callable

from gp_emq.quantization._batch_norm import check_enough_images, estimating
from gp_emq.quantization.recipes._recipe import Recipe, RoundedNetwork
from gp_emq.quantization.recipes._task import Task
from gp_emq.quantization.recipes.rtn import round_to_nearest


def reestimate_batch_norm(task: Task) -> Callable[[RoundedNetwork], None]:
    """Take batch-norm statistics from images through the rounded network.

    The statistics are those of one batch, all images, in which every layer is quantized already.
    A network without batch norm stays as it is.
    """
    check_enough_images(task.network.model, task.images)

    def correct(rounded: RoundedNetwork) -> None:
        with estimating(rounded.norms):
            rounded.run(task.images)

    return correct


RECIPE = Recipe(
    "rtn+bn",
    "rounding to nearest, batch-norm statistics re-estimated on the calibration images",
    round_to_nearest,
    correct=reestimate_batch_norm,
)
