"""Noise on whole configurations, alone and beside formulas."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import wholes
from gp_emq.mqbench import load_bench
from gp_emq.proxies.loading import load_proxy
from gp_emq.ranking import RankedBench
from gp_emq.statistics import default_cache

BENCH = "plain-digits-rtn-channel"
OTHERS = ("plain-digits-rtn-tensor", "mixer-digits-rtn-channel", "wide-digits-rtn-channel")


def rows(**taus: float) -> dict[str, dict[str, float]]:
    """Rows of benches, of one tau everywhere each."""
    names = dict(zip(("one", "two", "three", "four"), (BENCH, *OTHERS), strict=True))
    ways = [
        f"{noise}: {one}"
        for noise in (*wholes.NOISES, wholes.BOTH)
        for one in ("alone", *wholes.FORMULAS)
    ]
    return {names[key]: dict.fromkeys(ways, tau) for key, tau in taus.items()}


def test_means_are_of_kinds_and_parts_stand_apart() -> None:
    found = rows(one=0.2, two=0.4, three=0.7, four=0.9)
    found[BENCH]["none: gp-views"] = 0.6
    lines = wholes.table_of(found)
    assert lines[0].startswith("| noise | alone | × `gp-views` |")
    assert lines[2].split(" | ")[:3] == ["| none", "0.500, 0.900", "0.600, 0.900"]


@pytest.mark.slow
def test_a_bench_is_ranked_by_the_proxies_that_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen here is what `noised_divergence` and `gp-whole` rank by."""
    monkeypatch.setattr(
        wholes, "NOISES", {key: wholes.NOISES[key] for key in ("none", "0.5, four times")}
    )
    whole = load_bench(BENCH)
    kept = {
        name: getattr(whole, name)[:40]
        for name in ("configurations", "accuracies", "correct", "split", "chosen")
    }
    monkeypatch.setattr("gp_emq.ranking._bench.load_bench", lambda _name: replace(whole, **kept))
    found = wholes.measure(BENCH)
    target = RankedBench.load(BENCH, weights=None, data=(), cache=default_cache())
    inputs, bench = target.proxy_inputs(), target.bench
    pairs = np.argwhere(np.triu(target.pairs_at_equal_size(target.indices("all")), 1))
    for way, name in (
        ("none: alone", "plan_divergence"),
        ("0.5, four times: alone", "noised_divergence"),
        (f"{wholes.BOTH}: gp-views", "gp-whole"),
    ):
        scores = load_proxy(name).scores(inputs, bench.configurations)
        signs = [
            np.sign(values[pairs[:, 0]] - values[pairs[:, 1]])
            for values in (scores, bench.oriented)
        ]
        norms = np.sqrt(np.abs(signs[0]).sum() * np.abs(signs[1]).sum())
        assert found[way] == pytest.approx((signs[0] * signs[1]).sum() / norms, abs=1e-6)
