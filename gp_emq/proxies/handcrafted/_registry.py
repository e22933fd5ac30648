"""Every hand-crafted proxy by name."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from gp_emq.errors import ExpressionError
from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies.handcrafted import _activation, _one_at_a_time, _outputs
from gp_emq.proxies.handcrafted._formulas import (
    CURVATURE,
    EVOLVED,
    GRADIENT,
    PRACTICE,
    SIZE,
    WEIGHT,
)

_FISHER = Proxy(
    "fisher",
    "gradient",
    "Fisher pruning's saliency of the channels, times bits",
    "½ Σ (Σ ∇A·A)²·b",
    "Theis et al., Faster gaze prediction with dense networks and Fisher pruning, 2018",
    _activation.fisher,
    uses=("activation", "activation_gradient"),
)

_ACTIVATION = (
    Proxy(
        "ompq",
        "activation",
        "orthogonality of the layers' outputs, times bits",
        "mean over later layers of exp(−Σ ORM)·b",
        "Ma et al., OMPQ: Orthogonal mixed precision quantization, 2021",
        _activation.ompq,
        _activation.ompq_as_published,
        uses=("activation",),
    ),
    Proxy(
        "qe",
        "activation",
        "entropy of the quantized layer's output",
        "log std(Q_b(W)x)",
        "Sun et al., Entropy-driven mixed-precision quantization, 2022",
        _outputs.quantization_entropy,
        uses=("perturbation",),
    ),
    Proxy(
        "output_error",
        "activation",
        "squared change of the layer's output on calibration images",
        "−‖Q_b(W)x − Wx‖²",
        "baseline: layer-wise reconstruction error",
        _outputs.output_error,
        uses=("perturbation",),
    ),
    Proxy(
        "relative_output_error",
        "activation",
        "the same, relative to the squared output",
        "−‖Q_b(W)x − Wx‖²/‖Wx‖²",
        "baseline: layer-wise reconstruction error",
        _outputs.relative_output_error,
        uses=("perturbation",),
    ),
    Proxy(
        "output_divergence",
        "activation",
        "KL divergence of the network's output, one entry quantized at a time",
        "−KL(p ‖ p_b)",
        "Cai et al., ZeroQ: A novel zero shot quantization framework, 2020",
        _one_at_a_time.output_divergence,
        uses=("perturbation",),
    ),
    Proxy(
        "loss_change",
        "activation",
        "change of the loss, one entry quantized at a time",
        "−(L_b − L)",
        "baseline: what practitioners use",
        _one_at_a_time.loss_change,
        uses=("perturbation",),
    ),
    Proxy(
        "accuracy_change",
        "activation",
        "change of the accuracy on calibration images, one entry quantized at a time",
        "acc_b − acc",
        "baseline: what practitioners use",
        _one_at_a_time.accuracy_change,
        uses=("perturbation",),
    ),
)

HANDCRAFTED: Mapping[str, Proxy] = MappingProxyType(
    {
        proxy.name: proxy
        for proxy in (
            *SIZE,
            *CURVATURE,
            *GRADIENT,
            _FISHER,
            *_ACTIVATION,
            *WEIGHT,
            *EVOLVED,
            *PRACTICE,
        )
    }
)
"""Every hand-crafted proxy: those of papers by family, then those of tools."""

ALIASES: Mapping[str, str] = MappingProxyType({"fit": "fit_trace"})
"""What papers call methods of which there are several."""


def handcrafted_proxy(name: str) -> Proxy:
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
