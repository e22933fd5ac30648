"""Trees as sympy expressions, against what the tensors come to."""

import math

import pytest
import sympy

from gp_emq.proxies import language, parse_expression
from gp_emq.proxies.symbols import as_latex, to_sympy
from primitives import BitTable, LayerVector

VALUES = {"tr H": -0.7, "λ": 1.3, "n": 12.0, "m": 40.0, "d": 2.0, "b": 3.0}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("add(hessian_trace, macs)", -0.7 + 40),
        ("subtract(hessian_trace, macs)", -0.7 - 40),
        ("divide(hessian_top_eigenvalue, bits)", 1.3 / 3),
        ("power(hessian_trace, 0.5)", -math.sqrt(0.7)),
        ("power(hessian_trace, -2.0)", -(0.7**-2)),
        ("power(hessian_trace, 1.4)", -(0.7**1.4)),
        ("add(macs, scaled(hessian_trace, 0.35))", 40 - 0.245),
        ("sqrt(hessian_trace)", 0.0),
        ("relu(hessian_trace)", 0.0),
        ("log_abs(hessian_trace)", math.log(0.7)),
        ("sigmoid(hessian_trace)", 1 / (1 + math.exp(0.7))),
        ("square(negate(hessian_trace))", 0.49),
        ("times_bits(hessian_trace)", -2.1),
        ("multiply(sign(hessian_trace), exp(abs(hessian_trace)))", -math.exp(0.7)),
    ],
)
def test_arithmetic_is_exact(expression: str, value: float) -> None:
    kind = BitTable if "bits" in expression else LayerVector
    found = to_sympy(parse_expression(expression, language(), kind), language())
    numbers = {symbol: VALUES[symbol.name] for symbol in found.free_symbols}
    assert float(found.subs(numbers)) == pytest.approx(value, abs=1e-12)


def test_what_needs_a_whole_tensor_is_a_function() -> None:
    tree = parse_expression("mean(square(quantization_perturbation))", language())
    found = to_sympy(tree, language())
    assert found.func.__name__ == "mean"
    assert found.args[0] == sympy.Symbol("ΔW", real=True) ** 2


@pytest.mark.parametrize(
    ("expression", "latex"),
    [
        (
            "sum(multiply(fisher_diagonal, square(quantization_perturbation)))",
            r"\sum\left(\operatorname{diag} F \left(\Delta W\right)^{2}\right)",
        ),
        ("divide(hessian_top_eigenvalue, bits)", r"\frac{\lambda }{b}"),
        ("times_bits(frobenius_norm(weight_gradient))", r"b \left\lVert \nabla W \right\rVert"),
    ],
)
def test_latex(expression: str, latex: str) -> None:
    assert as_latex(to_sympy(parse_expression(expression, language()), language())) == latex
