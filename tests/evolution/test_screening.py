"""Each reason to reject an individual, by an example, and nothing else is rejected."""

import random

import numpy as np
import pytest
import torch

from gp_emq.evolution._generation import generate
from gp_emq.evolution._reasons import INVALID
from gp_emq.evolution._screening import StructureScreen, TableScreen, depth_of
from gp_emq.proxies import Evaluator, language, parse_expression
from primitives import BitTable, PrimitiveSet, Terminal, Weights, load_primitive_set


def parsed(expression: str, primitive_set: PrimitiveSet | None = None):
    return parse_expression(expression, primitive_set or language())


class TestStructure:
    screen = StructureScreen(language(), max_size=6, max_depth=3)

    def reason(self, expression: str) -> str | None:
        return self.screen.reason(parsed(expression))

    def test_what_fits_passes(self) -> None:
        assert self.reason("mean(square(quantization_perturbation))") is None
        assert self.reason("add(add(bits, bits), quantization_mse)") is None

    def test_too_many_nodes(self) -> None:
        wide = "add(add(bits, bits), add(bits, bits))"
        assert self.reason(wide) == "too large"

    def test_too_many_levels(self) -> None:
        assert self.reason("abs(abs(abs(quantization_mse)))") is None
        assert self.reason("abs(abs(abs(abs(quantization_mse))))") == "too deep"

    def test_the_bit_widths_alone_are_no_statistic(self) -> None:
        assert self.reason("bits") == "no statistic"
        assert self.reason("power(bits, 2)") == "no statistic"

    def test_the_input_of_a_fixed_structure_is_a_statistic(self) -> None:
        screen = StructureScreen(language(), 10, 3)
        genotype = "times_bits(sequential(weight, abs, abs, abs, abs))"
        assert screen.reason(parsed(genotype)) is None


@pytest.mark.parametrize(
    ("expression", "depth"),
    [
        ("bits", 0),
        ("log(bits)", 1),
        ("add(log(bits), bits)", 2),
        ("add(bits, log(log(bits)))", 3),
        ("log(" * 3000 + "bits" + ")" * 3000, 3000),
    ],
)
def test_depth_is_the_number_of_levels_below_the_root(expression, depth) -> None:
    assert depth_of(parsed(expression)) == depth


class TestTables:
    @pytest.fixture
    def screened(self, tiny):
        screen = TableScreen(language(), tiny.statistics)

        def one(expression: str):
            (result,) = screen.tables([parsed(expression)])
            return result

        return one

    def test_a_good_tree_gives_its_table(self, screened, tiny) -> None:
        expression = "mean(square(quantization_perturbation))"
        evaluated = Evaluator(language(), tiny.statistics).table(parsed(expression))
        np.testing.assert_array_equal(screened(expression), evaluated)

    @pytest.mark.parametrize(
        "expression",
        [
            "log(negate(bits))",
            "times_bits(log(depth))",
            "times_bits(mean(log(weight)))",
            "times_bits(exp(square(macs)))",
            "divide(bits, subtract(bits, bits))",
        ],
    )
    def test_not_finite(self, screened, expression) -> None:
        assert screened(expression) == "not finite"

    @pytest.mark.parametrize(
        "expression",
        [
            "subtract(bits, bits)",
            "divide(quantization_mse, quantization_mse)",
            "sign(quantization_mse)",
            "times_bits(subtract(depth, depth))",
            "multiply(depth, sign(bits))",
        ],
    )
    def test_scores_that_are_equal_for_all_configurations(self, screened, expression) -> None:
        assert screened(expression) == "constant scores"

    def test_what_only_rounding_tells_apart(self, screened) -> None:
        # The mean of a z-normalised tensor is zero but for rounding.
        assert screened("mean(z_normalise(quantization_perturbation))") == "rounding noise"

    @pytest.mark.parametrize(
        "expression",
        [
            "times_bits(sequential(weight, log_determinant, abs, abs, abs))",
            "times_bits(dag(weight, activation, abs, abs, abs, abs, abs, abs, abs, abs, abs))",
            "times_bits(branched(matrix_product, weight, abs, abs, weight, abs, abs))",
        ],
    )
    def test_shapes_that_do_not_fit(self, screened, expression) -> None:
        assert screened(expression) == "shape mismatch"

    def test_every_tree_is_judged_on_its_own(self, tiny) -> None:
        expressions = [
            "quantization_mse",
            "log(negate(bits))",
            "subtract(bits, bits)",
            "times_bits(sequential(weight, mean, gram, abs, abs))",
            "mean(quantization_perturbation)",
        ]
        screen = TableScreen(language(), tiny.statistics)
        together = screen.tables([parsed(expression) for expression in expressions])
        for expression, result in zip(expressions, together, strict=True):
            (alone,) = TableScreen(language(), tiny.statistics).tables([parsed(expression)])
            if isinstance(alone, str):
                assert result == alone
            else:
                np.testing.assert_array_equal(result, alone)

    def test_without_probing_only_what_has_no_scores_is_rejected(self, tiny) -> None:
        screen = TableScreen(language(), tiny.statistics, probing=False)

        def result(expression: str):
            return screen.tables([parsed(expression)])[0]

        assert not isinstance(result("subtract(bits, bits)"), str)
        assert not isinstance(result("mean(z_normalise(quantization_perturbation))"), str)
        assert result("log(negate(bits))") == "not finite"
        assert result("times_bits(sequential(weight, mean, gram, abs, abs))") == "shape mismatch"

    def test_reasons_that_blame_the_operators(self) -> None:
        assert {
            "not finite", "constant scores", "rounding noise", "shape mismatch",
            "not scale invariant",
        } == INVALID  # fmt: skip


