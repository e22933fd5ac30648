"""What makes arithmetic repeat to the last bit on one kind of device."""

import contextlib
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
