"""Attention whose projections are layers, with weights of their own.

torch's `MultiheadAttention` keeps those of query, key and value in one parameter, and calls no
module of its own: not even the last projection. In a private copy it has four layers, which it
calls; see `_projections` for how it becomes so.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IN = ("q_proj", "k_proj", "v_proj")
"""The layers that take what the attention is given."""
OUT = "out_proj"


class Projection(nn.Linear):
    """Of queries, keys, values or the outputs of an attention: a `Linear` of given parameters.

    Args:
        weight: (out, in).
        bias: (out,), or None.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        # Linear would make parameters, and draw random numbers for them.
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = weight
        self.register_parameter("bias", bias)


class MultiheadAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` by four layers: `q_proj`, `k_proj`, `v_proj`, `out_proj`.

    It computes as torch does where its fused path for inference is off: rows that may attend to
    nothing are not numbers where the weights of attention are asked for, else their bias.

    Attributes:
        packed: Whether the attention that it was had one parameter for three weights.
    """

    packed: bool
    q_proj: Projection
    k_proj: Projection
    v_proj: Projection

    @property
    def in_proj_weight(self) -> Tensor | None:  # type: ignore[override]
        """The three weights as the one parameter that they were, where they were."""
        return torch.cat([self._weight(name) for name in IN]) if self.packed else None

    @property
    def in_proj_bias(self) -> Tensor | None:  # type: ignore[override]
        """The three biases as one."""
        biases = [getattr(self, name).bias for name in IN]
        return None if any(bias is None for bias in biases) else torch.cat(biases)

    @property
    def q_proj_weight(self) -> Tensor:  # type: ignore[override]
        """The weight for queries."""
        return self._weight("q_proj")

    @property
    def k_proj_weight(self) -> Tensor:  # type: ignore[override]
        """The weight for keys."""
        return self._weight("k_proj")

    @property
    def v_proj_weight(self) -> Tensor:  # type: ignore[override]
        """The weight for values."""
        return self._weight("v_proj")

    def _weight(self, name: str) -> Tensor:
        weight: Tensor = getattr(self, name).weight
        return weight

    def forward(  # noqa: PLR0917 - as torch has it
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend, as `torch.nn.MultiheadAttention.forward` has it."""
        batched = query.dim() == 3
        _check_inputs(query, key, value, batch=0 if self.batch_first else 1)
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal needs attn_mask, which it says something of")
        q, k, v = (
            self._heads(getattr(self, name)(given), batched=batched)
            for name, given in zip(IN, (query, key, value), strict=True)
        )
        # Where nothing else has to be masked, the hint stands for the mask.
        causal = is_causal and key_padding_mask is None and not need_weights
        if key_padding_mask is not None and not batched:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        mask = None if causal else self._mask(attn_mask, key_padding_mask, q, k)
        k, v, mask = self._extended(k, v, mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            products = (q * math.sqrt(1 / self.head_dim)) @ k.transpose(-2, -1)
            weights = F.softmax(products if mask is None else products + mask, dim=-1)
            weights = F.dropout(weights, dropout) if dropout else weights
            attended = weights @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
        order = (0, 2, 1, 3) if self.batch_first or not batched else (2, 0, 1, 3)
        joined = attended.permute(order).flatten(2)
        output = self.out_proj(joined if batched else joined.squeeze(0))
        if weights is not None:
            weights = weights.mean(dim=1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        return output, weights

    def _heads(self, projected: Tensor, *, batched: bool) -> Tensor:
        """Bring what a projection gives to (batch, heads, length, features of a head)."""
        if not batched:
            projected = projected.unsqueeze(0)
        elif not self.batch_first:
            projected = projected.transpose(0, 1)
        apart = projected.reshape(*projected.shape[:-1], self.num_heads, self.head_dim)
        return apart.transpose(1, 2)

    def _mask(
        self, attention: Tensor | None, padding: Tensor | None, query: Tensor, key: Tensor
    ) -> Tensor | None:
        """Make of the masks one that is added to products (batch, heads, target, source)."""
        images, heads, target, source = (*query.shape[:3], key.shape[2])
        found = None
        if attention is not None:
            shapes = ((target, source), (images * heads, target, source))
            mask = _additive(attention, "attn_mask", shapes, query.dtype)
            found = mask if mask.dim() == 2 else mask.reshape(images, heads, target, source)
        if padding is not None:
            mask = _additive(padding, "key_padding_mask", ((images, source),), query.dtype)
            mask = mask[:, None, None]
            found = mask if found is None else found + mask
        return found

    def _extended(
        self, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Append a learned key and value, and zeros, where the attention has these."""
        ends: list[tuple[Tensor, Tensor]] = []
        if self.bias_k is not None and self.bias_v is not None:
            ends.append((self._of_all(self.bias_k, key), self._of_all(self.bias_v, value)))
        if self.add_zero_attn:
            ends.append((torch.zeros_like(key[:, :, :1]), torch.zeros_like(value[:, :, :1])))
        for of_key, of_value in ends:
            key, value = torch.cat([key, of_key], dim=2), torch.cat([value, of_value], dim=2)
            mask = None if mask is None else F.pad(mask, (0, 1))
        return key, value, mask

    def _of_all(self, bias: Tensor, values: Tensor) -> Tensor:
        """Give (1, 1, features) to every image: (batch, heads, 1, features of a head)."""
        return bias.reshape(1, self.num_heads, 1, self.head_dim).expand(len(values), -1, -1, -1)


def _check_inputs(query: Tensor, key: Tensor, value: Tensor, *, batch: int) -> None:
    """Refuse inputs of shapes that do not belong together.

    Args:
        query: (length, features), or with an axis of the batch.
        key: likewise, of another length.
        value: of the length of the keys.
        batch: the axis of the batch, where there is one.
    """
    shapes = [tuple(given.shape) for given in (query, key, value)]
    given = "query, key and value of shapes " + ", ".join(map(str, shapes))
    if any(tensor.is_nested for tensor in (query, key, value)):
        raise RuntimeError("attention takes no nested tensors")
    if query.dim() not in (2, 3) or len({len(shape) for shape in shapes}) > 1:
        raise RuntimeError(f"attention takes tensors of two axes, or of three, not {given}")
    if shapes[1][:-1] != shapes[2][:-1]:
        raise RuntimeError(f"attention takes as many keys as values, not {given}")
    if query.dim() == 3 and query.shape[batch] != key.shape[batch]:
        raise RuntimeError(f"attention takes batches of one size, not {given}")


def _additive(
    mask: Tensor, name: str, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype
) -> Tensor:
    """Make a mask, true where not to attend or floating, one that is added to products."""
    if all(tuple(mask.shape) != shape for shape in shapes):
        wanted = " or ".join(map(str, shapes))
        raise RuntimeError(f"{name} has the shape {tuple(mask.shape)}, not {wanted}")
    if mask.is_floating_point():
        return mask
    if mask.dtype != torch.bool:
        raise RuntimeError(f"{name} is {mask.dtype}: only bool and floating masks are supported")
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, -math.inf)