def scaled(scale: float):
    return lambda bits: bits * scale


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_tables_of_any_scale_pass(tiny, scale) -> None:
    own = PrimitiveSet(
        "own", "a table of its own", operators=["abs"],
        statistics=[Terminal("mine", BitTable, "x", "mine", ("bits",), scaled(scale))],
    )  # fmt: skip
    (result,) = TableScreen(own, tiny.statistics).tables([parsed("mine", own)])
    assert not isinstance(result, str)


def test_a_table_whose_scores_overflow_is_not_finite(tiny) -> None:
    own = PrimitiveSet(
        "own", "a table that is finite though its scores are not", operators=["abs"],
        statistics=[Terminal("mine", BitTable, "x", "mine", ("bits",), scaled(4e307))],
    )  # fmt: skip
    tree = parsed("mine", own)
    assert torch.isfinite(Evaluator(own, tiny.statistics).table(tree)).all()
    assert TableScreen(own, tiny.statistics).tables([tree]) == ["not finite"]


def test_the_probe_looks_at_a_sample_and_the_table_at_everything(tiny) -> None:
    """A statistic that is not finite in one element outside of the sample."""

    def spoilt(weight: torch.Tensor) -> torch.Tensor:
        result = weight.clone()
        if result.numel() == tiny.statistics.layout("Weights").size:
            result[-1] = torch.inf
        return result

    own = PrimitiveSet(
        "own", "a spoilt statistic", operators=["mean"], ends_in_bits=True,
        statistics=[Terminal("spoilt", Weights, "x", "spoilt", ("weight",), spoilt)],
    )  # fmt: skip
    assert TableScreen(own, tiny.statistics).tables([parsed("times_bits(mean(spoilt))", own)]) == [
        "not finite"
    ]


def test_a_whole_set_of_random_trees_never_breaks_the_screen(tiny) -> None:
    for name in ("bit_aware", "dag"):
        primitive_set = load_primitive_set(name)
        trees = [generate(primitive_set, 1, 7, rng=random.Random(seed)) for seed in range(150)]
        for result in TableScreen(primitive_set, tiny.statistics).tables(trees):
            if isinstance(result, str):
                assert result in INVALID
            else:
                assert result.shape == (4, 3)
                assert np.isfinite(result).all()
