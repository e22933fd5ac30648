"""Code of the user's own, by name: imported, and called."""

import importlib
from collections.abc import Callable
from typing import TypeVar

import torch

from gp_emq.errors import GpEmqError, NetworkError

_Made = TypeVar("_Made")


def seeded(factory: Callable[[], _Made], seed: int = 0) -> _Made:
    """Call a function with torch's global generator at a seed, and put that back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def made_by(name: str, what: str, returns: str) -> object:
    """Import a function, call it, and give what it returns.

    Args:
        name: `package.module:function`; the function takes no arguments. Random numbers of torch
            start from one seed in it.
        what: it is called in complaints.
        returns: what it should return, in complaints.

    Raises:
        NetworkError: there is none of this name, or it fails or ends the program.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise NetworkError(
            f"a {what} must be package.module:function, a function that returns {returns}, not "
            f"{name!r}"
        )
    try:
        function = getattr(_imported(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise NetworkError(f"no {what} {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise _failure(f"{what} {name!r}: module {module_name}", error) from error
    if not callable(function):
        raise NetworkError(
            f"{name} is {type(function).__name__}: it must be a function that returns {returns}"
        )
    try:
        return seeded(function)
    except (Exception, SystemExit) as error:
        raise _failure(f"{what} {name}", error) from error


def _imported(name: str) -> object:
    if name.startswith("."):
        raise ValueError(f"{name!r} is relative, and there is nothing that it is relative to")
    return importlib.import_module(name)


def _failure(what: str, error: BaseException) -> GpEmqError:
    """Say how code of the user's own failed."""
    if isinstance(error, GpEmqError):
        return error
    if isinstance(error, SystemExit):
        return NetworkError(f"{what} ends the program, with status {error.code or 0}")
    return NetworkError(f"{what} fails: {said(error)}")


def said(error: BaseException) -> str:
    """Give kind and first line of what somebody's code raised."""
    line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
