"""A proxy is one class, whoever found it: what it needs, its orientation, and its kept tables."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gp_emq.errors import StatisticsError
from gp_emq.proxies import AS_PUBLISHED, Proxy, ProxyInputs
from gp_emq.proxies.handcrafted import HANDCRAFTED
from gp_emq.proxies.loading import expression_proxy, load_proxy
from gp_emq.statistics import collect_statistics, open_statistics

FORMS = [
    pytest.param(proxy.form(form), id=f"{proxy.name}-{form}")
    for proxy in HANDCRAFTED.values()
    for form in ("aligned", AS_PUBLISHED)
    if form == "aligned" or proxy.as_published is not None
]


@pytest.fixture(scope="module")
def collected():
    """Statistics of a small network, computed when they are asked for."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 3)
    )
    images = torch.randn(4, 1, 6, 6)
    return lambda **kept: collect_statistics(model, images, bits=(2, 4), **kept)


def widest_first(inputs: ProxyInputs) -> torch.Tensor:
    """A rival of one's own: the fewer weights an entry has, the dearer its bits are."""
    statistics = inputs.statistics
    return statistics.tensor("bits") / statistics.tensor("parameter_count")[:, None]


RIVAL = Proxy(
    "rival",
    "size",
    "bits per weight",
    "b/n",
    "a test",
    widest_first,
    uses=("bits", "parameter_count"),
)


@pytest.mark.parametrize("proxy", [*FORMS, pytest.param(RIVAL, id="rival")])
def test_a_proxy_needs_what_it_says_and_nothing_else(collected, proxy: Proxy) -> None:
    statistics = collected()
    statistics.prepare(proxy.needs)
    prepared = set(statistics.seconds)
    proxy.table(statistics)
    # The widths are no statistic of a network.
    assert set(statistics.seconds) - {"bits"} == prepared - {"bits"}


def test_a_rival_is_one_record(collected) -> None:
    statistics = collected()
    table = RIVAL.table(statistics)
    counts = np.array([3 * 9 + 3, 2 * 27 + 2, 8 * 3 + 3])
    np.testing.assert_allclose(table, np.array([2, 4]) / counts[:, None])
    assert (table.proxy, table.formula, table.expression) == ("rival", "b/n", "")
    assert RIVAL.is_handcrafted
    np.testing.assert_array_equal(replace(RIVAL, sign=-1).table(statistics), -np.asarray(table))


def test_an_expression_may_have_a_name() -> None:
    for text, name in (("mine = negate(bits)", "mine"), ("negate(bits)", "expression")):
        for proxy in (load_proxy(text), expression_proxy(text)):
            assert (proxy.name, proxy.formula, proxy.needs) == (name, "−b", ("bits",))
            assert not proxy.is_handcrafted


def test_each_form_and_sign_has_a_kept_table_of_its_own(collected, tmp_path) -> None:
    statistics = collected(cache=tmp_path)
    known = load_proxy("hawq_v2")
    found = load_proxy("times_bits(mean(weight))")
    kinds = [
        known,
        known.form(AS_PUBLISHED),
        found,
        replace(found, sign=1),
        replace(found, sign=-1),
    ]
    kinds += [load_proxy("ompq"), load_proxy("ompq").form(AS_PUBLISHED)]
    expected = [np.asarray(one.table(statistics)) for one in kinds]
    for _ in range(2):
        for one, table in zip(kinds, expected, strict=True):
            assert np.array_equal(one.table(statistics, cache=tmp_path), table)
    assert len(list(tmp_path.glob("*/tables/*"))) == len(kinds)


def test_a_kept_table_is_read_and_not_computed(collected, tmp_path, monkeypatch) -> None:
    statistics = collected(cache=tmp_path)
    table = load_proxy("loss_change").table(statistics, cache=tmp_path)
    monkeypatch.setattr(Proxy, "_values", None)
    assert np.array_equal(load_proxy("loss_change").table(statistics, cache=tmp_path), table)


def test_no_table_of_a_users_code_is_kept(collected, tmp_path) -> None:
    RIVAL.table(collected(cache=tmp_path), cache=tmp_path)
    assert not list(tmp_path.glob("*/tables"))


def test_methods_that_run_no_network_work_on_statistics_from_disk(collected, tmp_path) -> None:
    statistics = collected(cache=tmp_path)
    for name in ("fisher", "emq"):
        table = load_proxy(name).table(statistics)
        opened = open_statistics(statistics.folder)
        assert np.array_equal(load_proxy(name).table(opened), table)
    with pytest.raises(StatisticsError, match="proxy qe needs the network"):
        load_proxy("qe").table(open_statistics(statistics.folder))
