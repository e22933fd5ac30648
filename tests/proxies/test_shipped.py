"""The evolved formulas that ship: what they need, and that they are what their searches found."""

import numpy as np
import pytest

from gp_emq import collect_statistics
from gp_emq.networks import load_network
from gp_emq.networks._images import load_calibration
from gp_emq.proxies.loading import load_proxy, shipped_proxy
from gp_emq.proxies.shipped import shipped_files

NAMES = (
    "gp-data-free", "gp-divergence", "gp-forward", "gp-gradient", "gp-measured", "gp-views",
)  # fmt: skip


@pytest.fixture(scope="module")
def statistics():
    network = load_network("digits")
    images = load_calibration("digits", count=32, seed=0).images
    return collect_statistics(network.model, images, bits=(2, 3, 4), layers=network.layers)


def test_these_ship() -> None:
    assert tuple(shipped_files()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_formula_that_ships_says_how_harmful_each_width_is(name, statistics) -> None:
    """More is better: a table sums up to how good a configuration is."""
    table = np.asarray(load_proxy(name).table(statistics))
    assert table.shape == (len(statistics.layers), 3)
    assert np.isfinite(table).all()
    means = table.mean(axis=0)
    assert means[0] < means[1] < means[2]


def test_needs_are_what_the_names_say() -> None:
    needs = {name: set(shipped_proxy(name).needs) for name in NAMES}
    assert {"measured_divergence", "recipe_divergence_low"} <= needs["gp-measured"]
    assert needs["gp-divergence"] == {
        "recipe_divergence", "recipe_divergence_low", "curvature_form",
    }  # fmt: skip
    assert not any(one.startswith("measured") for one in needs["gp-gradient"])
    assert needs["gp-views"] == needs["gp-gradient"] | {
        "recipe_divergence", "recipe_divergence_low",
    }  # fmt: skip
    assert not any("gradient" in one or "curvature" in one for one in needs["gp-forward"])
    weights_alone = {"bits", "depth", "macs", "parameter_count", "quantization_mse"}
    assert needs["gp-data-free"] <= weights_alone


def test_the_measured_formula_is_its_terms(statistics) -> None:
    """By hand: what one width does around the lowest network, and around the float one."""
    found = np.asarray(load_proxy("gp-measured").table(statistics))
    low, alone, second = (
        statistics.tensor(name).double().numpy()
        for name in ("recipe_divergence_low", "measured_divergence", "curvature_form")
    )

    def scaled(values):
        return (values - values.min()) / (values.max() - values.min())

    assert (alone >= 0).all()
    assert (second >= 0).all()
    expected = -(scaled(np.sqrt(second) + np.sqrt(alone)) + scaled(low))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_divergence_formula_is_its_terms(statistics) -> None:
    """By hand: what one width does around the float network levels off, around the lowest not."""
    found = np.asarray(load_proxy("gp-divergence").table(statistics))
    low, alone, second = (
        statistics.tensor(name).double().numpy()
        for name in ("recipe_divergence_low", "recipe_divergence", "curvature_form")
    )
    scaled = (second - second.min()) / (second.max() - second.min())
    inner = scaled + (alone - alone.mean()) / alone.std()
    expected = -(low + 1 / (1 + np.exp(-inner)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_formula_of_three_views_scales_and_adds_them(statistics) -> None:
    """By hand: around the float network, around the lowest, and what the gradient formula says."""
    found = np.asarray(load_proxy("gp-views").table(statistics))
    views = [
        statistics.tensor("recipe_divergence").double().numpy(),
        statistics.tensor("recipe_divergence_low").double().numpy(),
        -np.asarray(load_proxy("gp-gradient").table(statistics)),
    ]
    expected = -sum((view - view.min()) / (view.max() - view.min()) for view in views)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
