"""The wheel is whole: it has every file of the packages, and works without the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

import pytest
import yaml

import gp_emq

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("gp_emq", "primitives", "analysis")
NO_SOURCE = ("__pycache__", "*.pyc", "*.partial", "*.part", ".*")

BUILD = "import sys, setuptools.build_meta as build; build.build_wheel(sys.argv[1])"

USE = """
import sys
import torch
import gp_emq, primitives, analysis
from gp_emq.mqbench import list_benches, load_bench
from gp_emq.networks import load_network

from gp_emq.proxies.shipped import shipped_files

for module in (gp_emq, primitives, analysis):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
assert load_bench("digits").network == "digits" and len(list_benches()) > 30
assert load_network("wide-digits").model is not None
assert primitives.load_primitive_set("bit_aware").name == "bit_aware"
assert callable(analysis.write_report)
model = load_network("digits").model
statistics = gp_emq.collect_statistics(model, torch.randn(8, 1, 8, 8), bits=(2, 3))
for name in shipped_files():
    assert gp_emq.load_proxy(name).expression
table = gp_emq.load_proxy("sum(square(quantization_perturbation))").table(statistics)
assert table.shape[1] == 2
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy, since building leaves its folders where the sources are, and takes what lies there.
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        copytree(ROOT / package, source / package, ignore=ignore_patterns(*NO_SOURCE))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy2(ROOT / name, source)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", BUILD, out]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (found,) = out.glob("gp_emq-*.whl")
    return found


def test_it_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = wheel.parent / "packages"
    for package in PACKAGES:
        copytree(ROOT / package, source / package, ignore=ignore_patterns(*NO_SOURCE))
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert held == files
    assert {
        "gp_emq/py.typed",
        "gp_emq/mqbench/data/digits.safetensors",
        "gp_emq/allocation/__init__.pyi",
        "primitives/bit_aware.py",
        "analysis/report.py",
    } <= held


def test_what_it_says_of_itself_is_so(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
        entry = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert f"\nVersion: {gp_emq.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert "gp_emq = gp_emq.cli:console" in entry
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == gp_emq.__version__


def test_it_works_where_there_is_no_repository(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    script = tmp_path / "use.py"
    script.write_text(USE)
    environment = {"PYTHONPATH": str(place), "PATH": "", "GP_EMQ_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, script, place]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    help_command = [sys.executable, "-m", "gp_emq", "--help"]
    said = subprocess.run(
        help_command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert said.stdout.startswith("usage: gp_emq COMMAND")
