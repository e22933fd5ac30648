"""A search on the bench of a workload, whose network and samples a function gives."""

from pathlib import Path

import pytest

from gp_emq import bench, run
from gp_emq.errors import RunError
from gp_emq.store import read_hall_of_fame

WORKLOAD = ["--workload", "own_workloads:regression"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "regression.safetensors"
    asked = [
        "--configs",
        "40",
        "--bits",
        "2,3,4,8",
        "--protocol",
        "rtn",
        "--calibration-images",
        "8",
        "--quiet",
    ]
    assert bench.main(["build", *WORKLOAD, *asked, "--out", str(out)]) == 0
    return out


def search(built: Path, out: Path, *more: str) -> bytes:
    asked = ["--pop", "12", "--gens", "2", "--primitives", "discovery", "--no-figures", "--quiet"]
    assert run.main(["--bench", str(built), *asked, "--out", str(out), *more]) == 0
    return (out / "hall_of_fame.json").read_bytes()


@pytest.mark.slow
def test_a_metric_that_should_fall_is_searched_for(built, tmp_path) -> None:
    alone = search(built, tmp_path / "one", *WORKLOAD)
    # Workers are given nothing but names.
    assert search(built, tmp_path / "two", *WORKLOAD, "--jobs", "1", "--backend", "loky") == alone
    best = read_hall_of_fame(tmp_path / "one").best
    assert best.training_tau > 0.3


def test_code_is_named_again_to_go_on(built, tmp_path) -> None:
    search(built, tmp_path / "run", *WORKLOAD)
    with pytest.raises(RunError, match="give --workload own_workloads:regression"):
        run.main(["--resume", str(tmp_path / "run"), "--gens", "3", "--quiet"])
    more = ["--gens", "3", "--quiet", "--no-figures"]
    assert run.main(["--resume", str(tmp_path / "run"), *WORKLOAD, *more]) == 0


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--network", "digits"], "give it alone"),
        (["--weights", "w.pt"], "give it alone"),
    ],
)
def test_a_workload_brings_everything(given, complaint, built, tmp_path) -> None:
    with pytest.raises(RunError, match=complaint):
        search(built, tmp_path / "run", *WORKLOAD, *given)
