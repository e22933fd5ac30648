"""An evolved formula beside what whole configurations are measured to do."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from gp_emq.proxies._forms import EVOLVED
from gp_emq.proxies._inputs import ProxyInputs
from gp_emq.proxies._plan_proxy import PlanProxy
from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies._scores import configuration_scores
from gp_emq.proxies.handcrafted import RANKING

FloatArray = NDArray[np.float64]

_MEASURED = RANKING["plan_divergence"], RANKING["noised_divergence"]


def measured_whole(name: str, description: str, table: Proxy) -> PlanProxy:
    """Give the proxy that multiplies a formula's harm of a configuration by what it measures there.

    Measured is the divergence of the outputs on the calibration images as they are, and on the same
    with noise: which of both tells more depends on how well the network knows these images. What
    layers do to each other is in the measurement alone; what a few hundred images happen to
    show weighs less in the formula, which looks in several ways. The product has no weights, and
    needs none: it ranks alike whatever either is multiplied by.

    Args:
        name: What to call it.
        description: One line.
        table: The formula, whose scores are harms with the opposite sign, none above 0.
    """
    return PlanProxy(
        name,
        EVOLVED,
        description,
        f"−({table.name})·(KL(p ‖ p_plan) + KL(p̃ ‖ p̃_plan))",
        "",
        "",
        uses=table.needs,
        rule=partial(_product, table),
    )


def _product(table: Proxy, inputs: ProxyInputs, configurations: NDArray[np.integer]) -> FloatArray:
    measured = sum(one.rule(inputs, configurations) for one in _MEASURED)
    choices = np.searchsorted(np.asarray(inputs.statistics.bits), configurations)
    harms: FloatArray = -configuration_scores(np.asarray(table.table(inputs)), choices)
    return harms * measured
