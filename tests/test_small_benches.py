"""Benches with splits of none or one, or accuracies all equal: a reason instead of a number."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gp_emq import bench as bench_command
from gp_emq import rank as rank_command
from gp_emq import run as run_command
from gp_emq.command import exit_status
from gp_emq.mqbench import Bench, bench_quality, load_bench, write_bench

NONE_FOR_TRAINING = (0, 6, 8)
NONE_FOR_TEST = (10, 5, 0)
ONE_FOR_TEST = (10, 5, 1)
NONE_FOR_VALIDATION = (8, 0, 8)


def small(counts: tuple[int, int, int], accuracies: np.ndarray | None = None) -> Bench:
    """The first configurations of the bench of digits, split as asked."""
    whole, count = load_bench("digits"), sum(counts)
    assert whole.correct is not None
    return replace(
        whole,
        configurations=whole.configurations[:count],
        accuracies=whole.accuracies[:count] if accuracies is None else accuracies,
        correct=whole.correct[:count] if accuracies is None else None,
        split=np.repeat([0, 1, 2], counts).astype(np.int8),
    )


@pytest.fixture
def file(tmp_path: Path):
    def written(bench: Bench) -> str:
        path = tmp_path / "small.safetensors"
        write_bench(bench, path)
        return str(path)

    return written


def lines_of(capsys: pytest.CaptureFixture[str], main, *arguments: str) -> tuple[int, list[str]]:
    """The status, and the lines of both streams together."""
    status = exit_status(lambda: main(list(arguments)))
    captured = capsys.readouterr()
    assert "Warning" not in captured.err
    return status, [*captured.out.splitlines(), *captured.err.splitlines()]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (NONE_FOR_TRAINING, "there are 0 training configurations, and it takes 2"),
        (NONE_FOR_TEST, "there are 0 test configurations, and it takes 2"),
        (ONE_FOR_TEST, "there are 1 test configurations, and it takes 2"),
        ((1, 5, 5), "there are 1 training configurations, and it takes 2"),
    ],
)
def test_without_a_split_there_is_no_additive_ceiling(counts, reason, file, capsys) -> None:
    quality = bench_quality(small(counts))
    assert math.isnan(quality.additive_ceiling)
    assert quality.undefined == {"additive_ceiling": reason}
    assert quality.noise_ceiling > 0.9
    _, lines = lines_of(capsys, bench_command.main, "show", file(small(counts)))
    assert lines[-1] == f"  additive ceiling  –: {reason}"


@pytest.mark.parametrize("bench", [small((1, 0, 0)), small((4, 2, 4), np.full(10, 0.5))])
def test_what_cannot_be_ranked_has_no_ceilings(bench, file, capsys) -> None:
    quality = bench_quality(bench)
    assert math.isnan(quality.noise_ceiling)
    assert math.isnan(quality.additive_ceiling)
    status, lines = lines_of(capsys, bench_command.main, "show", file(bench))
    assert status == 0
    assert not any("nan" in line or "0.000" in line for line in lines)


@pytest.mark.parametrize(
    ("bench", "reason"),
    [
        (small(NONE_FOR_TEST), "there are 0 test configurations, and it takes 2"),
        (small(ONE_FOR_TEST), "there are 1 test configurations, and it takes 2"),
        (small((4, 2, 4), np.full(10, 0.5)), "all 4 test configurations have the same accuracy"),
    ],
)
def test_nothing_is_ranked_where_nothing_can_be(bench, reason, file, capsys) -> None:
    status, lines = lines_of(
        capsys, rank_command.main, "--bench", file(bench), "--proxies", "sum_of_bits", "--quiet"
    )
    assert (status, lines) == (2, [f"error: bench digits ranks nothing: {reason}"])


def test_nothing_gives_an_expression_its_sign_without_training(file, capsys) -> None:
    path = file(small(NONE_FOR_TRAINING))
    given = "--proxies", "sum_of_bits", "--expression", "multiply(parameter_count, bits)"
    status, lines = lines_of(
        capsys, rank_command.main, "--bench", path, *given, "--quiet", "--resamples", "20",
        "--format", "json",
    )  # fmt: skip
    assert status == 0
    (ranking,) = json.loads("\n".join(lines))["rankings"]
    notes = {proxy["proxy"]: proxy["note"] for proxy in ranking["proxies"]}
    assert notes["sum_of_bits"] == ""
    assert notes["expression"].startswith("nothing gives its sign: there are 0 training")
    assert ranking["additive_ceiling"] is None


@pytest.mark.parametrize(
    ("bench", "reason"),
    [
        (small(NONE_FOR_TRAINING), "there are 0 training configurations, and it takes 2"),
        (
            small((4, 2, 4), np.full(10, 0.5)),
            "all 4 training configurations have the same accuracy",
        ),
    ],
)
def test_nothing_is_searched_without_a_fitness(bench, reason, file, capsys, tmp_path) -> None:
    status, lines = lines_of(
        capsys, run_command.main, "--bench", file(bench), "--out", str(tmp_path / "run")
    )
    assert (status, lines) == (2, [f"error: bench 'digits' gives no fitness: {reason}"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("counts", [NONE_FOR_VALIDATION, ONE_FOR_TEST])
def test_a_search_shows_a_dash_and_its_reason(counts, file, capsys, tmp_path) -> None:
    folder = tmp_path / "run"
    status, lines = lines_of(
        capsys, run_command.main, "--bench", file(small(counts)), "--gens", "1", "--pop", "4",
        "--out", str(folder), "--primitives", "weights_only", "--no-random-search",
    )  # fmt: skip
    assert status == 0
    missing = "validation" if counts == NONE_FOR_VALIDATION else "test"
    count = 0 if counts == NONE_FOR_VALIDATION else 1
    assert f"  –: there are {count} {missing} configurations, and it takes 2" in lines
    (bits,) = (line.split() for line in lines if line.startswith("  sum of bits"))
    assert bits[4 if missing == "validation" else 5] == "–"
    assert (folder / "figures" / "report.html").exists()
