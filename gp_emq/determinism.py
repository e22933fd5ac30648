"""What makes arithmetic repeat to the last bit on one kind of device."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside the block, and restore the setting after it.

    Sums differ in their last digits between one and two torch threads, so everything
    whose result is stored or ranked is computed inside this block.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
