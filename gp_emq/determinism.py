"""What makes arithmetic repeat to the last bit on one kind of device."""

import contextlib
import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch


def one_thread() -> AbstractContextManager[None]:
    """Run torch on one thread inside the block, and restore the setting after it.

    Sums differ in their last digits between one and two torch threads, so everything
    whose result is stored or ranked is computed inside this block.
    """
    return threads(1)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Run torch on a number of threads inside the block, and restore the setting after it.

    Args:
        count: At least 1.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seed_generators(seed: int) -> None:
    """Seed the random generators of torch on all devices, as `torch.manual_seed` does.

    Where there is no accelerator, only the processor's is seeded: for devices that may still
    appear torch writes down the stack of calls each time, which takes longer than a pass of a
    small network.

    Args:
        seed: Of all generators.
    """
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None and _is_present(accelerator.type):
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@functools.cache
def _is_present(kind: str) -> bool:
    """Say whether this machine has a device that this torch is built for."""
    return bool(torch.get_device_module(kind).is_available())
