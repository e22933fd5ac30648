import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gp_emq.correlation import kendall_tau
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import load_bench, write_bench
from gp_emq.proxies.loading import expression_proxy, load_proxy
from gp_emq.rank import main
from gp_emq.ranking import RankedBench, RankOptions, rank
from gp_emq.store import HallOfFame, Member, Provenance, write_hall_of_fame

CHEAP = "sum_of_bits,bparams,relative_error,mse,snip"


@pytest.fixture(autouse=True)
def _written_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> RankedBench:
    return RankedBench.load(
        "digits", weights=None, data=[], cache=tmp_path_factory.mktemp("statistics")
    )


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["--resamples", "50", "--quiet", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_sum_of_bits_is_the_sum_of_bits_on_each_split(target: RankedBench) -> None:
    bench = target.bench
    sums = bench.configurations.sum(axis=1).astype(float)
    for split, chosen in (
        ("test", bench.test),
        ("validation", bench.validation),
        ("training", bench.training),
        ("all", np.arange(len(sums))),
    ):
        ranking = rank(target, [load_proxy("sum_of_bits")], RankOptions(split, resamples=20))
        row = ranking.rows[0]
        assert row.tau == pytest.approx(kendall_tau(sums[chosen], bench.accuracies[chosen]))
        assert np.isnan(row.figures["kendall_given_bits"].value)
        assert row.figures["kendall"].low < row.tau < row.figures["kendall"].high


def test_sizes_are_bits_times_parameters(target: RankedBench) -> None:
    layers = target.inputs.network.layers
    configuration = target.bench.configurations[7]
    by_hand = sum(layer.parameters * int(configuration[layer.entry]) for layer in layers)
    assert target.sizes[7] == pytest.approx(by_hand / 8 / 2**20)


def test_pairs_of_equal_size_are_within_a_window_of_all_sizes(target: RankedBench) -> None:
    sizes, chosen = target.sizes, target.bench.validation
    window = 0.02 * (sizes.max() - sizes.min())
    expected = [[i != j and abs(sizes[i] - sizes[j]) < window for j in chosen] for i in chosen]
    pairs = target.pairs_at_equal_size(chosen)
    assert pairs.any()
    assert pairs.tolist() == expected


def test_where_no_two_configurations_are_of_equal_size_the_reason_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, target: RankedBench
) -> None:
    bench, order = target.bench, np.argsort(target.sizes)
    apart = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    few = replace(
        bench, name="few", configurations=bench.configurations[apart],
        accuracies=bench.accuracies[apart], correct=bench.correct[apart],
        split=np.full(len(apart), 2, np.int8),
    )  # fmt: skip
    reason = "no two test configurations cost the same"
    sizes = target.sizes[apart]
    assert np.diff(sizes).min() > 0.02 * np.ptp(sizes)
    write_bench(few, tmp_path / "few.safetensors")
    arguments = ("--bench", str(tmp_path / "few.safetensors"), "--proxies", "mse,bparams")
    table = output(capsys, *arguments)
    assert f"–: tau = size: {reason}" in table
    (row,) = (line for line in table.splitlines() if " mse " in line)
    assert " – " in row
    ranking = json.loads(output(capsys, *arguments, "--format", "json"))["rankings"][0]
    assert ranking["undefined"] == {"kendall_at_equal_size": reason}
    assert {one["kendall_at_equal_size"] for one in ranking["proxies"]} == {None}


def test_rows_are_sorted_and_the_best_is_marked(target: RankedBench) -> None:
    ranking = rank(
        target, [load_proxy(name) for name in CHEAP.split(",")], RankOptions(resamples=100)
    )
    taus = [row.tau for row in ranking.rows]
    assert taus == sorted(taus, reverse=True)
    assert [row.mark.name for row in ranking.rows].count("BEST") == 1
    assert ranking.rows[0].mark.name == "BEST"


def test_an_expression_is_oriented_by_the_training_configurations(target: RankedBench) -> None:
    proxies = [
        expression_proxy("up=bits"),
        expression_proxy("down=negate(bits)"),
        load_proxy("sum_of_bits"),
    ]
    ranking = rank(target, proxies, RankOptions(resamples=20))
    assert len({row.tau for row in ranking.rows}) == 1


def test_a_table_that_is_not_finite_is_noted_and_comes_last(target: RankedBench) -> None:
    proxies = [expression_proxy("broken=log(negate(bits))"), load_proxy("mse")]
    last = rank(target, proxies, RankOptions(resamples=20)).rows[-1]
    assert (last.proxy.name, last.scored.note) == ("broken", "its table is not finite")
    assert last.figures == {}


def test_calibration_repeats_move_what_depends_on_images_alone(target: RankedBench) -> None:
    options = RankOptions(resamples=20, calibration_repeats=2)
    ranking = rank(target, [load_proxy("snip"), load_proxy("mse")], options)
    by_name = {row.proxy.name: row for row in ranking.rows}
    assert len(set(by_name["snip"].calibration)) == 2
    assert set(by_name["mse"].calibration) == {by_name["mse"].tau}


