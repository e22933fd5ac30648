"""`python -m gp_emq.networks.train_zoo`: make the weights of the zoo's networks.

The result is the same to the last bit on one kind of machine: one thread, and every seed is a
constant below. The networks on digits take about a minute each, those on CIFAR-10 ten to
twenty-five. A training that is interrupted goes on from its last epoch when the same command
is given again.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from gp_emq.command import resumption, run_command
from gp_emq.determinism import one_thread
from gp_emq.errors import DataError, NetworkError
from gp_emq.files import (
    atomic_write_bytes,
    code_sha256,
    entry_of,
    load_checkpoint_file,
    open_entry,
    read_bytes,
    shortened,
)
from gp_emq.networks._digits import TRAINING_NOISE, digits_split, distort, standardize
from gp_emq.networks._images import load_images
from gp_emq.networks.zoo import SGD, ZOO, Member, Recipe
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFolder

DEFAULT_OUT = Path(__file__).parent / "data" / "zoo"
WEIGHT_SEED = 0
BATCH_SEED = 1
PADDING = 4

EpochProgress = Callable[[int, float], None]
"""Told the epochs done and the mean loss of the last."""
Images = Callable[[Tensor, np.random.Generator], Tensor]
"""Gives the distorted training images at int64 (k,) places, float32 (k, C, H, W)."""


def train_member(
    member: Member,
    data: Sequence[Path] = (),
    *,
    epochs: int | None = None,
    partial: Path | None = None,
    report: EpochProgress | None = None,
) -> nn.Module:
    """Train a network of the zoo on distorted training images.

    Args:
        member: the network.
        data: where its images are, as for `load_images`.
        epochs: passes over the training images; None for those of its recipe.
        partial: file that holds the state after each epoch, and from which an interrupted
            training goes on; None keeps nothing.
        report: told of each epoch.

    Returns:
        The trained network, in eval mode.

    Raises:
        DataError: The images are missing, or the partial file is another training's.
    """
    images, labels = _training_images(member, data)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(WEIGHT_SEED)
        model = member.factory()
        _lay_out(model, torch.channels_last)
        training = _Training(model, member.recipe, len(labels), epochs or member.recipe.epochs)
        done = training.resume(partial)
        for epoch in range(done, training.epochs):
            loss = training.epoch(epoch, images, labels)
            training.keep(partial, epoch + 1)
            if report is not None:
                report(epoch + 1, loss)
    _lay_out(model, torch.contiguous_format)
    return model.eval()


def _lay_out(model: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay out the weights of convolutions in memory; channels-last is the faster for training."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=memory_format)


class _Training:
    """A model with its optimizer and schedule.

    Args:
        model: is changed in place.
        recipe: how.
        count: training images.
        epochs: passes over them.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, count: int, epochs: int) -> None:
        self.model = model
        self.epochs = epochs
        self._batch = recipe.batch
        self._batches = count // recipe.batch
        if recipe.optimizer == SGD:
            self._optimizer: torch.optim.Optimizer = torch.optim.SGD(
                model.parameters(),
                lr=recipe.learning_rate,
                momentum=0.9,
                nesterov=True,
                weight_decay=recipe.weight_decay,
            )
        else:
            self._optimizer = torch.optim.AdamW(
                model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
            )
        self._schedule = OneCycleLR(
            self._optimizer,
            recipe.learning_rate,
            total_steps=epochs * self._batches,
            cycle_momentum=recipe.optimizer == SGD,
        )

    def epoch(self, number: int, images: Images, labels: Tensor) -> float:
        """Pass over the images once, and return the mean loss."""
        self.model.train()
        generator = np.random.default_rng((BATCH_SEED, number))
        order = torch.from_numpy(generator.permutation(len(labels)))
        total = 0.0
        for places in order[: self._batches * self._batch].view(self._batches, self._batch):
            fed = images(places, generator).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(self.model(fed), labels[places])
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._schedule.step()
            total += float(loss.detach())
        return total / self._batches

    def keep(self, path: Path | None, done: int) -> None:
        """Write the state after some epochs; the file appears complete or not at all."""
        if path is None:
            return
        state = {
            "done": done,
            "epochs": self.epochs,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        atomic_write_bytes(path, entry_of(_key(), content.getvalue()))

    def resume(self, path: Path | None) -> int:
        """Take on what `keep` wrote, and return the number of epochs done."""
        if path is None or not path.is_file():
            return 0
        wrong = f"{path} is no training of this network, or is damaged: delete it"
        content = open_entry(read_bytes(path, DataError, "the training"), _key())
        if content is None:
            raise DataError(wrong)
        state = load_checkpoint_file(content, DataError, wrong)
        if not isinstance(state, dict) or state.get("epochs") != self.epochs:
            found = state.get("epochs") if isinstance(state, dict) else None
            raise DataError(f"{path} is of {shortened(found)} epochs, not {self.epochs}")
        try:
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            return int(state["done"])
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(wrong) from error


def _key() -> str:
    """Say what an interrupted training is of: the code that goes on with it."""
    return f"training of the zoo by {code_sha256('gp_emq.networks.train_zoo')}"


def _training_images(member: Member, data: Sequence[Path]) -> tuple[Images, Tensor]:
    if member.data_set == "digits":
        (pixels, digits), _ = digits_split()

        def noisy(places: Tensor, generator: np.random.Generator) -> Tensor:
            return standardize(distort(pixels[places], TRAINING_NOISE, generator))

        return noisy, digits
    training = load_images(member.data_set, data, part="training")
    if training is None:
        raise DataError(f"{member.data_set} data without training images")
    images = training.images

    def moved(places: Tensor, generator: np.random.Generator) -> Tensor:
        return flip_and_shift(images[places], generator)

    return moved, training.labels


def flip_and_shift(images: Tensor, generator: np.random.Generator) -> Tensor:
    """Mirror half of the images, and move each by up to `PADDING` pixels.

    Args:
        images: float32 (n, C, H, W); what moves in from the border is 0.
        generator: draws the shifts, then the flips.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (PADDING, PADDING, PADDING, PADDING))
    starts = torch.from_numpy(generator.integers(0, 2 * PADDING + 1, (count, 2)))
    flips = torch.from_numpy(generator.random(count) < 0.5)
    rows = starts[:, :1] + torch.arange(height)
    columns = starts[:, 1:] + torch.arange(width)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    places = torch.arange(count)[:, None, None]
    return padded.permute(0, 2, 3, 1)[places, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images (n, C, H, W) that a network labels rightly."""
    with one_thread(), torch.no_grad():
        right = [model(part).argmax(1) for part in torch.split(images, 200)]
        return float((torch.cat(right) == labels).double().mean())


def find_members(names: Sequence[str]) -> tuple[Member, ...]:
    """Return members by name, all of them if none is named.

    Raises:
        NetworkError: There is none of a name.
    """
    known = {member.name: member for member in ZOO}
    for name in names:
        if name not in known:
            raise NetworkError(f"the zoo has no network {name!r}: it has {', '.join(known)}")
    return tuple(known[name] for name in names) if names else ZOO


def _parse(given: Sequence[str] | None) -> argparse.Namespace:
    parser = OptionParser(
        prog="python -m gp_emq.networks.train_zoo",
        description="Train networks of the zoo; what was interrupted goes on.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a network; all by default")
    parser.add_argument(
        "--out", type=OutputFolder(), default=DEFAULT_OUT, help="folder of the weights"
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", default=(), help="files or folders of CIFAR-10"
    )
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Train, save, and print accuracies on test images."""
    arguments = _parse(given)
    members = find_members(arguments.names)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with resumption(lambda: "every complete epoch is kept: the same command goes on from there"):
        _train_all(members, arguments)
    return 0


def _train_all(members: Sequence[Member], arguments: argparse.Namespace) -> None:
    for member in members:
        file = arguments.out / f"{member.name}.safetensors"
        partial = file.with_suffix(".partial")
        epochs = member.recipe.epochs

        def report(done: int, loss: float, name: str = member.name, epochs: int = epochs) -> None:
            print(f"{name}: epoch {done} of {epochs}, loss {loss:.3f}", flush=True)

        model = train_member(member, arguments.data, partial=partial, report=report)
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        atomic_write_bytes(file, safetensors.torch.save(state))
        partial.unlink(missing_ok=True)
        test = load_images(member.data_set, arguments.data, part="test")
        if test is not None:
            share = accuracy(model, test.images, test.labels)
            print(f"{file}: {100 * share:.2f} % of the test images", flush=True)


if __name__ == "__main__":
    run_command(main)
