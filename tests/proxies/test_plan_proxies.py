"""Proxies of whole configurations, against networks that are quantized one by one, and in numpy."""

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

import gp_emq
from gp_emq.allocate import main as allocate
from gp_emq.errors import StatisticsError
from gp_emq.proxies import PlanProxy, ProxyInputs
from gp_emq.proxies.handcrafted import HANDCRAFTED, OF_PLANS, RANKING, handcrafted_proxy
from gp_emq.proxies.loading import load_proxy
from gp_emq.proxies.shipped import WHOLE
from gp_emq.quantization import WeightQuantizer, fake_quantize
from gp_emq.statistics import StatisticsSettings, open_statistics

NAMES = (*RANKING, *WHOLE)

BITS = (2, 3, 4)
CONFIGURATIONS = np.array([*itertools.product(BITS, repeat=3)])
LAYERS = ("0", "3", "6")
QUANTIZER = WeightQuantizer(per_channel=True)


def made(*, normed: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4) if normed else nn.Identity(), nn.ReLU(),
            nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3),
        ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.arange(12) % 3


def inputs_of(model, images, labels=None, **settings) -> ProxyInputs:
    statistics = gp_emq.collect_statistics(
        model, images, labels, bits=BITS, quantizer=QUANTIZER,
        settings=StatisticsSettings(**settings),
    )  # fmt: skip
    return ProxyInputs(statistics)


def rounded(model: nn.Module, widths: dict[str, int]) -> nn.Module:
    """A copy with some weights rounded to nearest."""
    other = copy.deepcopy(model)
    for name, bits in widths.items():
        layer = other.get_submodule(name)
        parameters = QUANTIZER.parameters(layer.weight.detach(), bits)
        layer.weight.data = fake_quantize(layer.weight.detach(), parameters)
    return other


def log_shares(model: nn.Module, images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return log_softmax(model(images).double().numpy(), axis=1)


def divergence(model: nn.Module, other: nn.Module, images: torch.Tensor) -> float:
    before, after = log_shares(model, images), log_shares(other, images)
    return float((np.exp(before) * (before - after)).sum(axis=1).mean())


def plan_divergences(inputs: ProxyInputs, configurations=CONFIGURATIONS) -> np.ndarray:
    return RANKING["plan_divergence"].scores(inputs, configurations)


def test_a_plan_diverges_as_the_network_that_it_makes(images) -> None:
    model = made()
    expected = [
        -divergence(model, rounded(model, dict(zip(LAYERS, plan, strict=True))), images)
        for plan in CONFIGURATIONS
    ]
    found = plan_divergences(inputs_of(model, images))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("renormed", [False, True])
def test_batch_norms_are_as_the_recipe_leaves_them(images, renormed: bool) -> None:
    """With their own statistics, both networks normalize by the images that go through."""
    model = made(normed=True)
    judged = copy.deepcopy(model).train(renormed)
    expected = [
        -divergence(
            copy.deepcopy(judged), rounded(judged, dict(zip(LAYERS, plan, strict=True))), images
        )
        for plan in CONFIGURATIONS
    ]
    found = plan_divergences(inputs_of(model, images, renormed=renormed))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-8)


def test_learned_weights_are_those_that_count(images) -> None:
    model = made()
    zero = gp_emq.statistics.Rounding("zero", lambda layer, _: torch.zeros(layer.weight_shape))
    statistics = gp_emq.collect_statistics(model, images, bits=BITS, rounding=zero)
    silent = copy.deepcopy(model)
    for name in LAYERS:
        silent.get_submodule(name).weight.data.zero_()
    found = plan_divergences(ProxyInputs(statistics), CONFIGURATIONS[:2])
    np.testing.assert_allclose(found, [-divergence(model, silent, images)] * 2, rtol=1e-4)


