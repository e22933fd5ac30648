"""Learned rounding of blocks (BRECQ)."""

from collections.abc import Mapping

from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._reconstruction import reconstruct_blocks, reconstructed_blocks
from gp_emq.quantization.recipes._recipe import Recipe
from gp_emq.quantization.recipes._task import Counter, Task


def learn_blocks(task: Task, widths: Mapping[str, int]) -> Mapping[str, QuantizedWeight]:
    """Learn the rounding of block after block, each fed by the quantized network so far.

    Source: Li et al., BRECQ: Pushing the limit of post-training quantization by block
    reconstruction, 2021, with the squared error of a block's output in place of the one weighted
    by its gradient.
    """
    total = 0
    if task.progress is not None:
        blocks = reconstructed_blocks(task.network, task.layers, widths, task.images)
        total = task.rounding.iterations * len(blocks)
    return reconstruct_blocks(
        task.network,
        task.layers,
        widths,
        quantizer=task.weights,
        images=task.images,
        settings=task.rounding,
        learned=task.learned,
        report=Counter(task.progress, total).advance,
    )


RECIPE = Recipe(
    "brecq",
    "learned rounding, each block reconstructed from what the quantized network feeds it",
    round_network=learn_blocks,
    iterations=20_000,
)
