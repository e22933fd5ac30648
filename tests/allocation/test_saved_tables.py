"""A saved table answers as the network would, and is read by no eye but a suspicious one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gp_emq import SensitivityTable
from gp_emq.allocate import main
from gp_emq.allocation import ScoredNetwork, allocate, load_table, save_table
from gp_emq.allocation._table_file import _sha256
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.networks import PER_CHANNEL, Layer, load_network

MADE = [
    "--proxy", "relative_error", "--images", "16", "--seed", "3", "--bits", "2,3,4",
    "--choices", "linear=4,8", "--baselines", "random,sum_of_bits,uniform",
]  # fmt: skip
"""How the table is made; `CHOSEN` of it says what may be chosen."""
CHOSEN = ["--bits", "2,3,4", "--choices", "linear=4,8"]


def layers(entries=(0, 1, 1)) -> tuple[Layer, ...]:
    return tuple(
        Layer(f"layer{k}", "Linear", (10, 10 + k), 100 + 10 * k, 0, 1000, k, entry)
        for k, entry in enumerate(entries)
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "table.json"
    assert main([*MADE, "--save-table", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    "budget",
    [
        ["--average-bits", "2.7"],
        ["--size-mib", "0.02", "--accounting", "stored", "--fix", "conv1=8"],
        ["--bops-g", "0.012", "--activation-bits", "6", "--group", "layer1.*", "--sweep"],
        ["--sweep", "bops", "--pick", "4", "--exclude", "linear"],
    ],
)
def test_plans_are_byte_for_byte_those_of_the_network(
    saved: Path, tmp_path: Path, capsys, budget
) -> None:
    written = []
    for number, line in enumerate((MADE, ["--table", str(saved), *CHOSEN])):
        out = tmp_path / f"{number}.json"
        assert main([*line, *budget, "--no-plot", "--out", str(out)]) == 0
        files = sorted(tmp_path.glob(f"{number}*"))
        written.append([capsys.readouterr().out, *(file.read_bytes() for file in files)])
    assert len(written[0]) == 2 + ("--sweep" in budget)
    assert written[0] == written[1]


@pytest.mark.slow
def test_it_needs_neither_torch_nor_the_cache(saved: Path, tmp_path: Path) -> None:
    line = [
        "--table",
        str(saved),
        "--average-bits",
        "3",
        "--sweep",
        "--out",
        str(tmp_path / "p.json"),
    ]
    code = f"""
import sys
from gp_emq.allocate import main
assert main({line}) == 0
assert not {{"torch", "torchvision"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "p-bits.png").exists()


def test_the_widths_are_the_tables_unless_asked_otherwise(saved: Path, capsys) -> None:
    main(["--table", str(saved), "--average-bits", "8", "--baselines", "none"])
    text = capsys.readouterr().out
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("conv1")] == ["8"]
    main(["--table", str(saved), "--average-bits", "8", "--baselines", "none", "--bits", "2,3"])
    text = capsys.readouterr().out
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("conv1")] == ["3"]