def test_one_entry_diverges_as_the_statistic_says(images) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 5)).eval()
    inputs = inputs_of(model, images)
    found = plan_divergences(inputs, np.array([[bits] for bits in BITS]))
    expected = -inputs.statistics.tensor("recipe_divergence")[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("normed", [False, True])
def test_noise_is_on_images_that_count_several_times(images, normed: bool) -> None:
    """Both networks see the same noised images, and batch norms normalize by these."""
    model = made(normed=normed)
    noise = torch.randn((48, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    seen = torch.cat([images] * 4)
    seen = seen + 0.5 * float(seen.numpy().std()) * noise
    judged = copy.deepcopy(model).train(normed)
    expected = [
        -divergence(
            copy.deepcopy(judged), rounded(judged, dict(zip(LAYERS, plan, strict=True))), seen
        )
        for plan in CONFIGURATIONS
    ]
    inputs = inputs_of(model, images, renormed=normed)
    found = RANKING["noised_divergence"].scores(inputs, CONFIGURATIONS)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-8)
    again = RANKING["noised_divergence"].scores(inputs, CONFIGURATIONS[::-1].copy())
    np.testing.assert_allclose(again, found[::-1], rtol=1e-12)


def test_indices_have_no_noise(images) -> None:
    del images
    words = torch.arange(60).reshape(12, 5) % 7
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(20, 3)).eval()
    inputs = inputs_of(model, words)
    plans = np.array([*itertools.product(BITS, repeat=2)])
    found = [
        RANKING[name].scores(inputs, plans) for name in ("noised_divergence", "plan_divergence")
    ]
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_the_whole_formula_multiplies_a_table_by_what_is_measured(images) -> None:
    inputs = inputs_of(made(), images)
    table = np.asarray(load_proxy("gp-views").table(inputs))
    measured = sum(
        RANKING[name].scores(inputs, CONFIGURATIONS)
        for name in ("plan_divergence", "noised_divergence")
    )
    expected = [
        sum(table[entry, BITS.index(bits)] for entry, bits in enumerate(plan)) * lost
        for plan, lost in zip(CONFIGURATIONS, measured, strict=True)
    ]
    proxy = load_proxy("gp-whole")
    assert isinstance(proxy, PlanProxy)
    assert proxy.needs == load_proxy("gp-views").needs
    found = proxy.scores(inputs, CONFIGURATIONS)
    np.testing.assert_allclose(found, -np.array(expected), rtol=1e-12)
    assert (found <= 0).all()


@pytest.mark.parametrize("labelled", [True, False])
def test_clado_is_what_pairs_come_to_in_numpy(images, labels, labelled: bool) -> None:
    model = made()
    answers = labels.numpy() if labelled else log_shares(model, images).argmax(axis=1)

    def loss(widths: dict[str, int]) -> float:
        shares = log_shares(rounded(model, widths), images)
        return -float(shares[np.arange(len(images)), answers].mean())

    options = [(name, bits) for name in LAYERS for bits in BITS]
    plain = loss({})
    matrix = np.zeros((9, 9))
    for row, (one, at_one) in enumerate(options):
        alone = loss({one: at_one}) - plain
        matrix[row, row] = 2 * alone
        for column, (other, at_other) in enumerate(options):
            if other != one:
                both = loss({one: at_one, other: at_other}) - plain
                matrix[row, column] = both - alone - (loss({other: at_other}) - plain)
    values, vectors = np.linalg.eigh(matrix)
    assert values.min() < 0  # so that leaving out what is negative counts
    matrix = sum(value * np.outer(v, v) for value, v in zip(values, vectors.T) if value > 0)  # noqa: B905
    expected = []
    for plan in CONFIGURATIONS:
        widths = dict(zip(LAYERS, plan, strict=True))
        chosen = np.array([float(bits == widths[name]) for name, bits in options])
        expected.append(-chosen @ matrix @ chosen / 2)
    given = inputs_of(model, images, labels if labelled else None)
    found = RANKING["clado"].scores(given, CONFIGURATIONS)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", RANKING)
def test_they_are_known_by_name(name: str) -> None:
    proxy = load_proxy(name)
    assert proxy is handcrafted_proxy(name)
    assert (proxy.family, proxy.description) == OF_PLANS[name]
    assert name not in HANDCRAFTED


@pytest.mark.parametrize("name", NAMES)
def test_they_rank_and_make_no_table(images, name: str, tmp_path) -> None:
    proxy = load_proxy(name)
    assert isinstance(proxy, PlanProxy)
    statistics = gp_emq.collect_statistics(made(), images, bits=BITS, cache=tmp_path)
    with pytest.raises(StatisticsError, match=f"{name} scores whole configurations and has no"):
        proxy.table(statistics)
    statistics.prepare(proxy.needs)
    with pytest.raises(StatisticsError, match="needs the network beside its statistics"):
        proxy.scores(ProxyInputs(open_statistics(statistics.folder)), CONFIGURATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_no_plan_is_made_by_them(name: str, capsys) -> None:
    given = ["--network", "plain-digits", "--bits", "2,3", "--average-bits", "2.5"]
    with pytest.raises(StatisticsError, match=r"gp_emq\.rank takes it"):
        allocate([*given, "--images", "16", "--proxy", name, "--no-plot"])
    assert capsys.readouterr().out == ""
