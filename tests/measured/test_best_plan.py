"""The best plan in one call is the one that the command makes."""

import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.allocate import main
from gp_emq.allocation import CostSettings, load_plan
from gp_emq.errors import AllocationError, DataError
from gp_emq.measured import Certificate, MeasureOptions
from gp_emq.measured._certificate import Line
from gp_emq.measured._race import Difference
from gp_emq.measured._text import format_certificate
from gp_emq.networks import Granularity
from gp_emq.ptq import Measured

MODULE = """
import gp_emq
import torch
from torch import nn

def tables():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 6))
    return gp_emq.Workload(model, torch.randn(160, 16))
"""  # noqa: E501
PROXIES = ("fit_trace", "relative_error", "model_optimizer")


@pytest.fixture
def tables(tmp_path, monkeypatch):
    (tmp_path / "of_tables.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    return __import__("of_tables").tables()


def test_the_call_makes_the_plan_of_the_command(tables, tmp_path, capsys) -> None:
    line = ["--workload", "of_tables:tables", "--bits", "2,3,4", "--choices", "4=3,8"]
    line += ["--average-bits", "3.2", "--fix", "0=4", "--measure", "5", "--no-plot"]
    for name in PROXIES:
        line += ["--proxy", name]
    assert main([*line, "--out", str(tmp_path / "plan.json")]) == 0
    expected, said = load_plan(tmp_path / "plan.json"), capsys.readouterr().out
    found = gp_emq.best_plan(
        tables, average_bits=3.2, fix={"0": 4}, choices={"4": (3, 8)}, proxies=PROXIES,
        measuring=MeasureOptions(measure=5),
    )  # fmt: skip
    assert found.plan.widths == expected.widths
    assert found.plan.provenance["raced"] == expected.provenance["raced"]
    assert found.text in said
    assert found.certificate.verdict == "ACCEPT"
    assert "on 40 samples that chose nothing" in found.text


@pytest.mark.parametrize(
    ("metric", "drop", "lost"),
    [
        ("top-1", -1e-7, "0.0000"), ("top-1", 0.0, "0.0000"), ("top-1", -0.02, "-0.0200"),
        ("top-1", 0.01, "0.0100"), ("metres", 0.000012345, "1.234e-05"), ("metres", 0.0, "0"),
        ("metres", -0.0, "0"),
    ],
)  # fmt: skip
def test_a_certificate_is_written_in_the_digits_of_its_metric(metric, drop, lost) -> None:
    certificate = Certificate(
        network="own", method="rtn", loss="divergence", metric=metric, images=3, labelled=True,
        gap=0.0, lines=(), next_best=(), max_drop=None, drop=drop, verdict="ACCEPT",
    )  # fmt: skip
    assert f"{metric} lost {lost}, and no" in format_certificate(certificate)


@pytest.mark.parametrize(
    ("value", "low", "high", "higher_is_better", "loses"),
    [
        (-0.03, -0.05, -0.01, True, True), (-0.03, -0.07, 0.01, True, False),
        (0.03, 0.01, 0.05, True, False), (0.03, 0.01, 0.05, False, True),
        (-0.03, -0.05, -0.01, False, False), (0.0, 0.0, 0.0, True, False),
        (-0.03, None, None, True, False), (None, None, None, True, False),
    ],
)  # fmt: skip
def test_a_plan_loses_where_the_interval_says_so(value, low, high, higher_is_better, loses) -> None:
    change = None if value is None else Measured(value, low, high)
    drop = value if value is None or not higher_is_better else -value
    line = Line("plan", (2,), Difference(0.1, 0, 0.2, 0.05), None, change)
    certificate = Certificate(
        network="own", method="rtn", loss="divergence", metric="top-1", images=3, labelled=True,
        gap=0.0, lines=(line,), next_best=(),
        max_drop=None, drop=drop, verdict="ACCEPT",
    )  # fmt: skip
    assert certificate.loses == loses


def test_bytes_count_what_belongs_to_no_layer(tables) -> None:
    settings = CostSettings(granularity=Granularity(per_channel=True, group=8))
    found = gp_emq.best_plan(tables, size_bytes=900, settings=settings, proxies=["relative_error"])
    quantized = gp_emq.quantize(tables, found.plan, method="rtn")
    assert found.plan.scale_group == 8
    assert found.plan.targets[0].achieved <= 900
    for row in quantized.network[0].weight.detach():
        levels = 2 ** found.plan.widths["0"]
        assert all(len(group.unique()) <= levels for group in row.reshape(2, 8))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no budget: give at least one of size, average bits"),
        ({"average_bits": 1}, "cannot be met"),
        ({"average_bits": 3, "proxies": ["fitt"]}, "no proxy 'fitt': did you mean 'fit'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tables, given, said) -> None:
    with pytest.raises(gp_emq.errors.GpEmqError, match=said) as error:
        gp_emq.best_plan(tables, **{"proxies": ["relative_error"], **given})
    assert "\n" not in str(error.value)


def test_samples_are_needed_and_not_given_twice(tables) -> None:
    network = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(DataError, match="there are no images"):
        gp_emq.best_plan(network, average_bits=3)
    with pytest.raises(DataError, match="a workload brings its samples along"):
        gp_emq.best_plan(tables, torch.zeros(4, 16), average_bits=3)
    with pytest.raises(AllocationError, match="at least 32"):
        gp_emq.best_plan(network, torch.randn(40, 4), average_bits=3, proxies=["relative_error"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"costs": [1]}, "costs has int: give gp_emq.allocation.CostTable"),
        ({"settings": 3}, "settings is int: give gp_emq.allocation.CostSettings"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(tables, given, said) -> None:
    layers = gp_emq.networks.find_layers(tables.model, tables.samples)
    scores = [[-3.0, -2.0, -1.0]] * len(layers)
    with pytest.raises(AllocationError, match=said):
        gp_emq.allocate(scores, layers, bits=(2, 3, 4), average_bits=3, **given)
    with pytest.raises(AllocationError, match=said):
        gp_emq.best_plan(tables, average_bits=3, **given)
    with pytest.raises(AllocationError, match=r"measuring is dict: .*MeasureOptions"):
        gp_emq.best_plan(tables, average_bits=3, measuring={"measure": 3})
    with pytest.raises(AllocationError, match="give its path, not int"):
        gp_emq.load_plan(3)
