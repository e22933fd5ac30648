"""Every hand-crafted proxy by name."""

from collections.abc import Mapping
from types import MappingProxyType

from gp_emq.errors import ExpressionError
from gp_emq.files import did_you_mean
from gp_emq.proxies._plan_proxy import PlanProxy
from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies.handcrafted import _activation, _one_at_a_time, _outputs, _whole
from gp_emq.proxies.handcrafted._formulas import FORMULAS, known
from gp_emq.proxies.handcrafted._names import ALIASES, DESCRIPTIONS, OF_PLANS

_FUNCTIONS = (
    known(
        "fisher",
        "½ Σ (Σ ∇A·A)²·b",
        "Theis et al., Faster gaze prediction with dense networks and Fisher pruning, 2018",
        _activation.fisher,
        uses=("activation", "activation_gradient"),
    ),
    known(
        "ompq",
        "mean over later layers of exp(−Σ ORM)·b",
        "Ma et al., OMPQ: Orthogonal mixed precision quantization, 2021",
        _activation.ompq,
        _activation.ompq_as_published,
        uses=("activation",),
    ),
    known(
        "qe",
        "log std(Q_b(W)x)",
        "Sun et al., Entropy-driven mixed-precision quantization, 2022",
        _outputs.quantization_entropy,
        uses=("perturbation",),
    ),
    known(
        "output_error",
        "−‖Q_b(W)x − Wx‖²",
        "baseline: layer-wise reconstruction error",
        _outputs.output_error,
        uses=("perturbation",),
    ),
    known(
        "relative_output_error",
        "−‖Q_b(W)x − Wx‖²/‖Wx‖²",
        "baseline: layer-wise reconstruction error",
        _outputs.relative_output_error,
        uses=("perturbation",),
    ),
    known(
        "output_divergence",
        "−KL(p ‖ p_b)",
        "Cai et al., ZeroQ: A novel zero shot quantization framework, 2020",
        _one_at_a_time.output_divergence,
        uses=("perturbation",),
    ),
    known(
        "loss_change",
        "−(L_b − L)",
        "baseline: what practitioners use",
        _one_at_a_time.loss_change,
        uses=("perturbation",),
    ),
    known(
        "accuracy_change",
        "acc_b − acc",
        "baseline: what practitioners use",
        _one_at_a_time.accuracy_change,
        uses=("perturbation",),
    ),
)

RANKING: Mapping[str, PlanProxy] = MappingProxyType({
    "clado": PlanProxy(
        "clado",
        *OF_PLANS["clado"],
        "−½ αᵀGα",
        "Deng et al., Mixed-precision quantization with cross-layer dependencies, 2023",
        "",
        uses=("perturbation",),
        rule=_whole.clado,
    ),
    "plan_divergence": PlanProxy(
        "plan_divergence",
        *OF_PLANS["plan_divergence"],
        "−KL(p ‖ p_plan)",
        "baseline: measuring the configuration itself",
        "",
        uses=("perturbation",),
        rule=_whole.plan_divergence,
    ),
    "noised_divergence": PlanProxy(
        "noised_divergence",
        *OF_PLANS["noised_divergence"],
        "−KL(p̃ ‖ p̃_plan)",
        "baseline: measuring the configuration itself",
        "",
        uses=("perturbation",),
        rule=_whole.noised_divergence,
    ),
})  # fmt: skip
"""Those that score whole configurations, and make no table: much dearer, for ranking alone."""

_KNOWN = {proxy.name: proxy for proxy in (*FORMULAS, *_FUNCTIONS)}

HANDCRAFTED: Mapping[str, Proxy] = MappingProxyType({name: _KNOWN[name] for name in DESCRIPTIONS})
"""Every hand-crafted proxy, in the order of `DESCRIPTIONS`."""


def handcrafted_proxy(name: str) -> Proxy:
    """Look up a hand-crafted proxy.

    Args:
        name: A key of `HANDCRAFTED` or `RANKING`, or `fit` for the published form of FIT,
            `fit_trace`.

    Raises:
        ExpressionError: There is none of that name.
    """
    everything: Mapping[str, Proxy] = {**HANDCRAFTED, **RANKING}
    try:
        return everything[ALIASES.get(name, name)]
    except KeyError:
        raise ExpressionError(
            f"unknown proxy {name!r}; {did_you_mean(name, everything)}"
            f"there are {', '.join(everything)}"
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
