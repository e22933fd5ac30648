"""What a training leaves in its folder: the last completed epoch, and a log of all of them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from gp_emq.errors import RunError, TrainingError
from gp_emq.files import (
    atomic_write_bytes,
    atomic_write_text,
    check_document,
    entry_of,
    load_checkpoint_file,
    open_entry,
    read_bytes,
    shortened,
)

CHECKPOINT_NAME = "checkpoint.pt"
LOG_NAME = "log.csv"
CODE = "code"
"""What of a description says which code trains."""

FORMAT = 1
_KEY = "gp_emq checkpoint"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training.

    Attributes:
        epoch: 1-based.
        step: Steps so far, since the beginning.
        learning_rate: Of the weights, at the last step.
        loss: Mean over the epoch's images.
        training_accuracy: Share of the epoch's augmented images that were labelled rightly,
            by the network as it was at each step.
        test_accuracy: Share of the test images after the epoch; None where there are none.
        seconds: That it took.
    """

    epoch: int
    step: int
    learning_rate: float
    loss: float
    training_accuracy: float
    test_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """A training after a completed epoch.

    Attributes:
        description: What decides the result, as texts by name.
        network: State dict of the network with learned grids.
        optimizer: State dict of the optimizer.
        scaler: State dict of what scales losses in half precision.
        history: The epochs so far.
    """

    description: Mapping[str, str]
    network: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any]
    history: tuple[EpochRecord, ...]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint and the log, each complete or not at all.

    Args:
        folder: Made if it is not there.
        checkpoint: The training.

    Raises:
        RunError: The folder cannot be written.
    """
    content = {
        "format": FORMAT,
        "description": dict(checkpoint.description),
        "network": dict(checkpoint.network),
        "optimizer": dict(checkpoint.optimizer),
        "scaler": dict(checkpoint.scaler),
        "history": [asdict(record) for record in checkpoint.history],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    make_folder(folder)
    atomic_write_bytes(folder / CHECKPOINT_NAME, entry_of(_KEY, buffer.getvalue()))
    write_log(folder / LOG_NAME, checkpoint.history)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it is in.

    Raises:
        RunError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def write_log(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write a line per epoch as CSV, with the fields of `EpochRecord` as columns.

    Raises:
        RunError: The file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(EpochRecord)])
    for record in history:
        writer.writerow(["" if value is None else value for value in asdict(record).values()])
    atomic_write_text(path, text.getvalue())


def load_checkpoint(folder: Path, description: Mapping[str, str]) -> Checkpoint | None:
    """Read the checkpoint of a training, nothing of it unpickled but tensors and plain values.

    Args:
        folder: Of the training.
        description: What the training to go on with is described by.

    Returns:
        The checkpoint; None if there is none.

    Raises:
        TrainingError: It is damaged, or of another training; the message says how they differ.
    """
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        return None
    whole = read_bytes(path, TrainingError, "the checkpoint")
    content = open_entry(whole, _KEY)
    if content is None:
        raise TrainingError(f"{path} is no checkpoint, or is damaged: its checksum is not right")
    damaged = f"{path} is no checkpoint, or is damaged"
    found = _checkpoint(load_checkpoint_file(content, TrainingError, damaged), path)
    for name in sorted({*found.description, *description}):
        there, here = found.description.get(name), description.get(name)
        if there == here:
            continue
        if name == CODE:
            raise TrainingError(
                f"{path} was written by another version of the code, whose training this one does "
                "not go on with: finish it with that version, or give another folder"
            )
        raise TrainingError(
            f"{path} is of another training: its {name.replace('_', ' ')} is "
            f"{str(there)[:80]}, not {str(here)[:80]}; give the same options, or another folder"
        )
    return found


def _checkpoint(content: Any, path: Path) -> Checkpoint:
    """Check what was saved, and return the checkpoint that it is."""
    parts = {field.name for field in fields(Checkpoint)}
    if not isinstance(content, dict) or set(content) != {"format", *parts}:
        raise TrainingError(f"{path} is no checkpoint: it has other parts than one")
    if content["format"] != FORMAT:
        found = shortened(content["format"], 40)
        raise TrainingError(f"{path} has format {found}; this version reads format {FORMAT}")
    for name in ("network", "optimizer", "scaler"):
        if not isinstance(content[name], Mapping):
            raise TrainingError(f"{path} is damaged: its {name} is no state")
    where = str(path)
    return Checkpoint(
        description=check_document(content["description"], dict[str, str], TrainingError, where),
        network=content["network"],
        optimizer=content["optimizer"],
        scaler=content["scaler"],
        history=check_document(
            content["history"], tuple[EpochRecord, ...], TrainingError, f"the history of {where}"
        ),
    )
