"""The processes that train together: those that ``torchrun`` started, or this one alone."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gp_emq.errors import TrainingError


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that train together.

    Attributes:
        rank: Its number; number 0 writes and prints.
        count: How many there are.
        device: Where it computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Let a network average its gradients over all processes.

        Args:
            network: On this process's device.
        """
        if self.count == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def share_buffers(self, network: nn.Module) -> None:
        """Give all processes the first one's buffers, such as statistics of batch norms."""
        if self.count > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            dist.barrier()


@contextlib.contextmanager
def joined_processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, and leave them at the end of the block.

    Args:
        device: ``"auto"`` for a GPU where there is one, one for each process of a machine;
            or a device of torch, the same kind for all.

    Raises:
        TrainingError: The device is none of this machine, or there are fewer GPUs than
            processes.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _device(device, local, count)
    joined = count > 1 and not dist.is_initialized()
    if joined:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        rank = dist.get_rank() if count > 1 else 0
        yield Processes(rank, count, chosen)
        if joined:
            # The first still writes when the others are done: none leaves before all are.
            dist.barrier()
    finally:
        if joined:
            dist.destroy_process_group()


def _device(name: str, local: int, count: int) -> torch.device:
    gpus = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    if name == "cuda":
        if local >= max(gpus, 1):
            raise TrainingError(
                f"process {local} of this machine has no GPU: there are {gpus}; start at most one "
                "process per GPU, or give --device cpu"
            )
        name = f"cuda:{local}"
    elif count > 1 and name != "cpu":
        raise TrainingError(
            f"{count} processes cannot share {name}: give --device cuda, for one GPU each, or cpu"
        )
    available = ["cpu", *(f"cuda:{gpu}" for gpu in range(gpus))]
    if name not in available:
        raise TrainingError(f"unknown device {name!r}; available are auto, {', '.join(available)}")
    if name != "cpu":
        torch.cuda.set_device(torch.device(name))
    return torch.device(name)
