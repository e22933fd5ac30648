import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.allocation import kept_in_float
from gp_emq.errors import ExpressionError, StatisticsError
from gp_emq.proxies.handcrafted import HANDCRAFTED
from gp_emq.proxies.loading import load_proxy
from gp_emq.store import HallOfFame, Member, Provenance, write_hall_of_fame


class Attention(nn.Module):
    """A network whose attention packs three projections into one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.positions = nn.Parameter(torch.randn(4, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.head(mixed.mean(dim=1))


@pytest.fixture(scope="module")
def statistics():
    torch.manual_seed(0)
    images = torch.randn(8, 1, 8, 8)
    return gp_emq.collect_statistics(Attention(), images, bits=(2, 3, 4))


def test_importing_the_package_imports_nothing_slow() -> None:
    code = "import sys, gp_emq; assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_listed_and_others_are_missing() -> None:
    assert set(gp_emq.__all__) <= set(dir(gp_emq))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gp_emq.nothing


def test_from_a_network_to_a_plan(statistics) -> None:
    proxy = gp_emq.load_proxy("fit")
    plan = gp_emq.allocate(proxy.table(statistics), statistics.layers, average_bits=3.5)
    parts = [f"attention.{part}_proj" for part in ("q", "k", "v", "out")]
    assert list(plan.widths) == ["patches", *parts, "head"]
    assert plan.measures.average_bits <= 3.5


def test_weights_in_no_layer_are_listed(statistics) -> None:
    model = statistics.origin.network.model
    assert tuple(kept_in_float(model, statistics.layers)) == ("positions",)
    ends = (statistics.layers[0], statistics.layers[-1])
    assert tuple(kept_in_float(model, ends)) == (
        "positions",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    )


def test_only_what_a_proxy_names_is_collected() -> None:
    torch.manual_seed(0)
    fresh = gp_emq.collect_statistics(Attention(), torch.randn(4, 1, 8, 8), bits=(2, 3))
    gp_emq.load_proxy("relative_error").table(fresh)
    assert set(fresh.seconds) <= {"weight", "bits", "quantization_mse"}


@pytest.mark.parametrize("name", ["fit", "hawq_v2", "snip", "ompq", "qe", "loss_change"])
def test_tables_are_finite_and_of_the_right_shape(statistics, name: str) -> None:
    table = load_proxy(name).table(statistics)
    assert table.shape == (6, 3)
    assert table.dtype == np.float64
    assert np.isfinite(table).all()


def test_expressions_are_oriented_by_more_bits(statistics) -> None:
    harm = load_proxy("sum(square(quantization_perturbation))").table(statistics)
    merit = load_proxy("negate(sum(square(quantization_perturbation)))").table(statistics)
    np.testing.assert_array_equal(harm, merit)
    assert (np.diff(harm, axis=1) > 0).all()


def test_a_run_gives_its_formula_and_sign(statistics, tmp_path) -> None:
    member = Member(
        id=1, generation=0, expression="negate(bits)", canonical="negate(bits)", formula="−b",
        size=2, depth=1, training_tau=0.5, validation_tau=0.5, sign=1, best=True,
    )  # fmt: skip
    provenance = Provenance(
        bench="digits", bench_sha256="0", statistics_sha256="0", primitive_set="bit_aware",
        seed=0, generations=1, evaluations=1,
    )  # fmt: skip
    path = tmp_path / "hall_of_fame.json"
    write_hall_of_fame(path, HallOfFame(provenance, (member,)))
    for source in (tmp_path, str(tmp_path), path):
        proxy = load_proxy(source)
        assert proxy.name == tmp_path.name
        np.testing.assert_array_equal(proxy.table(statistics), [[-2, -3, -4]] * 6)


def test_fit_is_the_published_form() -> None:
    assert load_proxy("fit") is HANDCRAFTED["fit_trace"]


def test_a_method_that_runs_the_network_needs_it(statistics) -> None:
    with pytest.raises(StatisticsError, match="loss_change needs the network"):
        load_proxy("loss_change").table(statistics.subsample())


@pytest.mark.parametrize("text", ["nothing", "sum(", "sum(nothing)", ""])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        load_proxy(text)
