import binascii
import itertools
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from forked import Forked
from mortal_measurements import MortalMeasurements

from gp_emq import bench as command
from gp_emq.command import exit_status
from gp_emq.errors import BenchError, DataError, NetworkError
from gp_emq.farm import FarmSettings
from gp_emq.mqbench import (
    MeasurementSettings,
    Measurer,
    build_bench,
    choose_arithmetic,
    find_protocol,
    load_bench,
    read_bench,
)
from gp_emq.mqbench._form import Form
from gp_emq.mqbench._jobs import MeasurementJob, RoundingJob
from gp_emq.mqbench._partial import PartialResults, partial_results
from gp_emq.mqbench._protocol import Protocol

ARGUMENTS = "--network digits --calibration-images 64 --configs 12 --test-images 500 --quiet"


def settings(protocol="rtn", iterations=None, arithmetic="float", **changes):
    chosen = find_protocol(protocol).with_options(calibration_images=64, iterations=iterations)
    return MeasurementSettings(
        **{
            "network": "digits",
            "weights": None,
            "data": (),
            "protocol": chosen,
            "bits": (2, 3, 4),
            "tests": 500,
            "seed": 0,
            "arithmetic": arithmetic,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A build that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "b.safetensors"
    build_bench(settings(), count=12, out=out)
    return out


def _command(*arguments):
    return ["gp_emq.bench", *ARGUMENTS.split(), *map(str, arguments)]


def build_command(out, *arguments):
    parts = _command("--protocol", "rtn", "--arithmetic", "float", "--out", out, *arguments)
    return [parts[0], "build", *parts[1:]]


def build_here(out, *arguments):
    return command.main(build_command(out, *arguments)[1:])


def test_accuracies_are_those_of_the_configurations(whole):
    bench = read_bench(whole)
    measurer = Measurer(settings())
    packed = measurer.measure(bench.configurations[5])
    assert np.array_equal(packed, bench.correct[5])
    assert bench.images == 500
    assert bench.provenance["float_accuracy"] > 0.9
    assert bench.provenance["weights_sha256"]
    assert [p.name for p in whole.parent.iterdir()] == [whole.name]


def test_the_shipped_digits_bench_was_measured_like_this():
    bench = load_bench("digits")
    arithmetic = bench.provenance["arithmetic"]
    protocol = find_protocol("rtn").with_options(calibration_images=256, scale_rule="mse-shrunk")
    found = Protocol.from_settings(bench.provenance["protocol"])
    as_then = replace(protocol, relative=False)
    assert replace(found, description=protocol.description) == as_then
    chosen = replace(settings(arithmetic=arithmetic, tests=None), protocol=protocol)
    measurer = Measurer(chosen)
    again = np.unpackbits(measurer.measure(bench.configurations[0]))[: bench.images]
    # Another machine may sum in another order, and turn an image or two around.
    assert (again != bench.correctness()[0]).sum() <= 8


@pytest.mark.slow
def test_the_file_is_the_same_for_any_number_of_workers_and_if_one_dies(
    whole, tmp_path, monkeypatch
):
    job = partial(MortalMeasurements, mark=tmp_path / "mark")
    monkeypatch.setattr("gp_emq.mqbench._build.MeasurementJob", job)
    out = tmp_path / "b.safetensors"
    assert build_here(out, "--jobs", 2) == 0
    assert (tmp_path / "mark" / "died").exists()
    assert out.read_bytes() == whole.read_bytes()


def test_what_is_lost_again_and_again_is_told_and_the_rest_kept(tmp_path):
    job = MeasurementJob(settings(), None)
    with pytest.raises(
        BenchError, match=r"configuration \[2, 3\] was lost: timed out; what is done"
    ):
        job.failed((2, 3), "timed out")
    with pytest.raises(BenchError, match="rounding of layer 4 at 2 bits was lost: worker died"):
        RoundingJob(settings(), None).failed((4, 2), "worker died")


@pytest.mark.slow
def test_a_killed_build_goes_on_where_it_was(whole, tmp_path):
    out, partial = tmp_path / "b.safetensors", tmp_path / "b.safetensors.partial"
    measured = []
    for kill_at in (2, 5, 9):
        process = Forked(build_command(out, "--jobs", 1))
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if partial.exists() and len(partial.read_bytes().splitlines()) > kill_at:
                process.kill()
                break
            time.sleep(0.002)
        process.wait()
        assert not out.exists()
        measured.append(partial.read_bytes())
    # What was there stays as it was: nothing is measured twice.
    for earlier, later in itertools.pairwise(measured):
        complete = earlier[: earlier.rfind(b"\n") + 1]
        assert later.startswith(complete)
        assert len(later) > len(complete)
    assert build_here(out) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not partial.exists()


def test_a_finished_build_is_not_done_again(whole, monkeypatch):
    monkeypatch.setattr(Measurer, "measure", None)
    assert len(build_bench(settings(), count=12, out=whole).accuracies) == 12


def test_another_bench_is_not_overwritten(whole):
    before = whole.read_bytes()
    with pytest.raises(BenchError, match="holds a bench with other settings"):
        build_bench(settings(), count=13, out=whole)
    assert whole.read_bytes() == before


@pytest.mark.parametrize("arithmetic", ["float", "integer"])
def test_batch_norm_is_estimated_again(tmp_path, arithmetic):
    if choose_arithmetic(find_protocol("rtn")) == "float":
        arithmetic = "float"
    plain = build_bench(settings(arithmetic=arithmetic), count=3, out=tmp_path / "plain")
    again = build_bench(settings("rtn+bn", arithmetic=arithmetic), count=3, out=tmp_path / "bn")
    assert np.array_equal(plain.configurations, again.configurations)
    assert again.accuracies.mean() > plain.accuracies.mean()


def test_learned_rounding_is_learned_once(tmp_path, monkeypatch):
    options = settings("adaround", 3, tests=200)
    first = build_bench(options, count=3, out=tmp_path / "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    # Stop in the middle: the roundings learned so far are kept, and taken up again.
    original, seen, interrupted = Measurer.rounded_weight, [], []

    def counting(self, index, bits):
        if len(seen) == 20 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        if not self.is_learned(index, bits):
            seen.append((index, bits))
        return original(self, index, bits)

    monkeypatch.setattr(Measurer, "rounded_weight", counting)
    with pytest.raises(KeyboardInterrupt):
        build_bench(options, count=3, out=tmp_path / "b")
    second = build_bench(options, count=3, out=tmp_path / "b")
    assert len(seen) == len(set(seen)) == 14 * 3
    assert np.array_equal(first.correct, second.correct)
    nearest = build_bench(settings(tests=200), count=3, out=tmp_path / "c")
    assert not np.array_equal(first.correct, nearest.correct)


def test_blocks_are_reconstructed_for_each_configuration(tmp_path):
    chosen = settings("brecq", 2, tests=200)
    assert not chosen.protocol.weights.symmetric
    bench = build_bench(chosen, count=2, out=tmp_path / "b")
    assert bench.provenance["protocol"]["rounding"] == "block"
    assert np.array_equal(Measurer(chosen).measure(bench.configurations[1]), bench.correct[1])


def test_the_published_protocol_has_the_published_settings():
    protocol = find_protocol("brecq")
    assert (protocol.iterations, protocol.calibration_images) == (20_000, 1024)
    assert (protocol.weights.symmetric, protocol.weights.per_channel) == (False, False)
    assert protocol.weights.scale_rule == "mse-shrunk"
    assert protocol.activations.bits == 8


def opened(path):
    return partial_results(path, "one", "code", entries=2, form=Form(24))


def record(results, width):
    results.add([width, 2], np.arange(3, dtype=np.uint8))


def test_partial_results_lose_only_a_cut_line(tmp_path):
    path = tmp_path / "p"
    with opened(path) as results:
        record(results, 2)
        record(results, 3)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with opened(path) as results:
            assert len(results.measured) == whole[:length].count(b"\n", whole.find(b"\n") + 1)
            record(results, 3)
            record(results, 2)
        with opened(path) as results:
            assert len(results.measured) == 2
            assert all(list(v) == [0, 1, 2] for v in results.measured.values())


def test_a_damaged_line_alone_is_measured_again(tmp_path):
    path = tmp_path / "p"
    with opened(path) as results:
        for width in (2, 3, 4):
            record(results, width)
    content = bytearray(path.read_bytes())
    lines = content.split(b"\n")
    content[len(lines[0]) + len(lines[1]) + 4] ^= 1
    path.write_bytes(content)
    with opened(path) as results:
        assert list(results.measured) == [bytes([2, 2]), bytes([4, 2])]
        record(results, 3)
    with opened(path) as results:
        assert sorted(results.measured) == [bytes([width, 2]) for width in (2, 3, 4)]


@pytest.mark.parametrize(
    "text",
    [b"zz02 AAEC", b"0203 ****", b"020304 AAEC", b"0203 AAECAw==", b"0203", b"\xff\xff AAEC"],
)
def test_a_line_of_another_form_is_passed_over_though_its_checksum_is_right(tmp_path, text):
    path = tmp_path / "p"
    with opened(path) as results:
        record(results, 2)
    with path.open("ab") as file:
        file.write(text + b" %08x\n" % binascii.crc32(text))
    with opened(path) as results:
        assert list(results.measured) == [bytes([2, 2])]


def test_partial_results_of_another_build_are_refused(tmp_path):
    path = tmp_path / "p"
    PartialResults(path, "one", "code", entries=2, form=Form(24)).close()
    with pytest.raises(BenchError, match="left from a build with other settings"):
        PartialResults(path, "two", "code", entries=2, form=Form(24))
    with pytest.raises(BenchError, match=r"by another version of the code: .* remove the file"):
        PartialResults(path, "one", "other", entries=2, form=Form(24))
    path.write_bytes(b"something else entirely, and no build\n")
    before = path.read_bytes()
    with pytest.raises(BenchError, match="left from a build"):
        PartialResults(path, "one", "code", entries=2, form=Form(24))
    assert path.read_bytes() == before


def test_two_builds_cannot_write_the_same_file(tmp_path):
    first = PartialResults(tmp_path / "p", "one", "code", entries=2, form=Form(24))
    with pytest.raises(BenchError, match="another build is writing"):
        PartialResults(tmp_path / "p", "one", "code", entries=2, form=Form(24))
    first.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--protocol", "none"],
            "unknown protocol 'none': known are rtn, rtn+bias-correction, rtn+bn, ",
        ),
        (["--bits", "2,9"], "--bits must be widths of 2 to 8 as in 2,3,4, not '2,9'"),
        (["--configs", "0"], "--configs: must be a whole number of at least 1, got '0'"),
        (["--configs", "many"], "--configs: must be a whole number of at least 1, got 'many'"),
        (["--jobs", "0"], "--jobs: must be a whole number of at least 1, got '0'"),
        (["--out", "/nowhere/b"], "no folder /nowhere"),
        (["--network", "resnet1"], "unknown network 'resnet1'"),
        (["--weights", "gone.pt"], "no weights at gone.pt"),
        (["--test-images", "5000"], "5000 test images: there are 4000"),
        (["--test-images", "0"], "--test-images: must be a whole number of at least 1, got '0'"),
        (["--calibration-images", "797"], "797 calibration images: give 1 to 796"),
        (["--arithmetic", "exact"], "arithmetic must be auto, integer or float, not 'exact'"),
        (
            ["--protocol", "adaround", "--iterations", "0"],
            "--iterations: must be a whole number of at least 1, got '0'",
        ),
        (["--protocol", "rtn", "--iterations", "5"], "rtn learns no rounding"),
    ],
)
def test_wrong_arguments_give_one_line(tmp_path, capsys, monkeypatch, arguments, words):
    line = build_command(tmp_path / "b", *arguments)[1:]
    monkeypatch.delenv("GP_EMQ_DATA", raising=False)
    assert exit_status(lambda: command.main(line)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_labels_beyond_the_classes_are_noticed():
    with pytest.raises((DataError, NetworkError), match="tells 5 classes apart"):
        Measurer(settings(network=f"{__name__}:few_classes"))


def few_classes():
    from gp_emq.networks._cifar_resnet import CifarResNet

    return CifarResNet(1, (4, 4, 4), channels_in=1, classes=5), (1, 8, 8)


def test_integer_arithmetic_needs_symmetric_weights():
    with pytest.raises(BenchError, match="needs symmetric weights"):
        choose_arithmetic(find_protocol("brecq"), "integer")
    assert choose_arithmetic(find_protocol("brecq")) == "float"


@pytest.mark.parametrize("protocol", ["rtn+bn", "adaround"])
def test_threads_do_not_change_each_others_networks(tmp_path, protocol):
    chosen = settings(protocol, 2 if protocol == "adaround" else None, tests=200)
    alone = build_bench(chosen, count=6, out=tmp_path / "a")
    together = build_bench(
        chosen, count=6, out=tmp_path / "b", farm=FarmSettings(jobs=4, backend="threading")
    )
    assert np.array_equal(alone.correct, together.correct)
