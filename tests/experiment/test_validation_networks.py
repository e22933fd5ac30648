"""The formula that a run recommends by networks that it has not searched on."""

from pathlib import Path

import numpy as np
import pytest

from analysis.reporting import report_page
from gp_emq.correlation import kendall_tau
from gp_emq.errors import GpEmqError, RunError
from gp_emq.experiment import Execution, Result, RunConfiguration, run
from gp_emq.experiment._validation import Judged, shortest_of_the_best
from gp_emq.experiment.report import summary_lines
from gp_emq.mqbench import load_bench
from gp_emq.proxies import configuration_scores
from gp_emq.proxies.loading import load_proxy
from gp_emq.ranking import RankedBench
from gp_emq.statistics import default_cache
from gp_emq.store import read_hall_of_fame

OTHER = "plain-digits-rtn-channel"


def searched(folder: Path, **settings: object) -> RunConfiguration:
    configuration = RunConfiguration(
        population=24, primitives="weights_only", max_size=12, **settings
    )
    execution = Execution(folder=folder, generations=3, figures=False, quiet=True)
    return run(configuration, execution)


def judged(size: int, taus: tuple[float, ...] | None, error: float = 0.02) -> Judged:
    return Judged(["node"] * size, taus, error)


@pytest.mark.parametrize(
    ("front", "chosen"),
    [
        # Within 0.02 of 0.70 are 0.69 and 0.68; of those the shortest has 7 nodes.
        ([(5, 0.67), (7, 0.685), (9, 0.69), (12, 0.70)], 7),
        ([(5, 0.60), (12, 0.70)], 12),
        ([(9, 0.69), (9, 0.70)], 9),
        ([(3, None), (9, 0.1)], 9),
    ],
)
def test_the_shortest_within_one_standard_error_is_chosen(front, chosen) -> None:
    # By two benches each, so that it is the means that are compared.
    members = [judged(size, None if tau is None else (tau - 0.1, tau + 0.1)) for size, tau in front]
    found = shortest_of_the_best(members)
    assert len(found.individual) == chosen
    assert found.mean == pytest.approx(max(t for s, t in front if s == chosen))


def test_a_front_without_tables_recommends_nothing() -> None:
    with pytest.raises(RunError, match="none of the formulas"):
        shortest_of_the_best([judged(3, None), judged(4, None)])


def test_a_run_recommends_by_what_its_formulas_do_elsewhere(tmp_path) -> None:
    result = searched(tmp_path / "run", validate_on=(OTHER,))
    plain = searched(tmp_path / "plain")
    hall = read_hall_of_fame(tmp_path / "run")
    assert [one.expression for one in hall.members] == [
        one.expression for one in read_hall_of_fame(tmp_path / "plain").members
    ]
    bench = load_bench(OTHER)
    inputs = RankedBench.load(OTHER, weights=None, data=[], cache=default_cache()).proxy_inputs()
    choices = np.searchsorted(np.asarray(bench.bits), bench.configurations)
    taus = {}
    for formula in result.formulas:
        scores = configuration_scores(np.asarray(formula.table(inputs.statistics)), choices)
        taus[formula.expression] = kendall_tau(scores, bench.oriented)
    best = max(taus, key=taus.__getitem__)
    said = result.summary["validation_networks"]
    assert said["taus"] == {OTHER: pytest.approx(taus[hall.best.expression], abs=1e-9)}
    sizes = {one.expression: one.size for one in hall.members}
    error = said["standard_error"]
    assert 0.01 < error < 0.1
    # The standard error is the best one's, which may differ a little from the chosen one's.
    assert taus[hall.best.expression] >= taus[best] - 2 * error
    assert sizes[hall.best.expression] <= sizes[best]
    for name, tau in said["rivals"].items():
        scores = configuration_scores(np.asarray(load_proxy(name).table(inputs)), choices)
        assert tau == pytest.approx(kendall_tau(scores, bench.oriented), abs=1e-9)
    assert said["rivals"].keys() == {"fit_trace", "hawq_v2", "model_optimizer"}
    text = "\n".join(summary_lines(result, []))
    assert f"hand-made proxies on the same: fit_trace {said['rivals']['fit_trace']:.3f}" in text
    assert "shortest within one standard error of the best on 1 bench of" in text
    assert "validation_networks" not in plain.summary
    unasked = "other networks had no say"
    assert unasked not in text
    assert unasked in "\n".join(summary_lines(plain, []))


