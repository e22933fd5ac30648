"""`python -m gp_emq.networks.train_digits`: make the weights of the digits network.

The result is the same to the last bit on one kind of machine: one thread, and every seed
is a constant below. It takes about half a minute.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from gp_emq.command import run_command
from gp_emq.determinism import one_thread
from gp_emq.files import atomic_write_bytes
from gp_emq.networks._digits import (
    TRAINING_NOISE,
    digits_split,
    digits_test,
    distort,
    standardize,
)
from gp_emq.networks._registry import Network, untrained_network
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile

DEFAULT_OUT = Path(__file__).parent / "data" / "digits.safetensors"
WEIGHT_SEED = 0
BATCH_SEED = 1
EPOCHS = 150
BATCH = 64
LEARNING_RATE = 0.1
WEIGHT_DECAY = 2e-3
MOMENTUM = 0.9


def train_digits(epochs: int = EPOCHS) -> Network:
    """Train the digits network on distorted training images.

    Stochastic gradient descent with Nesterov momentum, weight decay and one cycle of the
    learning rate. Long training matters: it is what keeps most bit configurations well
    above chance.

    Args:
        epochs: passes over the training images.

    Returns:
        The trained network, in eval mode.
    """
    (images, labels), _ = digits_split()
    with one_thread():
        network = untrained_network("digits", WEIGHT_SEED)
        _optimize(network, images, labels, epochs)
    return network


def accuracy(network: Network, images: Tensor, labels: Tensor) -> float:
    """Return the share of images (n, C, H, W) that the network labels rightly."""
    with one_thread(), torch.no_grad():
        return float((network.model(images).argmax(1) == labels).double().mean())


def _optimize(network: Network, images: Tensor, labels: Tensor, epochs: int) -> None:
    model = network.model.train()
    generator = np.random.default_rng(BATCH_SEED)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=WEIGHT_DECAY,
    )
    batches = len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * batches
    )
    for _ in range(epochs):
        order = torch.from_numpy(generator.permutation(len(labels)))
        for batch in order[: batches * BATCH].view(batches, BATCH):
            distorted = standardize(distort(images[batch], TRAINING_NOISE, generator))
            loss = F.cross_entropy(model(distorted), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    model.eval()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save, and print the accuracy on the distorted test images."""
    parser = OptionParser(
        prog="python -m gp_emq.networks.train_digits", description="Train the digits network."
    )
    parser.add_argument("--out", type=OutputFile(), default=DEFAULT_OUT, help="file of the weights")
    options = parser.parse_args(arguments)
    network = train_digits()
    state = {key: value.contiguous() for key, value in network.model.state_dict().items()}
    atomic_write_bytes(options.out, safetensors.torch.save(state))
    share = accuracy(network, *digits_test())
    print(f"{options.out}: {100 * share:.2f} % of the distorted test images")
    return 0


if __name__ == "__main__":
    run_command(main)
