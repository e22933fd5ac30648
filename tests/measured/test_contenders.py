"""What races by default: proxies, and the sums of two harms that they are made of."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gp_emq.measured import CONTENDERS, contenders
from gp_emq.measured._names import PAIRED
from gp_emq.proxies.loading import expression_proxy, load_proxy
from gp_emq.statistics import collect_statistics


@pytest.fixture(scope="module")
def statistics():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.ReLU(),
        nn.Linear(5, 3),
    ).eval()  # fmt: skip
    images, labels = torch.randn(16, 1, 6, 6), torch.randint(3, (16,))
    return collect_statistics(model, images, labels, bits=(2, 3, 4))


def test_single_proxies_come_first_and_pairs_need_nothing_that_they_do_not() -> None:
    found = contenders()
    pairs = [f"{one}+{other}" for one, other in itertools.combinations(PAIRED, 2)]
    assert list(found) == [*CONTENDERS, *pairs]
    alone = {name for proxy in map(load_proxy, CONTENDERS) for name in proxy.needs}
    assert {name for proxy in found.values() for name in proxy.needs} == alone


def test_the_harms_of_pairs_are_those_of_the_proxies_that_they_are_named_after(statistics) -> None:
    for name in ("gp-gradient", "fit_diagonal", "fit_trace", "model_optimizer"):
        harm = -expression_proxy(PAIRED[name]).table(statistics)
        own = np.asarray(load_proxy(name).table(statistics))
        assert np.abs(harm) == pytest.approx(np.abs(own))


def test_a_pair_adds_the_roots_of_shares_of_the_range(statistics) -> None:
    def share(name: str) -> np.ndarray:
        # The change of the divergence may have either sign: an expression alone has none.
        harm = np.asarray(replace(expression_proxy(PAIRED[name]), sign=1).table(statistics))
        return (harm - harm.min()) / np.ptp(harm)

    for name, proxy in contenders().items():
        if name not in CONTENDERS:
            one, other = name.split("+")
            expected = -(np.sqrt(share(one)) + np.sqrt(share(other)))
            assert np.asarray(proxy.table(statistics)) == pytest.approx(expected, abs=1e-5)
