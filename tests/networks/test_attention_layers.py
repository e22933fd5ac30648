"""Attention by four layers computes what torch's own does."""

import contextlib
from collections.abc import Iterator

import pytest
import torch
from attention_networks import filled
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gp_emq.networks import private_copy


@contextlib.contextmanager
def without_fused_paths() -> Iterator[None]:
    """Where torch computes as it does with gradients: its fused path has another 0/0."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@st.composite
def calls(draw: st.DrawFn) -> tuple[nn.Module, tuple[Tensor, ...], dict[str, object]]:
    """Attention of any options, and arguments of any kind for it."""
    heads, flag = draw(st.integers(1, 3)), st.booleans()
    width = heads * draw(st.integers(1, 3))
    kdim, vdim = (draw(st.sampled_from([None, width, 2])) for _ in "kv")
    batched, first = draw(flag), draw(flag)
    model = filled(nn.MultiheadAttention(
        width, heads, bias=draw(flag), add_bias_kv=draw(flag), add_zero_attn=draw(flag),
        kdim=kdim, vdim=vdim, batch_first=first,
    ), draw(st.integers(0, 99)))  # fmt: skip
    images, target, source = (draw(st.integers(1, 3)) for _ in range(3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))

    def drawn(length: int, features: int) -> Tensor:
        shape = (images, length) if first else (length, images)
        return torch.randn(*(shape if batched else (length,)), features, generator=generator)

    query, key, value = (
        drawn(target, width), drawn(source, kdim or width), drawn(source, vdim or width)
    )  # fmt: skip
    if (kdim or width) == width == (vdim or width) and draw(flag):
        key = value = query
        source = target
    count = images if batched else 1
    attention, padding = (draw(st.sampled_from([None, "bool", "float"])) for _ in range(2))
    shape = draw(st.sampled_from([(target, source), (count * heads, target, source)]))
    named = {
        "attn_mask": masked(shape, attention, generator),
        "key_padding_mask": masked((images, source) if batched else (source,), padding, generator),
        "need_weights": draw(flag),
        "average_attn_weights": draw(flag),
    }
    return model, (query, key, value), named


def masked(shape: tuple[int, ...], kind: str | None, generator: torch.Generator) -> Tensor | None:
    """A mask of which a half is closed: whole rows too."""
    if kind is None:
        return None
    closed = torch.rand(shape, generator=generator) < 0.5
    if kind == "bool":
        return closed
    return torch.randn(shape, generator=generator).masked_fill(closed, -torch.inf)


@pytest.mark.filterwarnings("ignore:Support for mismatched")
@given(calls(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_it_gives_what_torch_gives(call, trains: bool, derives: bool) -> None:
    model, inputs, named = call
    copied = private_copy(model)
    for network in (model, copied):
        network.train(trains)
        network.dropout = 0.5 if trains else 0.5 * derives
    with without_fused_paths(), torch.set_grad_enabled(derives):
        torch.manual_seed(0)
        wanted = model(*inputs, **named)
        torch.manual_seed(0)
        found = copied(*inputs, **named)
    for one, other in zip(found, wanted, strict=True):
        if other is None:
            assert one is None
        else:
            torch.testing.assert_close(one, other, equal_nan=True, rtol=1e-5, atol=1e-5)
