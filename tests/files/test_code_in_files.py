"""No file names code that runs: the command line and the caller alone do."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analysis._formulas import Formulas
from analysis.bench import write_bench_figure
from gp_emq import rank as rank_command
from gp_emq import run as run_command
from gp_emq.allocation import allocate, save_plan
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import bench_inputs, load_bench, model_sizes, write_bench
from gp_emq.networks import registered_layers
from gp_emq.options import options_from_file
from gp_emq.proxies.loading import load_proxy
from gp_emq.qat.__main__ import main as qat_main
from gp_emq.quantize import main as quantize_main
from gp_emq.store import RunStore

MARK = """
import os
from pathlib import Path

Path(os.environ["MARK"]).write_text("ran")
"""
NETWORK = (
    MARK
    + """
from gp_emq.networks import load_network


def factory():
    return load_network("digits").model, (1, 8, 8)
"""
)
SET = (
    MARK
    + """
import torch
from primitives import Role, Operator, PrimitiveSet


def build():
    halve = Operator("halve", 1, Role.ELEMENTWISE, lambda x: x / 2, "x / 2", "{0}/2")
    return PrimitiveSet(
        "mine",
        "a set of one's own",
        statistics=("parameter_count", "bits"),
        operators=("multiply", "times_bits", halve),
    )
"""
)
NAME = "leaves_a_mark:factory"


@pytest.fixture
def mark(tmp_path, monkeypatch) -> Path:
    """What exists once the code of `leaves_a_mark` or `mine.py` has run."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "leaves_a_mark.py").write_text(NETWORK)
    (folder / "mine.py").write_text(SET)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    monkeypatch.delitem(sys.modules, "leaves_a_mark", raising=False)
    return tmp_path / "mark"


def refused(mark: Path, call, *arguments, option: str) -> None:
    with pytest.raises(GpEmqError) as caught:
        call(*arguments)
    assert not mark.exists()
    message = str(caught.value)
    assert "no file may name code that runs" in message
    assert f"give {option}" in message
    assert "\n" not in message


@pytest.fixture
def plan(tmp_path) -> Path:
    layers = registered_layers("digits")
    chosen = allocate([[-3.0, -2.0, -1.0]] * len(layers), layers, bits=(2, 3, 4), average_bits=3)
    save_plan(replace(chosen, provenance={"network": NAME}), tmp_path / "plan.json")
    return tmp_path / "plan.json"


@pytest.fixture
def bench(tmp_path) -> Path:
    digits = load_bench("digits")
    write_bench(replace(digits, name="mine", network=NAME), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_a_plan_runs_no_network(plan, mark, capsys) -> None:
    asked = f"--network or --workload {NAME}"
    refused(mark, quantize_main, ["--plan", str(plan)], option=asked)
    refused(mark, qat_main, ["--plan", str(plan)], option=asked)
    options = ["--plan", str(plan), "--images", "16", "--tests", "16", "--no-cache"]
    assert quantize_main([*options, "--network", NAME]) == 0
    assert mark.exists()


def test_a_bench_runs_no_network(bench, mark, tmp_path, capsys) -> None:
    asked = f"--network {NAME}"
    loaded = load_bench(bench)
    refused(mark, bench_inputs, loaded, option=asked)
    refused(mark, model_sizes, loaded, option=asked)
    refused(mark, write_bench_figure, loaded, tmp_path / "plot.png", option=asked)
    refused(mark, rank_command.main, ["--bench", str(bench), "--quiet"], option=asked)
    out = ["--out", str(tmp_path / "run"), "--gens", "1", "--quiet"]
    refused(mark, run_command.main, ["--bench", str(bench), *out], option=asked)
    options = ["--bench", str(bench), "--proxies", "bparams", "--quiet", "--resamples", "5"]
    assert rank_command.main([*options, "--network", NAME]) == 0
    assert mark.exists()
    assert (model_sizes(loaded, NAME) == model_sizes(load_bench("digits"))).all()


def test_a_hall_of_fame_runs_no_primitive_set(mark, tmp_path) -> None:
    own = tmp_path / "code" / "mine.py"
    hall = json.loads(Path("runs/reference/hall_of_fame.json").read_text())
    hall["provenance"]["primitive_set"] = str(own)
    for member in hall["members"]:
        member["expression"] = "times_bits(halve(parameter_count))"
    path = tmp_path / "hall_of_fame.json"
    path.write_text(json.dumps(hall))
    refused(mark, load_proxy, path, option="--primitives")
    refused(mark, rank_command.main, ["--run", str(path)], option="--primitives")
    assert load_proxy(path, primitives=str(own)).expression == member["expression"]
    assert mark.exists()


@pytest.mark.slow
def test_a_store_runs_nothing_and_resumes_with_the_option_alone(mark, tmp_path, capsys) -> None:
    own, folder = tmp_path / "code" / "mine.py", tmp_path / "run"
    quick = ["--pop", "6", "--no-random-search", "--no-figures", "--quiet"]
    quick += ["--jobs", "1", "--backend", "threading"]
    start = ["--bench", "digits", "--primitives", str(own), "--gens", "1"]
    start += ["--out", str(folder), *quick]
    assert run_command.main(start) == 0
    mark.unlink()
    with RunStore.open(folder, readonly=True) as store:
        Formulas(store)("bits")
    shutil.copytree(folder, tmp_path / "foreign")
    again = ["--resume", str(tmp_path / "foreign"), "--gens", "2", *quick]
    refused(mark, run_command.main, again, option=f"--primitives {own}")
    assert run_command.main([*again, "--primitives", str(own)]) == 0
    assert mark.exists()


@pytest.mark.parametrize(
    ("text", "option"),
    [
        (f'network = "{NAME}"', f"--network {NAME}"),
        ('primitives = "code/mine.py"', "--primitives code/mine.py"),
    ],
)
def test_a_configuration_names_no_code(tmp_path, mark, text, option) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    refused(mark, options_from_file, ["--config", str(path)], option=option)


@pytest.mark.parametrize(
    "text",
    [
        'primitive = "evil.py"',
        '"primitives=evil.py" = true',
        'data = ["images", "--primitives=evil.py"]',
        'bench = "--primitives=evil.py"',
        "help = true",
        'config = "other.toml"',
    ],
)
def test_a_configuration_gives_no_option_by_another_name(tmp_path, text) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(GpEmqError):
        run_command.main(["--config", str(path), "--out", str(tmp_path / "run"), "--quiet"])
    assert not (tmp_path / "run").exists()
