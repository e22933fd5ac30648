"""Learned step sizes: a uniform grid whose scale is a parameter of the network.

Esser et al. 2020, "Learned Step Size Quantization" (LSQ, arXiv 1902.08153). The zero point is
kept as calibration chose it. It is an integer, so that zero, and with it the padding of
convolutions, stays on the grid exactly; after a ReLU it is 0 and there is nothing to learn.
LSQ+ (arXiv 2004.09576) learns a real offset instead, which a grid with an integer zero point
could not represent.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.quantization import QuantizationParameters, fake_quantize

# A step that training drives to zero or below would turn the grid inside out.
SMALLEST_SHARE = 1e-3


class _LearnedQuantization(torch.autograd.Function):
    """Rounds to a grid; gradients of values and step as in LSQ, equations 3 and 5.

    The backward pass computes anew what it needs: the values are kept by the layer before
    anyway, everything else would be further memory per activation.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, parameters: QuantizationParameters, factor: float
    ) -> Tensor:
        ctx.save_for_backward(x, step)
        ctx.parameters, ctx.factor = parameters, factor
        return fake_quantize(x, parameters)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (gradient,) = gradients
        x, step = ctx.saved_tensors
        grid: QuantizationParameters = ctx.parameters
        zero_point, spread = (grid.spread(of, x.shape) for of in (grid.zero_point, step))
        low, high = grid.quant_min - zero_point, grid.quant_max - zero_point
        scaled = x / spread
        inside = (scaled > low).logical_and_(scaled < high)
        towards_values = gradient * inside
        # The derivative by the step is round(v) - v within the grid and its bound beyond.
        moved = scaled.round()
        moved = torch.minimum(torch.maximum(moved, low, out=moved), high, out=moved)
        towards_step = grid.gather(moved.mul_(gradient).sub_(scaled.mul_(towards_values)))
        if x.is_leaf and towards_values.stride() != x.stride():
            # Parallel training wants a parameter's gradient laid out as the parameter is.
            towards_values = torch.empty_like(x).copy_(towards_values)
        return (
            towards_values if ctx.needs_input_grad[0] else None,
            towards_step * ctx.factor,
            None,
            None,
        )


class LearnedGrid(nn.Module):
    """A grid whose scale is learned.

    Args:
        start: The grid to start from.
        batched: Whether the first axis of what it rounds counts images, as for activations.

    Attributes:
        step: The scale, float32, shaped as that of ``start``.
        zero_point: Integers as float32, of the same shape; not learned.
        quant_min: Smallest integer of the grid.
        quant_max: Largest integer of the grid.
        group: How many values share a step within a channel, None where there are no groups.
    """

    zero_point: Tensor
    smallest: Tensor

    def __init__(self, start: QuantizationParameters, *, batched: bool) -> None:
        super().__init__()
        self.step = nn.Parameter(start.scale.detach().clone())
        self.register_buffer("zero_point", start.zero_point.detach().clone())
        self.register_buffer("smallest", start.scale.detach() * SMALLEST_SHARE, persistent=False)
        self.quant_min, self.quant_max = start.quant_min, start.quant_max
        self.group = start.group
        self._batched = batched

    def forward(self, x: Tensor) -> Tensor:
        """Round values to the grid, differentiably in them and in the step.

        Args:
            x: Any shape that the step belongs to; half-precision values of an autocast
                region are rounded in float32.

        Returns:
            The grid values, float32, of the same shape.
        """
        x = x.float()
        parameters = self.parameters_now()
        if not torch.is_grad_enabled():
            return fake_quantize(x, parameters)
        result: Tensor = _LearnedQuantization.apply(  # type: ignore[no-untyped-call]
            x, self.step, parameters, self.gradient_factor(x)
        )
        return result

    def gradient_factor(self, x: Tensor) -> float:
        """Return what the gradient of the step is multiplied by: 1 / sqrt(N · Q_P).

        N counts the values that share a step (of one image, for activations) and Q_P is the
        largest integer of the grid; LSQ, section 2.2.
        """
        values = x[0].numel() if self._batched else x.numel() // self.step.numel()
        return 1.0 / math.sqrt(max(values, 1) * max(self.quant_max, 1))

    def parameters_now(self) -> QuantizationParameters:
        """Return the grid as it is now, sharing memory with the parameter."""
        return QuantizationParameters(
            self.step.detach(), self.zero_point, self.quant_min, self.quant_max, self.group
        )

    @torch.no_grad()
    def keep_positive(self) -> None:
        """Raise steps below a thousandth of where they started, which no good step is."""
        torch.maximum(self.step, self.smallest, out=self.step)
