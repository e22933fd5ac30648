"""Statistics are the same whoever collects them, and nothing is collected twice."""

import pytest

from gp_emq.errors import StatisticsError
from gp_emq.experiment import RunConfiguration
from gp_emq.experiment._collecting import StatisticsJob, shared_out
from gp_emq.experiment._setting import load_setting
from gp_emq.farm import FarmSettings
from gp_emq.statistics import default_cache

SEVERAL = (
    "weight_gradient", "fisher_diagonal", "activation", "output_change", "quantization_mse",
    "output_change_energy", "parameter_count",
)  # fmt: skip
"""Of every kind: of weights and of activations, with widths and without, tables and vectors."""


@pytest.mark.slow
def test_workers_collect_what_one_process_does(write_set, tmp_path, monkeypatch) -> None:
    own = write_set(statistics=SEVERAL, operators=["multiply", "square", "sum", "times_bits"])
    setting = load_setting(RunConfiguration(bench="digits", primitives=own))
    found, times = [], []
    for name, jobs in (("alone", 1), ("together", 2)):
        monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / name))
        (statistics,) = setting.collect(FarmSettings(jobs=jobs))
        assert all(statistics.is_stored(name) for name in setting.statistic_names)
        found.append(statistics.content_sha256(setting.statistic_names))
        times.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")})
    assert found[0] == found[1]
    # Collected once, they are read from then on.
    setting.collect(FarmSettings(jobs=2))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == times[1]


def test_what_is_made_of_others_is_not_shared_out_and_the_dearest_come_first() -> None:
    names = ["activation", "hessian_diagonal", "hessian_top_eigenvalue", "hessian_trace",
             "perturbation", "quantization_mse"]  # fmt: skip
    assert shared_out(names) == [
        "hessian_top_eigenvalue", "hessian_diagonal", "activation", "perturbation",
    ]  # fmt: skip
    assert shared_out(["quantization_mse", "hessian_trace"]) == [
        "hessian_trace", "quantization_mse"
    ]  # fmt: skip


def test_a_statistic_that_is_lost_again_and_again_ends_the_run() -> None:
    job = StatisticsJob("digits", default_cache())
    with pytest.raises(StatisticsError, match="'macs' could not be collected: worker died"):
        job.failed("macs", "worker died")
