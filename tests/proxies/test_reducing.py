"""Passes over the data: affine normalisers, kept tensors, and memory that is used again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from synthetic import synthetic_statistics

from gp_emq.proxies import Evaluator, language, parse_expression
from gp_emq.proxies._cache import ByteCache
from gp_emq.proxies._streaming import Segments
from primitives import OPERATORS
from primitives._affine import AffineKernel
from primitives._workspace import Workspace

DOUBLES = synthetic_statistics(3, dtype=torch.float64)
LAYOUT = DOUBLES.layout("Weights")
MOVED = [moved.reshape(3, -1).numpy() for moved in LAYOUT.views(DOUBLES.tensor("perturbation"))]
WEIGHT = [weight.ravel().numpy() for weight in LAYOUT.views(DOUBLES.tensor("weight"))]


def z(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def min_max(x: np.ndarray) -> np.ndarray:
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    return (x - low) / (high - low)


def row(expression: str, entry: int, **options) -> np.ndarray:
    tree = parse_expression(expression, language())
    return Evaluator(language(), DOUBLES, **options).table(tree).numpy()[entry]


@pytest.mark.parametrize("block", [3, 50, 32768])
def test_normalisers_nest_and_run_by_layer_and_width(block, monkeypatch) -> None:
    monkeypatch.setattr("gp_emq.proxies._streaming.BLOCK", block)
    nested = "maximum(exp(z_normalise(multiply(z_normalise(weight), min_max(abs({0}))))))"
    expression = nested.format("quantization_perturbation")
    inner = [z(w) * min_max(np.abs(moved)) for w, moved in zip(WEIGHT, MOVED, strict=True)]
    found = [np.exp(z(x)).max(-1) for x in inner]
    np.testing.assert_allclose(row(expression, 0), found[0])
    # The layers of a tied entry are normalised each for itself.
    assert LAYOUT.entries == (0, 1, 1, 2)
    np.testing.assert_allclose(row(expression, 1), np.maximum(found[1], found[2]))


@pytest.mark.parametrize("memory", [0, 2**30])
def test_softmax_of_a_normaliser_is_the_same_kept_or_not(memory) -> None:
    shapes = LAYOUT.shapes
    expected = special.softmax(min_max(WEIGHT[0]).reshape(shapes[0]), axis=0)
    found = row("times_bits(frobenius_norm(softmax(min_max(weight))))", 0, memory=memory)
    np.testing.assert_allclose(found, np.linalg.norm(expected) * np.array([2, 3, 4]))


@pytest.mark.parametrize("block", [7, 50, 131072])
def test_memory_changes_no_digit_of_what_is_normalised_layer_by_layer(block, monkeypatch) -> None:
    monkeypatch.setattr("gp_emq.proxies._streaming.BLOCK", block)
    inputs = ("weight", "quantization_perturbation", "activation")
    forms = (
        "mean(log(softmax({0})))",
        "sum(softmax(power(z_normalise(sigmoid({0})), -0.5)))",
        "variance(multiply(mish({0}), log_softmax(exp(softmax(swish({0}))))))",
        "kl_divergence({0}, softmax(softmax({0})))",
        "maximum(min_max(softmax({0})))",
    )
    texts = [form.format(x) for form in forms for x in inputs]
    texts = [text if "quant" in text else f"times_bits({text})" for text in texts]
    trees = [parse_expression(text, language()) for text in texts]
    for statistics in (synthetic_statistics(4), DOUBLES):
        ample, sparing = (Evaluator(language(), statistics, memory=m) for m in (2**30, 0))
        for expected, found in zip(ample.tables(trees), sparing.tables(trees), strict=True):
            assert torch.equal(expected.nan_to_num(7), found.nan_to_num(7))


def test_memory_too_small_for_all_kept_tensors_at_once_changes_nothing() -> None:
    bytes_of_one = LAYOUT.size * 3 * 8
    texts = [
        f"sum(multiply(softmax({leaf}), softmax(negate({leaf}))))"
        for leaf in (
            "quantization_perturbation",
            "square(quantization_perturbation)",
            "abs(quantization_perturbation)",
            "multiply(weight, quantization_perturbation)",
        )
    ]
    trees = [parse_expression(text, language()) for text in texts]
    ample = Evaluator(language(), DOUBLES).tables(trees)
    tight = Evaluator(language(), DOUBLES, memory=4 * bytes_of_one)
    for _ in range(2):
        for found, expected in zip(tight.tables(trees), ample, strict=True):
            assert torch.equal(found, expected)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_segments_cover_a_block(sizes, data) -> None:
    bounds = np.cumsum([0, *sizes]).tolist()
    start = data.draw(st.integers(0, bounds[-1] - 1))
    stop = data.draw(st.integers(start + 1, bounds[-1]))
    segments = Segments.of(bounds, start, stop)
    owner = np.repeat(np.arange(len(sizes)), sizes)[start:stop]
    edges = [*segments.starts, stop - start]
    found = np.repeat(segments.first + np.arange(len(segments.starts)), np.diff(edges))
    assert found.tolist() == owner.tolist()


@pytest.mark.parametrize("per_bit", [False, True])
def test_a_layer_at_hand_is_normalised_as_one_in_blocks(per_bit) -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flat = x.flatten(1) if per_bit else x.reshape(-1)
    for name, expected in (("z_normalise", z), ("min_max", min_max)):
        found = OPERATORS[name].affine.of_layer(x, Workspace(), per_bit=per_bit)
        np.testing.assert_allclose(found.reshape(flat.shape), expected(flat.numpy()))


def test_an_affine_kernel_takes_each_layer_its_own_numbers() -> None:
    kernel = AffineKernel(torch.tensor([[1.0, 2.0], [4.0, 0.5]]), torch.float64)
    x = torch.tensor([3.0, 5.0, 3.0], dtype=torch.float64)
    found = kernel(x, 0, (0, 2), out=torch.empty_like(x))
    assert found.tolist() == [0.5, 1.0, 2.0]


def test_room_is_made_by_those_that_were_not_used_for_longest() -> None:
    cache = ByteCache(3 * (80 + 1))
    tensors = {name: torch.full((10,), float(place), dtype=torch.float64)
               for place, name in enumerate("abc")}  # fmt: skip
    for name, tensor in tensors.items():
        cache.put(name, tensor)
    cache.get("a")
    assert cache.make_room(0) == []
    left = cache.make_room(100)
    assert [tensor.data_ptr() for tensor in left] == [
        tensors["b"].data_ptr(), tensors["c"].data_ptr()
    ]  # fmt: skip
    assert cache.get("b") is None
    assert cache.get("a") is tensors["a"]
