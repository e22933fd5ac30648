"""What surrounds the forward passes of a network that is run as it is."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gp_emq.determinism import one_thread


@contextlib.contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Inside the block: eval mode, repeatable arithmetic, attention that can be derived twice.

    The fused attention kernels have no double backward, and the encoder's fast path skips
    the linear layers; both are switched off so that every statistic sees one network.
    Everything is put back afterwards, the training flag of each module too.
    """
    training = [(module, module.training) for module in model.modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with one_thread(), sdpa_kernel(SDPBackend.MATH), cudnn, torch.enable_grad():
        try:
            model.eval()
            torch.backends.mha.set_fastpath_enabled(False)
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
            torch.backends.mha.set_fastpath_enabled(fast_path)
            for module, flag in training:
                module.training = flag
