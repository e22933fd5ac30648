"""Attention by four layers computes what torch's own does."""

import contextlib
import warnings
from collections.abc import Iterator

import pytest
import torch
from attention_networks import filled
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gp_emq.networks import private_copy
from gp_emq.networks._attention import Projection


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


def test_rows_that_may_attend_to_nothing_are_what_they_are_in_torch() -> None:
    model = filled(nn.MultiheadAttention(4, 2, batch_first=True))
    inputs = 3 * (torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)),)
    padding = torch.tensor([[True, True, True], [False, True, False]])
    copied = private_copy(model)
    outputs, weights = copied(*inputs, key_padding_mask=padding)
    assert outputs[0].isnan().all()
    assert weights[0].isnan().all()
    assert outputs[1].isfinite().all()
    outputs, weights = copied(*inputs, key_padding_mask=padding, need_weights=False)
    assert weights is None
    torch.testing.assert_close(outputs[0], model.out_proj.bias.expand(3, 4))


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_the_hint_of_a_causal_mask_is_taken_as_torch_takes_it(
    need_weights: bool, padded: bool
) -> None:
    model = filled(nn.MultiheadAttention(4, 2, add_zero_attn=True))
    inputs = 3 * (torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)),)
    named = {
        "attn_mask": nn.Transformer.generate_square_subsequent_mask(3),
        "key_padding_mask": torch.tensor([[0, 0, -torch.inf], [0, 0, 0]]) if padded else None,
        "need_weights": need_weights,
        "is_causal": True,
    }
    copied = private_copy(model)
    for one, other in zip(copied(*inputs, **named), model(*inputs, **named), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    named["attn_mask"] = None
    for network in (model, copied):
        with pytest.raises(RuntimeError, match=r"(?i)need"):
            network(*inputs, **named)


@pytest.mark.parametrize(
    ("shapes", "masks"),
    [
        (((3, 2, 4), (5, 2, 4), (4, 2, 4)), {}),  # fewer values than keys
        (((3, 2, 4), (3, 1, 4), (3, 1, 4)), {}),  # keys of one image for two
        (((3, 2, 4), (3, 4), (3, 4)), {}),
        (((1, 3, 2, 4),) * 3, {}),
        (((3, 2, 6),) * 3, {}),
        (((3, 2, 4),) * 3, {"attn_mask": (1, 3)}),
        (((3, 2, 4),) * 3, {"attn_mask": (2, 3, 3)}),  # one for each image, not each head
        (((3, 2, 4),) * 3, {"attn_mask": (3,)}),
        (((3, 2, 4),) * 3, {"key_padding_mask": (1, 3)}),
        (((3, 2, 4),) * 3, {"key_padding_mask": (3,)}),
        (((3, 4),) * 3, {"key_padding_mask": (1, 3)}),
    ],
)
def test_what_torch_refuses_is_refused(shapes, masks) -> None:
    model = filled(nn.MultiheadAttention(4, 2))
    for mask in ({}, {"dtype": torch.bool}):
        named = {name: torch.zeros(shape, **mask) for name, shape in masks.items()}
        for network in (model, private_copy(model)):
            with pytest.raises((RuntimeError, AssertionError)):
                network(*(torch.zeros(shape) for shape in shapes), **named)
    with pytest.raises(RuntimeError, match=r"torch\.int64: only bool"):
        private_copy(model)(*(torch.zeros(3, 4),) * 3, attn_mask=torch.zeros(3, 3).long())


def test_a_whole_transformer_computes_what_torchs_does() -> None:
    model = filled(nn.Transformer(6, 2, 2, 2, 8, batch_first=True))
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(3, length, 6, generator=generator) for length in (4, 5))
    padding = torch.tensor([[False] * 4, [False, False, True, True], [False, False, False, True]])
    named = {
        "tgt_mask": nn.Transformer.generate_square_subsequent_mask(5),
        "src_key_padding_mask": padding,
        "memory_key_padding_mask": padding,
        "tgt_is_causal": True,
    }
    copied = private_copy(model)
    for derives in (True, False):
        with torch.set_grad_enabled(derives), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's nested tensors, and mixed masks
            wanted = model(source, target, **named)
            torch.testing.assert_close(
                copied(source, target, **named), wanted, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("norm_first", [True, False])
def test_encoders_call_every_layer_where_torch_would_read_packed_weights(
    monkeypatch: pytest.MonkeyPatch, norm_first: bool
) -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, norm_first=norm_first)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first)
    copied, called = private_copy(encoder), []
    computing = Projection.forward

    def counted(self: Projection, given: Tensor) -> Tensor:
        called.append(self)
        return computing(self, given)

    # No hooks: a network with hooks does not take the fused path in torch either.
    monkeypatch.setattr(Projection, "forward", counted)
    with torch.no_grad():
        copied(torch.randn(2, 3, 6), src_key_padding_mask=torch.tensor([[False] * 3] * 2))
    assert called == [module for module in copied.modules() if isinstance(module, Projection)]
    assert len(called) == 2 * 4