def test_a_bench_counts_once(tmp_path) -> None:
    with pytest.raises(RunError, match=f"names a bench twice: {OTHER} {OTHER}"):
        searched(tmp_path / "run", validate_on=(OTHER, OTHER))


@pytest.mark.parametrize(
    ("searched_on", "validated_on", "complaint"),
    [
        ("plain-digits-rtn-channel", "plain-digits-rtn-tensor", "takes benches of other networks"),
        ("digits", "transformer-digits-rtn-channel", "a test network"),
        ("digits", "no-such-bench", "no-such-bench"),
    ],
)
def test_what_cannot_validate_is_refused_before_the_search(
    searched_on, validated_on, complaint, tmp_path
) -> None:
    with pytest.raises(GpEmqError, match=complaint) as caught:
        searched(tmp_path / "run", bench=searched_on, validate_on=(validated_on,))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


VALIDATION = (OTHER, "wide-digits-rtn-channel")


def fitted(folder: Path, **settings: object) -> Result:
    """Run a search that finds a formula whose constants help in training."""
    configuration = RunConfiguration(
        population=3,
        primitives="weights_only",
        max_size=12,
        seed_proxies=("sum(square(quantization_perturbation))", "quantization_mse"),
        validate_on=VALIDATION,
        **settings,
    )
    execution = Execution(folder=folder, generations=1, figures=False, quiet=True)
    return run(configuration, execution)


def test_a_formula_with_constants_is_recommended_where_it_pays(tmp_path, monkeypatch) -> None:
    # One that is better in training alone stays out, and all is as it is without.
    plain, unsure = (
        fitted(tmp_path / name, fit_constants=fits)
        for name, fits in (("plain", False), ("unsure", True))
    )
    (said,) = unsure.summary["constants"]
    assert said["training"] > said["before"] + 0.02
    assert not said["pays"]
    halls = [(tmp_path / name / "hall_of_fame.json").read_text() for name in ("plain", "unsure")]
    assert halls[0] == halls[1]
    assert "  constants do not pay: training 0." in "\n".join(summary_lines(unsure, []))

    # As if whatever is better in training did pay.
    monkeypatch.setattr("gp_emq.experiment._fitting.SURE", -np.inf)
    result = fitted(tmp_path / "sure", fit_constants=True)
    assert result.summary["constants"] == [{**said, "pays": True}]
    best = read_hall_of_fame(tmp_path / "sure").best
    assert best.expression == said["expression"] != plain.best.expression
    assert result.best.training == said["training"]
    assert len(result.formulas) == len(plain.formulas) + 1
    assert load_proxy(tmp_path / "sure").expression == best.expression
    lines = "\n".join(summary_lines(result, []))
    assert "with fitted constants, which pay on 2 benches of validation networks" in lines
    page = report_page([tmp_path / "sure"])
    assert "Recommended with constants, which were fitted" in page
    assert "--fit-constants" in page

    # A run that was stopped meanwhile comes to the same.
    first = (tmp_path / "sure" / "hall_of_fame.json").read_text()
    (tmp_path / "sure" / "hall_of_fame.json").unlink()
    assert fitted(tmp_path / "sure", fit_constants=True).summary == result.summary
    assert (tmp_path / "sure" / "hall_of_fame.json").read_text() == first


def test_constants_are_not_fitted_where_one_network_would_judge(tmp_path) -> None:
    with pytest.raises(RunError, match="of two networks at least"):
        searched(tmp_path / "run", validate_on=(OTHER,), fit_constants=True)