def test_the_same_seed_gives_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    def numbers() -> list[dict[str, object]]:
        document = json.loads(output(capsys, "--proxies", CHEAP, "--format", "json"))
        return [
            {key: value for key, value in row.items() if not key.endswith("seconds")}
            for row in document["rankings"][0]["proxies"]
        ]

    assert numbers() == numbers()


def test_all_formats_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--proxies", CHEAP)
    document = json.loads(output(capsys, *arguments, "--format", "json"))
    rows = document["rankings"][0]["proxies"]
    by_csv = list(csv.DictReader(io.StringIO(output(capsys, *arguments, "--format", "csv"))))
    assert [row["proxy"] for row in by_csv] == [row["proxy"] for row in rows]
    assert [float(row["kendall"]) for row in by_csv] == [row["kendall"] for row in rows]
    table = output(capsys, *arguments)
    markdown = output(capsys, *arguments, "--format", "markdown")
    for row in rows:
        cell = f"{row['kendall']:.3f} [{row['kendall_low']:.2f}, {row['kendall_high']:.2f}]"
        assert cell in table
        assert cell in markdown
    assert "149 test configurations" in table
    assert "noise 0." in table
    assert "tau \\| bits" in markdown


def test_no_bench_counts_twice() -> None:
    with pytest.raises(GpEmqError, match="--bench names a bench twice: digits digits"):
        main(["--bench", "digits", "digits", "--proxies", "sum_of_bits", "--quiet"])


@pytest.mark.filterwarnings("error")
def test_a_table_that_is_not_finite_is_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--proxies", "", "--expression", "divide(bits, subtract(bits, bits))")
    assert "expression: its table is not finite" in output(capsys, *arguments)


def test_several_benches_give_a_matrix(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    write_bench(load_bench("digits"), other)
    arguments = ("--bench", "digits", str(other), "--proxies", CHEAP)
    document = json.loads(output(capsys, *arguments, "--format", "json"))
    assert [row["mean_rank"] for row in document["matrix"]] == [1, 2, 3, 4, 5]
    assert "mean rank" in output(capsys, *arguments)


def test_the_published_procedure_spreads_more_with_fewer_samples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def width(samples: str) -> float:
        arguments = ("--protocol", "as-published", "--samples", samples, "--format", "json")
        document = json.loads(output(capsys, *arguments, "--proxies", "sum_of_bits"))
        row = document["proxies"][0]
        return float(row["kendall_high"]) - float(row["kendall_low"])

    assert width("20") > 1.5 * width("200")
    assert "untrained network" in output(
        capsys, "--protocol", "as-published", "--proxies", "snip,bparams"
    )


def write_run(folder: Path) -> Path:
    member = Member(
        id=1, generation=0, expression="negate(bits)", canonical="negate(bits)", formula="−b",
        size=2, depth=1, training_tau=0.5, validation_tau=0.5, sign=-1, best=True,
    )  # fmt: skip
    provenance = Provenance(
        bench="digits", bench_sha256="0" * 64, statistics_sha256="0" * 64,
        primitive_set="bit_aware", seed=0, generations=1, evaluations=1,
    )  # fmt: skip
    folder.mkdir()
    write_hall_of_fame(folder / "hall_of_fame.json", HallOfFame(provenance, (member,)))
    return folder


def test_runs_are_ranked_with_their_stored_sign(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "found")
    arguments = ("--run", str(folder), str(folder / "hall_of_fame.json"))
    document = json.loads(
        output(capsys, *arguments, "--proxies", "sum_of_bits", "--format", "json")
    )
    rows = document["rankings"][0]["proxies"]
    assert {row["proxy"] for row in rows} == {"sum_of_bits", "found", "found-2"}
    assert len({row["kendall"] for row in rows}) == 1


def test_figures_are_written_where_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--quiet", "--proxies", CHEAP, "--resamples", "20", "--plot", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"digits-{what}.{kind}" for what in ("scores", "proxies") for kind in ("png", "svg")
    }
    captured = capsys.readouterr()
    assert "figure" not in captured.out
    assert str(tmp_path) in captured.err


def test_the_list_of_proxies_needs_no_bench(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--list-proxies"])
    assert ended.value.code == 0
    assert "fit_diagonal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bench", "nowhere"], "unknown bench 'nowhere'"),
        (["--proxies", "hawk"], "unknown proxy 'hawk'; did you mean 'hawq'"),
        (["--proxies", ""], "nothing to rank"),
        (["--expression", "mean("], "is missing"),
        (["--run", "nowhere"], "nowhere"),
        (["--split", "half"], "--split"),
        (["--resamples", "0"], "at least 1"),
        (["--bench", "digits", "other", "--data", "x"], "belong to one bench"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: list[str], words: str) -> None:
    with pytest.raises(GpEmqError, match=words) as caught:
        main(["--quiet", *arguments])
    assert "\n" not in str(caught.value)
