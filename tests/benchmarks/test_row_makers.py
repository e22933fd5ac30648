"""Every benchmark runs, on little, and says what it measured."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as all_benchmarks
from benchmarks import agreement, latency, measured, probe, scaling
from benchmarks.timing import Row, compare
from gp_emq.errors import GpEmqError

ROW = re.compile(
    r"\| .+ \| [\d.e+]+ m?s \| .+ \| [\d.e+]+ m?s \| ([\d.]+) × (?:faster|slower|the floor) \|"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("evaluation", 3),
        ("search", 1),
        ("procedure", 1),
        ("planning", 2),
        ("ranking", 3),
        ("jobs", 1),
    ],
)
def test_a_benchmark_gives_its_rows(name: str, rows: int, capsys: pytest.CaptureFixture) -> None:
    assert all_benchmarks.main([name, "--quick"]) == 0
    _, _, head, rule, *lines = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == 6
    found = [ROW.fullmatch(line) for line in lines if line]
    assert len(found) == rows
    assert all(match is not None and float(match[1]) > 0 for match in found)


def test_every_benchmark_has_its_quick_form() -> None:
    assert list(all_benchmarks.QUICK) == list(all_benchmarks.BENCHMARKS)


def test_a_benchmark_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(GpEmqError, match=r"must be one of evaluation, .*, scaling, not 'nothing'"):
        all_benchmarks.main(["nothing"])


@pytest.mark.slow
def test_a_generation_is_measured_in_a_process_of_its_own() -> None:
    found = scaling.measure_apart("digits", 5)
    assert (found.network, found.population) == ("digits", 5)
    # As shapes.py has it: 14 layers of 3 x 3, a last linear one, and 8, 16 and 32 channels.
    blocks = 9 * (8 + 4 * 8 * 8 + 8 * 16 + 3 * 16 * 16 + 16 * 32 + 3 * 32 * 32)
    assert found.elements == blocks + 10 * 32
    assert found.statistics_mib > found.elements * 4 / 2**20
    assert found.peak_mib > found.statistics_mib
    assert found.seconds > 0


def test_measurements_of_generations_are_drawn(tmp_path: Path) -> None:
    grown = [scaling.Generation(f"n{size}", 1000 * size, 200, 1, 2, size) for size in (1, 3)]
    crowded = [scaling.Generation("resnet20", 1000, 50 * size, 1, 2, size) for size in (1, 2)]
    scaling.plot(grown, crowded, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert scaling.lines(grown)[2:] == [
        "| n1 | 0.00 M | 200 | 1 MiB | 2 MiB | 1.00 s |",
        "| n3 | 0.00 M | 200 | 1 MiB | 2 MiB | 3.00 s |",
    ]


def test_the_probe_is_held_against_full_tables(capsys: pytest.CaptureFixture) -> None:
    assert probe.main(["sequential", "--trees", "20"]) == 0
    (line,) = capsys.readouterr().out.splitlines()[2:]
    name, trees, rejected, valid, false, *_ = (cell.strip() for cell in line.split("|")[1:-1])
    assert (name, trees) == ("`sequential`", "20")
    assert int(false) <= min(int(rejected), int(valid))


@pytest.mark.slow
def test_measured_plans_are_compared_once(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "SHARES", (0.5,))
    monkeypatch.setattr(measured, "CALIBRATION", 32)
    monkeypatch.setattr(measured, "HELD_BACK", 64)
    rows = tmp_path / "rows.jsonl"
    arguments = ["--rows", str(rows), "--only", "plain-digits", "--tests", "100"]
    arguments += ["--measure", "3", "--calibrate", "4", "--interactions", "neighbours"]
    arguments += ["--proxy", "fit", "ompq"]
    assert measured.main(arguments) == 0
    said = capsys.readouterr().out
    (row,) = measured.Rows(rows).known.values()
    assert (row.network, row.part, row.share, row.images) == ("plain-digits", "search", 0.5, 100)
    assert set(row.ways) == {"uniform", "start", "measured", "calibrated", "pairs"}
    assert row.together is not None
    assert row.together.measured == 16 + 8 * 2 + 7 * 4
    assert row.ways["start"].change.value == 0
    assert f"{100 * row.floating.value:.2f}" in said
    monkeypatch.setattr(measured, "search", None)
    assert measured.main(arguments) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("again", "asked"),
    [
        (False, [((0,), 100, 3)]),
        (True, [((0,), 100, 3), ((0, 1), 59, 4), ((0, 1, 2), 19, 5)]),
    ],
)
def test_a_search_goes_on_from_what_it_found(again, asked, monkeypatch) -> None:
    done = []

    def search(_problem, start, _network, settings) -> SimpleNamespace:
        done.append((start, settings.measurements, settings.seed))
        return SimpleNamespace(tried=(*start, len(done)), plans=10, measurements=40.5)

    monkeypatch.setattr(measured, "search", search)
    monkeypatch.setattr(measured, "confirmed", lambda _network, start, tried: (tried, start))
    options = SimpleNamespace(measure=100, again=again, seed=3)
    study = SimpleNamespace(options=options, search=None)
    found = measured.MeasuredStudy._searched(study, None, (0,))
    assert done == asked
    assert found == ((0, *range(1, len(asked) + 1)), 10 * len(asked))


def test_ratios_are_of_pairs_and_scaled_by_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 9, 9, 10, 10, 12, 12, 13, 13, 14, 14, 17, 17, 19, 19, 20])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    row = compare("ours", lambda: None, "theirs", lambda: None, share=0.5)
    # After the warm-up: 2 against 1 / 0.5, 1 against 3 / 0.5, 2 against 1 / 0.5.
    assert row == Row("ours", 2, "theirs", 2, 1)


@pytest.mark.slow
def test_convolutions_of_a_file_run_in_integers() -> None:
    found = latency.measure("resnet20", 8, repeats=1)
    assert found.operators["QLinearConv"] == 9
    assert found.row.ours > 0


@pytest.mark.slow
def test_a_file_agrees_with_the_network_in_torch() -> None:
    cells = agreement.line("digits", (2, 3, 4, 8)).split("|")
    same, right, right_in_file = (float(cell.strip(" %")) for cell in cells[5:8])
    assert same >= 99
    assert abs(right - right_in_file) <= 1
