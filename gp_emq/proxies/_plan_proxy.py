"""A proxy of whole configurations, in which layers are no terms of a sum."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.errors import StatisticsError
from gp_emq.proxies._inputs import ProxyInputs
from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies._table import SensitivityTable
from gp_emq.statistics import Statistics

FloatArray = NDArray[np.float64]

PlanRule = Callable[[ProxyInputs, NDArray[np.integer]], FloatArray]
"""A function that scores configurations, (n, entries), higher is better: float64 (n,)."""


@dataclass(frozen=True, kw_only=True)
class PlanProxy(Proxy):
    """A proxy that scores configurations whole: it ranks them, and has no table to plan by.

    Attributes:
        rule: Scores configurations.
    """

    rule: PlanRule

    def scores(self, given: ProxyInputs, configurations: NDArray[np.integer]) -> FloatArray:
        """Score configurations.

        Args:
            given: The network's statistics, with the network.
            configurations: One of the statistics' widths per entry, (n, entries).

        Returns:
            (n,), oriented: a higher one predicts a higher accuracy.

        Raises:
            StatisticsError: The statistics were read from disk, without the network.
        """
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.rule(given, configurations)

    def table(
        self,
        given: Statistics | ProxyInputs,  # noqa: ARG002 - as any proxy is called
        *,
        cache: Path | None = None,  # noqa: ARG002
    ) -> SensitivityTable:
        """Refuse: there is no table.

        Raises:
            StatisticsError: Always.
        """
        raise StatisticsError(
            f"{self.name} scores whole configurations and has no table of layers and widths to "
            "plan by: gp_emq.rank takes it, and gp_emq.allocate --measure measures plans"
        )
