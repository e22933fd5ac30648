"""Reading weights from files, never unpickling more than tensors."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.files import load_checkpoint_file, one_line, read_tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a `.safetensors` file or a torch checkpoint.

    A checkpoint may hold the state dict under `state_dict`, and its keys may start with
    `module.`; it is read with `weights_only=True`.

    Args:
        path: the file.

    Raises:
        NetworkError: if the file is missing, damaged, or holds no state dict.
    """
    if not path.is_file():
        raise NetworkError(
            f"no weights at {path}: expected a .safetensors or torch checkpoint file"
        )
    if path.suffix == ".safetensors":
        content: object = read_tensors(path, NetworkError, "the weights")[0]
    else:
        content = load_checkpoint_file(path, NetworkError, f"{path} does not read as weights")
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise NetworkError(f"{path} holds no state dict (names and tensors)")
    return {key.removeprefix("module."): value for key, value in content.items()}


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a file's weights into a network, all of them and no others.

    Raises:
        NetworkError: if the file does not read, or does not fit the network.
    """
    take_state_dict(model, read_state_dict(path), path)


def take_state_dict(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Load a state dict into a network, all of it and nothing else.

    Args:
        model: the network.
        state: tensors by name; counters of batch norms may be missing.
        source: the file that they are from.

    Raises:
        NetworkError: if names or shapes are not those of the network.
    """
    expected = model.state_dict()
    missing = sorted(k for k in expected.keys() - state.keys() if "num_batches_tracked" not in k)
    unexpected = sorted(state.keys() - expected.keys())
    misshapen = sorted(
        key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape
    )
    unlike = sorted(
        key
        for key in expected.keys() & state.keys()
        if not _holds(expected[key].dtype, state[key].dtype)
    )
    for what, keys in (
        ("lacks", missing),
        ("has no place for", unexpected),
        ("has other shapes for", misshapen),
        ("has numbers of another kind, such as integers for floats, for", unlike),
    ):
        if keys:
            subject = "the network" if keys is unexpected else "the file"
            raise NetworkError(
                f"{source} does not fit {type(model).__name__}: {subject} {what} "
                f"{', '.join(key[:80] for key in keys[:3])}{' ...' if len(keys) > 3 else ''}"
            )
    try:
        model.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError, ValueError) as error:
        raise NetworkError(
            f"{source} does not fit {type(model).__name__}: {one_line(error)}"
        ) from error


def _holds(own: torch.dtype, given: torch.dtype) -> bool:
    """Tell whether a tensor takes numbers of a type, which are whole, real or complex."""
    if own.is_complex:
        return given.is_complex or given.is_floating_point
    if own.is_floating_point:
        return given.is_floating_point
    return not given.is_complex


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
