"""Tables of ``gp_emq rank`` fit the terminal, and say what that costs."""

import json
from functools import cache
from pathlib import Path

import pytest

from gp_emq import ranking
from gp_emq.columns import terminal_width
from gp_emq.mqbench import load_bench, write_bench
from gp_emq.rank import main
from gp_emq.ranking import RankedBench

PROXIES = "sum_of_bits,bparams,relative_output_error,mse,plain"
SHOWN_AT_80 = ("tau", "tau = size", "regret")
WIDE_ONLY = ("rho top 20%", "tau | bits", "collect s", "regret 75%")


@pytest.fixture(scope="module", autouse=True)
def _ranked_once():
    """How wide a table is changes none of its numbers: they are computed once for all widths."""
    load = cache(RankedBench.load)
    kept: dict[str, object] = {}

    def once(function):
        def ranked(target, candidates, *options, **named):
            names = [proxy.name for proxy in candidates]
            asked = [value for value in (*options, *named.values()) if not callable(value)]
            key = repr((function.__name__, id(target), names, asked))
            if key not in kept:
                kept[key] = function(target, candidates, *options, **named)
            return kept[key]

        return ranked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RankedBench, "load", load)
        for name in ("rank", "rank_as_published"):
            patch.setattr(ranking, name, once(getattr(ranking, name)))
        yield


@pytest.fixture(autouse=True)
def _columns_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("benches")
    names = [f"a-rather_long-name-of-bench-{number}" for number in range(4)]
    paths = [folder / f"{name}.safetensors" for name in names]
    for path in paths:
        write_bench(load_bench("digits"), path)
    return list(map(str, paths))


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["--resamples", "20", "--quiet", "--proxies", PROXIES, *arguments]) == 0
    return capsys.readouterr().out


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_is_no_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in ((), ("--calibration-repeats", "1"), ("--protocol", "as-published")):
        text = output(capsys, *arguments)
        assert widest(text) <= columns
        assert "left out to fit" in " ".join(text.split()) or columns == 200


def test_at_80_columns_what_matters_stays_and_the_rest_is_told_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = output(capsys)
    monkeypatch.setenv("COLUMNS", "80")
    narrow = output(capsys)
    assert all(name in narrow for name in (*SHOWN_AT_80, "50%", *PROXIES.split(",")))
    assert all(name in wide for name in WIDE_ONLY)
    assert not any(name in narrow for name in WIDE_ONLY)
    assert "10 columns are left out to fit 80: --wide, csv and json have all" in narrow
    assert "left out" not in wide
    for name in PROXIES.split(","):
        (long,) = (line for line in wide.splitlines() if f" {name} " in line)
        (short,) = (line for line in narrow.splitlines() if f" {name} " in line)
        assert set(short.split()) <= set(long.split())


def test_200_columns_show_more_than_80_and_wide_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = output(capsys)
    assert all(name in text for name in ("rho", "tau | bits", "tau | size"))
    wide = output(capsys, "--wide")
    assert widest(wide) > 200
    assert all(name in wide for name in WIDE_ONLY)


@pytest.mark.parametrize("style", ["csv", "json", "markdown"])
def test_other_formats_have_everything_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = output(capsys, "--format", style)
    assert "left out" not in text
    assert ("spearman_top_20" if style != "markdown" else "rho top 20%") in text


def test_a_matrix_goes_on_in_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, copies: list[str]
) -> None:
    wide = output(capsys, "--bench", *copies)
    monkeypatch.setenv("COLUMNS", "80")
    narrow = output(capsys, "--bench", *copies)
    assert widest(narrow) <= 80 < widest(wide)
    assert "2 blocks to fit 80 columns: --wide sets them side by side" in narrow
    for name in PROXIES.split(","):
        (whole,) = (line for line in wide.splitlines() if line.startswith(f"{name} "))
        parts = [line for line in narrow.splitlines() if line.startswith(f"{name} ")]
        assert len(parts) == 2
        assert " ".join([name, *(word for part in parts for word in part.split()[1:])]) == (
            " ".join(whole.split())
        )
    assert output(capsys, "--bench", *copies, "--wide") == wide


def test_of_a_name_that_leaves_no_room_the_middle_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "a-name-" + "x" * 80 + "-to-the-end"
    text = output(capsys, "--expression", f"{name}=bits")
    assert widest(text) <= 60
    assert any("a-name-" in line and "…" in line and "-to-the-end" in line
               for line in text.splitlines())  # fmt: skip


def test_files_and_pipes_have_no_width_unless_columns_gives_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr("sys.__stdout__", file)
        assert terminal_width() is None
        monkeypatch.setenv("COLUMNS", "93")
        assert terminal_width() == 93


def test_json_is_the_same_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> list[dict[str, object]]:
        rows = json.loads(output(capsys, "--format", "json"))["rankings"][0]["proxies"]
        return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in rows]

    before = kept()
    monkeypatch.setenv("COLUMNS", "30")
    assert kept() == before
