from dataclasses import replace

import numpy as np
import pytest

from gp_emq import bench as bench_command
from gp_emq.command import exit_status
from gp_emq.errors import BenchError
from gp_emq.mqbench import (
    NEIGHBOUR,
    PLAN,
    MeasurementSettings,
    Measurer,
    describe_bench,
    find_protocol,
    load_bench,
    read_bench,
    write_bench,
)
from gp_emq.proxies.loading import load_proxy
from gp_emq.zoo_benches import extend_bench

BUILD = (
    "build", "--network", "plain-digits", "--protocol", "rtn", "--per-channel", "--test-images",
    "100", "--calibration-images", "32", "--configs", "30", "--configurations", "plans",
    "--arithmetic", "float", "--quiet", "--jobs", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "b.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GP_EMQ_CACHE", str(out.parent / "cache"))
        patch.setattr(
            "gp_emq.zoo_benches._plans.PROXIES", ("fit_trace", "relative_error", "sum_of_bits")
        )
        assert bench_command.main([*BUILD, "--out", str(out)]) == 0
        first = out.read_bytes()
        out.unlink()
        assert bench_command.main([*BUILD, "--out", str(out)]) == 0
    assert out.read_bytes() == first
    return out


def test_a_bench_says_how_each_configuration_was_chosen(built) -> None:
    bench = read_bench(built)
    kinds = [one.kind for one in bench.chosen]
    assert [kinds.count(kind) for kind in ("random", "band", "plan", "neighbour")] == [10, 10, 6, 4]
    assert {name for one in bench.chosen for name in one.proxies} <= {
        "fit_trace", "relative_error", "sum_of_bits"
    }  # fmt: skip
    for one, part in zip(bench.chosen, bench.split, strict=True):
        assert one.near is None or bench.split[one.near] == part
    assert "chosen as         10 random, 10 band, 6 plan, 4 neighbour" in describe_bench(bench)


@pytest.fixture
def proxies():
    return [load_proxy("mse"), load_proxy("negate(sum(square(quantization_perturbation)))")]


def test_what_was_there_stays_and_plans_are_measured_alike(built, proxies, tmp_path) -> None:
    bench, out = read_bench(built), tmp_path / "longer.safetensors"
    longer = extend_bench(bench, proxies, out, neighbours=1)
    old = len(bench.split)
    assert len(longer.split) > old + 5
    for name in ("configurations", "accuracies", "correct", "split"):
        assert np.array_equal(getattr(longer, name)[:old], getattr(bench, name))
    assert longer.chosen[:old] == bench.chosen
    assert {one.kind for one in longer.chosen[old:]} == {PLAN, NEIGHBOUR}
    for index in range(old, len(longer.split)):
        near = longer.chosen[index].near
        if near is not None:
            assert longer.split[near] == longer.split[index]
            steps = longer.configurations[index] - longer.configurations[near]
            assert np.abs(steps).sum() == 2 * longer.chosen[index].swaps
    protocol = find_protocol("rtn").with_options(per_channel=True, calibration_images=32)
    settings = MeasurementSettings("plain-digits", None, (), protocol, bench.bits, 100, 0, "float")
    assert np.array_equal(Measurer(settings).measure(longer.configurations[-1]), longer.correct[-1])
    again = read_bench(out)
    assert np.array_equal(again.configurations, longer.configurations)
    assert again.provenance["extensions"][0]["configurations"] == len(longer.split) - old
    # What it has is not added again.
    assert extend_bench(longer, proxies, out, neighbours=1) is longer


def test_a_killed_extension_goes_on(built, proxies, tmp_path, monkeypatch) -> None:
    bench = read_bench(built)
    whole, out = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    extend_bench(bench, proxies, whole)
    measure, seen = Measurer.measure, []

    def counting(self, configuration):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(bytes(configuration))
        return measure(self, configuration)

    monkeypatch.setattr(Measurer, "measure", counting)
    with pytest.raises(KeyboardInterrupt):
        extend_bench(bench, proxies, out)
    assert not out.exists()
    again = []
    monkeypatch.setattr(
        Measurer,
        "measure",
        lambda self, configuration: (
            again.append(bytes(configuration)) or measure(self, configuration)
        ),
    )
    extend_bench(bench, proxies, out)
    assert not set(seen) & set(again)
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, whole.name]


def test_a_bench_measured_otherwise_is_refused(built, proxies, tmp_path) -> None:
    bench, out = read_bench(built), tmp_path / "b.safetensors"
    other = replace(bench, provenance={**bench.provenance, "images_sha256": "0" * 64})
    with pytest.raises(BenchError, match="measured with other test samples than are here"):
        extend_bench(other, proxies, out)
    turned = np.packbits(~bench.correctness(), axis=1)
    wrong = replace(bench, correct=turned, accuracies=1 - bench.accuracies)
    with pytest.raises(BenchError, match=r"now labels 100.0 % of the images otherwise"):
        extend_bench(wrong, proxies, out)
    imported = replace(bench, provenance={})
    with pytest.raises(BenchError, match="was imported: it cannot be measured further"):
        extend_bench(imported, proxies, out)
    own = replace(bench, network="os:system")
    with pytest.raises(BenchError, match="names the network"):
        extend_bench(own, proxies, out)


def test_the_command_extends_the_file_itself(built, tmp_path, capsys) -> None:
    path = tmp_path / "b.safetensors"
    write_bench(read_bench(built), path)
    given = ["extend", str(path), "--from", "mse", "--quiet", "--jobs", "1"]
    assert bench_command.main(given) == 0
    count = len(read_bench(path).split)
    assert f"{count} of plain-digits" in capsys.readouterr().out
    assert bench_command.main(given) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert len(read_bench(path).split) == count
    assert exit_status(lambda: bench_command.main(["extend", "digits", "--from", "mse"])) == 2
    assert "digits ships with the package: give --out FILE" in capsys.readouterr().err


def test_benches_of_before_say_nothing_of_it_and_files_of_theirs_stay(tmp_path) -> None:
    bench = load_bench("digits")
    assert bench.chosen == ()
    write_bench(bench, tmp_path / "b")
    assert b'"chosen"' not in (tmp_path / "b").read_bytes()[:20_000]


def test_damaged_choices_are_refused(built) -> None:
    bench = read_bench(built)
    first = next(index for index, one in enumerate(bench.chosen) if one.kind == NEIGHBOUR)
    for change, words in (
        ({"kind": "guess"}, "chosen as 'guess', none of random, band, plan, neighbour"),
        ({"near": None}, "must say whose neighbour it is"),
        ({"near": first}, "which is not before it"),
    ):
        chosen = list(bench.chosen)
        chosen[first] = replace(chosen[first], **change)
        with pytest.raises(BenchError, match=words):
            replace(bench, chosen=tuple(chosen))
    with pytest.raises(BenchError, match="29 of 30 configurations say"):
        replace(bench, chosen=bench.chosen[1:])
