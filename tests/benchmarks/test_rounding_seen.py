"""What is gained by seeing weights as they will be rounded."""

import dataclasses

import pytest

from benchmarks import rounding
from gp_emq.errors import BenchError
from gp_emq.mqbench import load_bench
from gp_emq.networks.zoo import part_of
from gp_emq.networks.zoo._split import TEST
from gp_emq.ranking import RankedBench

BENCH = "plain-digits-adaround-channel"


def test_formulas_that_measure_see_what_is_learned_and_others_do_not(monkeypatch) -> None:
    load = RankedBench.load

    def short(*given, **named):
        target = load(*given, **named)
        protocol = dataclasses.replace(target.inputs.protocol, iterations=20)
        inputs = dataclasses.replace(target.inputs, protocol=protocol)
        return dataclasses.replace(target, inputs=inputs, cache=None)

    monkeypatch.setattr(RankedBench, "load", short)
    found = rounding.measure(BENCH, ["min_max(recipe_divergence)", "mse"])
    assert found["mse", "nearest"] == found["mse", "learned"]
    measured = [found["min_max(recipe_divergence)", seen] for seen in ("nearest", "learned")]
    assert measured[0] != measured[1]
    head, _, row, mean = rounding.table_of({BENCH: found})
    assert head == "| bench | `min_max(recipe_divergence)` | `mse` |"
    assert row.startswith(f"| `{BENCH}` | {measured[0]:.3f}, {measured[1]:.3f} | ")
    assert mean.removeprefix("| mean") == row.removeprefix(f"| `{BENCH}`")


def test_means_are_of_all_benches() -> None:
    taus = {("a", "nearest"): 0.2, ("a", "learned"): 0.4}
    other = {("a", "nearest"): 0.4, ("a", "learned"): 0.8}
    assert rounding.table_of({"one": taus, "two": other})[-1] == "| mean | 0.300, 0.600 |"


def test_benches_that_round_to_nearest_are_refused() -> None:
    with pytest.raises(BenchError, match="plain-digits-rtn-channel rounds to nearest"):
        rounding.measure("plain-digits-rtn-channel", ["mse"])


def test_what_decided_is_of_no_test_network() -> None:
    assert all(part_of(load_bench(name).network) != TEST for name in rounding.BENCHES)
