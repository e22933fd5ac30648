"""The researcher's tutorial does what it says."""

import csv
import json
import os
import re
from pathlib import Path

import following
import numpy as np
import pytest
from scipy.stats import spearmanr

from gp_emq.mqbench import read_bench
from gp_emq.store import RunStore, read_hall_of_fame

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("research")
    with following.followed("research.md", folder) as (names, outputs):
        yield folder, names, outputs


def test_the_search_by_command_and_from_python_are_one(followed) -> None:
    folder, names, outputs = followed
    hall = read_hall_of_fame(folder / "first" / "hall_of_fame.json")
    assert hall.best.expression == names["found"].best.expression
    assert hall.best.training_tau == names["found"].best.training
    assert "first" in outputs[2]
    assert "fit_trace" in outputs[2]
    assert (folder / "first.html").read_text().startswith("<!")


def test_the_ablation_is_of_equal_evaluations(followed) -> None:
    folder, _, _ = followed
    with (folder / "ablation" / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["variant"] for row in rows} == {"reference", "tournament", "unscreened"}
    for name in ("reference", "tournament", "unscreened"):
        assert len({row["seed"] for row in rows if row["variant"] == name}) == 2
    assert (folder / "ablation" / "ablation.png").is_file()


def test_the_primitives_of_ones_own_are_searched(followed) -> None:
    folder, _, _ = followed
    with RunStore.open(folder / "signed", readonly=True) as store:
        tried = {row.expression for row in store.individuals()}
    assert any("keep_negative(" in text for text in tried)
    words = set(re.findall(r"[a-z_]+(?=\()", " ".join(tried)))
    assert words <= {"multiply", "square", "abs", "sum", "mean", "keep_negative"}


def test_the_bench_of_ones_own_has_what_its_network_does(followed) -> None:
    folder, names, _ = followed
    bench = read_bench(folder / "blobs.safetensors")
    assert bench.configurations.shape == (60, 4)
    assert bench.accuracies.std() > 0.02
    model, tests = names["workload"].model, names["tests"]
    right = (model(tests.samples).argmax(1) == tests.targets).float().mean().item()
    assert right > bench.accuracies.max() - 0.02 > 0.5
    hall = json.loads((folder / "on-blobs" / "hall_of_fame.json").read_text())
    assert hall["provenance"]["bench"] == bench.name


def test_the_objective_of_ones_own_is_spearmans(followed) -> None:
    _, names, _ = followed
    bench, best, statistics = names["bench"], names["by_rank"].best, names["statistics"]
    table = best.table(statistics)
    at = np.searchsorted(bench.bits, bench.configurations)
    scores = np.asarray(table)[np.arange(bench.configurations.shape[1]), at].sum(axis=1)
    expected = spearmanr(scores[bench.training], bench.accuracies[bench.training]).statistic
    assert best.training == pytest.approx(expected, abs=1e-6)
    assert best.training > 0.3


def test_the_search_for_plans_is_rewarded_by_them(followed) -> None:
    folder, _, _ = followed
    with RunStore.open(folder / "planned", readonly=True) as store:
        tried = [row for row in store.individuals() if row.training_tau is not None]
    # Half of it is tau at equal cost, so that above a half plans must have won something back.
    assert max(row.training_tau for row in tried) > 0.5
    kept = Path(os.environ["GP_EMQ_CACHE"]) / "plans"
    assert sum(path.is_file() for path in kept.rglob("*")) > 2
