"""Formulas that tell a network from the same with rescaled layers, by analysis and by trial."""

import copy
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_tree, synthetic_statistics
from torch import Tensor, nn

import gp_emq
from gp_emq.evolution._judging import centred
from gp_emq.evolution._probe import Probe
from gp_emq.evolution._reasons import NOT_INVARIANT, SCALE
from gp_emq.evolution._screening import StructureScreen
from gp_emq.proxies import Evaluator, depends_on_scale, language, parse_expression, to_expression
from gp_emq.statistics import STATISTICS, Kind, Statistics, StatisticsSettings
from primitives import OPERATORS, PrimitiveSet, Terminal, Weights, load_primitive_set

ESTIMATED = ("hessian_diagonal", "hessian_trace", "hessian_top_eigenvalue", "curvature_form")
"""Their estimates mix layers: they follow one factor of all layers, not one of each."""


class Normed(nn.Module):
    """Every layer has a batch norm behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.other = nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4)
        self.last, self.top = nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3)
        for norm in (self.norm, self.other, self.top):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm(self.first(images)).tanh()
        hidden = self.other(self.second(hidden)).tanh()
        return self.top(self.last(hidden.mean((2, 3))))

    def rescaled(self, factors: tuple[float, ...]) -> "Normed":
        """The same function of other weights."""
        other = copy.deepcopy(self)
        pairs = ((other.first, other.norm), (other.second, other.other), (other.last, other.top))
        with torch.no_grad():
            for (layer, norm), factor in zip(pairs, factors, strict=True):
                for parameter in layer.parameters():
                    parameter.mul_(factor)
                norm.running_mean *= factor
                norm.running_var *= factor**2
                norm.eps *= factor**2
        return other


def collected(network: nn.Module) -> Statistics:
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return gp_emq.collect_statistics(
        network, images, torch.tensor([0, 1, 2, 0, 1, 2]), bits=(2, 4),
        settings=StatisticsSettings(power_iterations=200, power_tolerance=1e-7),
    )  # fmt: skip


@pytest.fixture(scope="module")
def network() -> Normed:
    torch.manual_seed(0)
    return Normed().eval()


@pytest.fixture(scope="module")
def plain(network: Normed) -> Statistics:
    return collected(network)


FACTORS = {"one": (4.0, 4.0, 4.0), "each": (4.0, 0.25, 2.0)}


@pytest.fixture(scope="module")
def others(network: Normed) -> dict[str, Statistics]:
    return {name: collected(network.rescaled(factors)) for name, factors in FACTORS.items()}


def close(one: Tensor, other: Tensor) -> bool:
    scale = float(other.abs().max())
    return float((one.double() - other.double()).abs().max()) <= 1e-3 * scale + 1e-9


@pytest.mark.parametrize(
    "name", [name for name, record in STATISTICS.items() if record.exponent is not None]
)
def test_a_rescaled_network_has_the_statistics_that_their_exponents_say(
    name: str, plain: Statistics, others: dict[str, Statistics]
) -> None:
    which = "one" if name in ESTIMATED else "each"
    expected = plain.rescaled(torch.tensor(FACTORS[which], dtype=torch.float64))
    found = others[which]
    kind = STATISTICS[name].kind
    if kind in {Kind.LAYER_VECTOR, Kind.BIT_TABLE}:
        parts = zip(found.tensor(name), expected.tensor(name), strict=True)
    else:
        layout = found.layout(kind)
        both = (layout.views(one.tensor(name)) for one in (found, expected))
        parts = zip(*both, strict=True)
    assert all(close(one, other) for one, other in parts)
    if STATISTICS[name].exponent:
        assert not close(found.tensor(name), plain.tensor(name))


def test_what_has_no_exponent_follows_none(
    plain: Statistics, others: dict[str, Statistics]
) -> None:
    assert [name for name, one in STATISTICS.items() if one.exponent is None] == [
        "hessian_gradient"
    ]
    layout = plain.layout("Weights")
    pairs = zip(
        layout.views(others["each"].tensor("hessian_gradient")),
        layout.views(plain.tensor("hessian_gradient")),
        strict=True,
    )
    ratios = [float(one.norm() / other.norm()) for one, other in pairs]
    exponents = np.log(ratios) / np.log(FACTORS["each"])
    assert np.ptp(exponents) > 0.5


SAYS = [
    ("relative_output_change", False),
    ("output_change_energy", True),
    ("log(output_change_energy)", False),
    ("power(log(output_change_energy), 2)", True),
    ("multiply(mean(fisher_diagonal), sum(square(quantization_perturbation)))", False),
    ("sum(multiply(fisher_diagonal, square(quantization_perturbation)))", False),
    ("sum(square(quantization_perturbation))", True),
    ("mean(abs(multiply(weight_gradient_low, quantization_perturbation)))", False),
    ("times_bits(l1_mean(gradient_times_weight))", False),
    ("times_bits(sum(abs(weight)))", True),
    ("times_bits(cosine_similarity(weight, fisher_diagonal))", False),
    ("exp(subtract(log(quantization_mse), log(variance(weight))))", False),
    ("exp(add(log(quantization_mse), log(variance(weight))))", True),
    ("times_bits(mean(hessian_gradient))", True),
    ("times_bits(mean(z_normalise(weight)))", False),
    ("z_normalise(quantization_mse)", True),
    ("times_bits(log_determinant(gram(weight)))", True),
    ("add(times_bits(depth), log_determinant(gram(weight)))", False),
    ("times_bits(standard_deviation(log_abs(weight)))", False),
    ("add(bits, quantization_mse)", True),
    ("scaled(relative_output_change, 0.35)", False),
    ("scaled(log(output_change_energy), 0.35)", False),
    ("exp(scaled(subtract(log(quantization_mse), log(variance(weight))), 0.1))", False),
    ("exp(scaled(log(quantization_mse), 0.1))", True),
    ("divide(power(quantization_mse, 0.3), power(power(variance(weight), 0.1), 3))", False),
    ("times_bits(maximum(softmax(weight)))", True),
    ("power(divide(quantization_mse, variance(weight)), 0.5)", False),
]


@pytest.mark.parametrize(("expression", "depends"), SAYS)
def test_dimensional_analysis_says_what_a_rescaled_network_shows(
    expression: str, depends: bool, plain: Statistics, others: dict[str, Statistics]
) -> None:
    tree = parse_expression(expression, language())
    assert depends_on_scale(tree, language()) is depends
    tables = [Evaluator(language(), one).table(tree) for one in (plain, others["each"])]
    one, other = (centred(table.numpy()) for table in tables)
    is_same = bool(np.abs(one - other).max() <= 1e-3 * np.ptp(one))
    assert is_same is not depends


STATISTICS_OF_TREES = synthetic_statistics(3, dtype=torch.float64)
RESCALED = STATISTICS_OF_TREES.rescaled(torch.tensor([4.0, 0.5, 2.0], dtype=torch.float64))
EXACT = PrimitiveSet(
    "exact",
    "everything but what adds a small number, and structures",
    statistics=[name for name in language().statistics if name != "hessian_gradient"],
    operators=[
        name for name, operator in OPERATORS.items()
        if operator.scaling is not None and name != "reciprocal"
    ],
)  # fmt: skip


@settings(max_examples=400)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 5))
def test_what_analysis_lets_pass_does_not_change_with_the_scale(seed: int, depth: int) -> None:
    tree = random_tree(EXACT, random.Random(seed), depth)
    if depends_on_scale(tree, EXACT) is not False:
        return
    one, other = (
        Evaluator(EXACT, statistics).table(tree).numpy()
        for statistics in (STATISTICS_OF_TREES, RESCALED)
    )
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return
    if np.abs(one).max() > 1e9 * np.ptp(centred(one)):
        return  # nothing but rounding
    error = np.abs(centred(one) - centred(other)).max()
    assert error <= 1e-6 * np.ptp(centred(one)) + 1e-12, to_expression(tree, EXACT)


def test_a_set_may_demand_it_of_every_formula() -> None:
    demanding = load_primitive_set("invariant")
    screen = StructureScreen(demanding, max_size=30, max_depth=8)
    for expression, reason in (
        ("relative_output_change", None),
        ("quantization_mse", SCALE),
        ("negate(log(quantization_mse))", None),
    ):
        assert screen.reason(parse_expression(expression, demanding)) == reason
    relaxed = StructureScreen(load_primitive_set("discovery"), max_size=30, max_depth=8)
    assert relaxed.reason(parse_expression("quantization_mse", language())) is None


def test_what_analysis_cannot_know_is_tried() -> None:
    own = Terminal("spread", Weights, "w", "a user's own", ("weight",), lambda weight: weight * 2)
    constant = Terminal("ones", Weights, "1", "another", ("weight",), torch.ones_like)
    mine = PrimitiveSet(
        "mine", "a set of one's own",
        statistics=["weight", "quantization_perturbation", "bits", "fisher_diagonal",
                    "quantization_mse", own, constant],
        operators=["mean", "multiply", "square", "reciprocal", "divide", "variance", "add"],
        scale_invariant=True,
    )  # fmt: skip
    expressions = {
        "divide(quantization_mse, variance(spread))": None,
        "multiply(mean(square(spread)), quantization_mse)": NOT_INVARIANT,
        "multiply(mean(ones), divide(quantization_mse, variance(weight)))": None,
        "multiply(mean(ones), quantization_mse)": NOT_INVARIANT,
        "multiply(mean(square(weight)), reciprocal(quantization_mse))": None,
    }
    trees = [parse_expression(expression, mine) for expression in expressions]
    assert [depends_on_scale(tree, mine) for tree in trees] == [None] * 4 + [False]
    assert Probe(mine, synthetic_statistics(0)).reasons(trees) == list(expressions.values())


def test_a_small_number_beside_a_smaller_is_noticed() -> None:
    # The reciprocal adds a billionth, which no rescaling of what it is added to takes along.
    demanding = load_primitive_set("invariant")
    expression = "multiply(quantization_mse, reciprocal(mean(square(square(square(weight))))))"
    balanced = f"multiply({expression}, power(mean(square(weight)), 3))"
    tree = parse_expression(balanced, demanding)
    assert depends_on_scale(tree, demanding) is False
    small = synthetic_statistics(0).rescaled(torch.full((3,), 2.0**-5, dtype=torch.float64))
    assert Probe(demanding, small).reasons([tree]) == [NOT_INVARIANT]