def test_a_table_of_ones_own_comes_back_whole(tmp_path: Path) -> None:
    values = [[-0.1, np.nan, 1e-300], [np.inf, 2.5, 1 / 3]]
    table = SensitivityTable(values, bits=(2, 4, 8), layers=layers(), proxy="mine", formula="Σ x²")
    path = tmp_path / "table.json"
    save_table(table, path)
    found = load_table(path).table
    finite = np.isfinite(values)
    assert (np.asarray(found)[finite] == np.array(values)[finite]).all()
    assert np.isnan(np.asarray(found)[~finite]).all()
    assert (found.bits, found.layers) == ((2, 4, 8), layers())
    assert found.provenance == {"proxy": "mine", "formula": "Σ x²"}
    save_table(load_table(path), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    plan = allocate(found, average_bits=8, choices={"layer0": (2, 8), "layer1": (4, 8)})
    assert plan.widths == {"layer0": 8, "layer1": 4, "layer2": 4}
    with pytest.raises(AllocationError, match="does not know its layers"):
        save_table(table.view(SensitivityTable), path)


def test_what_a_table_knows_beside_scores_is_saved(saved: Path) -> None:
    scored = load_table(saved)
    assert scored.layers == load_network("digits").layers
    assert list(scored.baselines) == ["random", "sum_of_bits", "uniform"]
    assert (scored.seed, scored.granularity) == (3, PER_CHANNEL)
    assert scored.provenance["network"] == "digits"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["scores"][0].__setitem__(0, 7.0), "checksum is not that of its content"),
        (lambda file: file.pop("sha256"), "checksum is not that of its content"),
        (lambda file: file.update(format=9), "has format 9; this version reads format 1"),
    ],
)
def test_changed_tables_are_refused(saved: Path, tmp_path: Path, change, message: str) -> None:
    document = json.loads(saved.read_text())
    change(document)
    (tmp_path / "t.json").write_text(json.dumps(document))
    with pytest.raises(AllocationError, match=message):
        load_table(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("layers"), "lacks 'layers'"),
        (lambda file: file.update(owner="me"), "unknown 'owner'"),
        (lambda file: file["layers"][0].update(entry=5), "must cover the entries"),
        (lambda file: file["layers"][0].update(name="layer1"), "names of their own"),
        (lambda file: file["layers"][0].update(macs=-1), "layer 0 has a count below 0"),
        (lambda file: file["scores"].pop(), r"the scores: the table has shape \(1, 2\)"),
        (lambda file: file["scores"][0].pop(), "the scores must have 2 columns"),
        (lambda file: file["scores"][0].__setitem__(0, "x"), r"scores\[0\]\[0\] is 'x'"),
        (lambda file: file.update(bits=[4, 2]), "bits must rise"),
        (lambda file: file["baselines"][0].update(scores=[]), "baseline 'fit' must have 2"),
        (lambda file: file["baselines"].append(file["baselines"][0]), "baselines must have names"),
        (lambda file: file.update(seed=-1), "seed is -1"),
        (lambda file: file.update(activations={"layer0": [1, 1]}), "must be those of the layers"),
        (
            lambda file: file.update(activations={f"layer{k}": [1, -1] for k in range(3)}),
            "activations have a count below 0",
        ),
    ],
)
def test_sealed_nonsense_is_refused(tmp_path: Path, change, message: str) -> None:
    table = SensitivityTable([[-2, -1], [-3, -1]], bits=(2, 4), layers=layers())
    path = tmp_path / "t.json"
    save_table(ScoredNetwork(table, {"fit": table, "random": None}), path)
    document = json.loads(path.read_text())
    assert document.pop("sha256") == _sha256(document)
    change(document)
    path.write_text(json.dumps(document | {"sha256": _sha256(document)}))
    with pytest.raises(AllocationError, match=message):
        load_table(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--proxy", "fit", "--average-bits", "3"], "--proxy is for the network"),
        (["--seed", "1", "--average-bits", "3"], "--seed is for the network"),
        (["--average-bits", "3", "--measure", "9"], "--measure is for the network"),
        (["--save-table", "x.json"], "--save-table is for the network"),
        ([], "no budget"),
        (
            ["--average-bits", "3", "--baselines", "fit"],
            r"no scores of the baseline 'fit': there are",
        ),
        (
            ["--average-bits", "3", "--bits", "2,5"],
            r"must be among the bits 2, 3, 4, 8, not \(2, 5\)",
        ),
    ],
)
def test_what_a_table_cannot_answer_is_refused(saved: Path, arguments, message: str) -> None:
    with pytest.raises(GpEmqError, match=message) as caught:
        main(["--table", str(saved), *arguments])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["--size-bytes", "--activation-kib"])
def test_a_table_from_python_alone_does_not_know_the_network(tmp_path: Path, option: str) -> None:
    table = SensitivityTable([[-2, -1], [-3, -1]], bits=(2, 4), layers=layers())
    save_table(table, tmp_path / "t.json")
    line = ["--table", str(tmp_path / "t.json"), "--average-bits", "3"]
    assert main(line) == 0
    with pytest.raises(AllocationError, match=f"does not say what {option} needs: write it with"):
        main([*line, option, "9999"])


def test_a_sweep_needs_one_proxy_or_a_table(tmp_path: Path) -> None:
    for line in (["--sweep"], ["--average-bits", "3", "--save-table", str(tmp_path / "t.json")]):
        with pytest.raises(AllocationError, match="--proxy is missing: a sweep, and a saved"):
            main(line)
        with pytest.raises(AllocationError, match="--proxy is given 2 times, so that plans race"):
            main([*line, "--proxy", "fit", "--proxy", "ompq"])
    with pytest.raises(AllocationError, match="cannot read the table"):
        main(["--table", str(tmp_path / "none.json"), "--average-bits", "3"])
