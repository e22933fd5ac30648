"""Every hand-crafted proxy by name."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from gp_emq.errors import ExpressionError
from gp_emq.proxies._evaluator import Evaluator
from gp_emq.proxies._expression import parse_expression
from gp_emq.proxies._language import language
from gp_emq.proxies.handcrafted import _activation, _one_at_a_time, _outputs
from gp_emq.proxies.handcrafted._formulas import CURVATURE, EVOLVED, GRADIENT, SIZE, WEIGHT
from gp_emq.proxies.handcrafted._proxy import (
    ALIGNED,
    FloatArray,
    HandcraftedProxy,
    Measure,
    ProxyInputs,
)

_FISHER = HandcraftedProxy(
    "fisher",
    "gradient",
    "Fisher pruning's saliency of the channels, times bits",
    "½ Σ (Σ ∇A·A)²·b",
    "Theis et al., Faster gaze prediction with dense networks and Fisher pruning, 2018",
    _activation.fisher,
    needs=("activation", "activation_gradient"),
)

_ACTIVATION = (
    HandcraftedProxy(
        "ompq",
        "activation",
        "orthogonality of the layers' outputs, times bits",
        "mean over later layers of exp(−Σ ORM)·b",
        "Ma et al., OMPQ: Orthogonal mixed precision quantization, 2021",
        _activation.ompq,
        _activation.ompq_as_published,
        needs=("activation",),
    ),
    HandcraftedProxy(
        "qe",
        "activation",
        "entropy of the quantized layer's output",
        "log std(Q_b(W)x)",
        "Sun et al., Entropy-driven mixed-precision quantization, 2022",
        _outputs.quantization_entropy,
        needs=("perturbation",),
    ),
    HandcraftedProxy(
        "output_error",
        "activation",
        "squared change of the layer's output on calibration images",
        "−‖Q_b(W)x − Wx‖²",
        "baseline: layer-wise reconstruction error",
        _outputs.output_error,
        needs=("perturbation",),
    ),
    HandcraftedProxy(
        "relative_output_error",
        "activation",
        "the same, relative to the squared output",
        "−‖Q_b(W)x − Wx‖²/‖Wx‖²",
        "baseline: layer-wise reconstruction error",
        _outputs.relative_output_error,
        needs=("perturbation",),
    ),
    HandcraftedProxy(
        "output_divergence",
        "activation",
        "KL divergence of the network's output, one entry quantized at a time",
        "−KL(p ‖ p_b)",
        "Cai et al., ZeroQ: A novel zero shot quantization framework, 2020",
        _one_at_a_time.output_divergence,
        needs=("perturbation",),
    ),
    HandcraftedProxy(
        "loss_change",
        "activation",
        "change of the loss, one entry quantized at a time",
        "−(L_b − L)",
        "baseline: what practitioners use",
        _one_at_a_time.loss_change,
        needs=("perturbation",),
    ),
    HandcraftedProxy(
        "accuracy_change",
        "activation",
        "change of the accuracy on calibration images, one entry quantized at a time",
        "acc_b − acc",
        "baseline: what practitioners use",
        _one_at_a_time.accuracy_change,
        needs=("perturbation",),
    ),
)

HANDCRAFTED: Mapping[str, HandcraftedProxy] = MappingProxyType(
    {
        proxy.name: proxy
        for proxy in (*SIZE, *CURVATURE, *GRADIENT, _FISHER, *_ACTIVATION, *WEIGHT, *EVOLVED)
    }
)
"""Every hand-crafted proxy, in the order of its family."""

ALIASES: Mapping[str, str] = MappingProxyType({"fit": "fit_trace"})
"""What papers call methods of which there are several."""


def handcrafted_proxy(name: str) -> HandcraftedProxy:
    """Look up a hand-crafted proxy.

    Args:
        name: A key of `HANDCRAFTED`, or `fit` for the published form of FIT, `fit_trace`.

    Raises:
        ExpressionError: There is none of that name.
    """
    try:
        return HANDCRAFTED[ALIASES.get(name, name)]
    except KeyError:
        close = difflib.get_close_matches(name, HANDCRAFTED, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ExpressionError(
            f"unknown proxy {name!r}; {hint}there are {', '.join(HANDCRAFTED)}"
        ) from None


def seed_expressions() -> dict[str, str]:
    """Give the hand-crafted proxies that are expressions, to start searches from.

    Returns:
        Expressions by name; the published form has `-as-published` after its name.
    """
    found: dict[str, str] = {}
    for proxy in HANDCRAFTED.values():
        if isinstance(proxy.aligned, str):
            found[proxy.name] = proxy.aligned
        if isinstance(proxy.as_published, str):
            found[f"{proxy.name}-as-published"] = proxy.as_published
    return found


def handcrafted_table(
    proxy: HandcraftedProxy, inputs: ProxyInputs, form: str = ALIGNED
) -> FloatArray:
    """Compute a proxy's sensitivity table.

    Args:
        proxy: The proxy.
        inputs: What it is computed from.
        form: `"aligned"` or `"as-published"`.

    Returns:
        float64 (entries, bits), oriented; it may hold inf or nan where the formula gives it.
    """
    chosen = proxy.form(form)
    with torch.inference_mode(mode=False), torch.no_grad():
        values: FloatArray = _table(proxy, chosen, inputs).to(torch.float64).numpy()
    return values


def _table(proxy: HandcraftedProxy, chosen: str | Measure, inputs: ProxyInputs) -> Tensor:
    if isinstance(chosen, str):
        tree = parse_expression(chosen, language())
        table = Evaluator(language(), inputs.statistics).table(tree)
        if proxy.unchanged is not None:
            exact = inputs.statistics.tensor("quantization_mse") == 0
            table = table.masked_fill(exact, proxy.unchanged)
        return table
    return chosen(inputs)
