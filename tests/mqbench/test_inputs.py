import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from analysis.bench import write_bench_figure
from gp_emq import bench
from gp_emq.command import exit_status
from gp_emq.errors import BenchError, RunError
from gp_emq.mqbench import bench_inputs, find_protocol, load_bench
from gp_emq.mqbench._again import settings_of
from gp_emq.mqbench._file import write_bench
from gp_emq.mqbench._measure import Measurer
from gp_emq.mqbench._protocol import Protocol
from gp_emq.networks import load_images, load_network
from gp_emq.quantization import WeightQuantizer
from gp_emq.quantization.recipes import list_recipes


def test_inputs_of_the_digits_bench():
    inputs = bench_inputs(load_bench("digits"))
    assert inputs.calibration.samples.shape == (256, 1, 8, 8)
    assert inputs.calibration.targets.shape == (256,)
    assert inputs.quantizer == WeightQuantizer(scale_rule="mse-shrunk")
    # Undistorted training images, which the network labels rightly.
    rows = {image.numpy().tobytes() for image in load_images("digits", part="training").images}
    assert all(image.numpy().tobytes() in rows for image in inputs.calibration.samples)
    with torch.no_grad():
        found = inputs.network.model(inputs.calibration.samples).argmax(1)
        share = (found == inputs.calibration.targets).double().mean()
    assert share > 0.97


def test_scale_rules_in_files_mean_what_they_meant_when_written():
    earlier = load_bench("digits").provenance["protocol"]
    assert earlier["weights"]["scale_rule"] == "mse"
    assert Protocol.from_settings(earlier).weights.scale_rule == "mse-shrunk"
    assert find_protocol("rtn").weights.scale_rule == "mse"
    for recipe in list_recipes():
        protocol = find_protocol(recipe.name)
        again = Protocol.from_settings(json.loads(json.dumps(protocol.settings())))
        assert replace(again, description=protocol.description) == protocol


@pytest.mark.parametrize(
    "wrong", [{"format": 4}, {"rounding": "up"}, {"weights": None}, {"other": 1}]
)
def test_a_protocol_that_does_not_read_is_refused(wrong):
    with pytest.raises(BenchError, match="the protocol"):
        Protocol.from_settings({**find_protocol("rtn").settings(), **wrong})


def test_other_weights_are_refused(tmp_path):
    state = load_network("digits").model.state_dict()
    state["conv1.weight"] = state["conv1.weight"] + 1
    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file(state, file)
    with pytest.raises(BenchError, match="other weights than bench digits was measured with"):
        bench_inputs(load_bench("digits"), weights=file)


def test_other_layers_are_refused():
    digits = load_bench("digits")
    other = replace(digits, layers=tuple(f"other.{name}" for name in digits.layers))
    with pytest.raises(BenchError, match="the layers of digits are not those"):
        bench_inputs(other)


def test_an_imported_bench_has_no_inputs():
    with pytest.raises(BenchError, match="was imported"):
        bench_inputs(replace(load_bench("digits"), provenance={}))


@pytest.fixture
def run(capsys):
    """Run the command, and return its exit status, output and errors."""

    def call(*arguments):
        status = exit_status(lambda: bench.main([*map(str, arguments)]))
        return status, *capsys.readouterr()

    return call


def test_show_tells_what_a_bench_can_tell(tmp_path, run):
    status, printed, _ = run("show", "digits", "--plot", tmp_path / "digits.svg")
    assert status == 0
    for word in ("spread", "sampling error", "reliability", "noise ceiling", "additive ceiling"):
        assert word in printed
    assert "425: 212 training, 64 validation, 149 test" in printed
    assert (tmp_path / "digits.svg").read_text().startswith("<?xml")


def test_pictures_are_the_same_every_time(tmp_path):
    for name in ("one.svg", "two.svg"):
        write_bench_figure(load_bench("digits"), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    with pytest.raises(RunError, match="there is no folder"):
        write_bench_figure(load_bench("digits"), tmp_path / "no" / "one.svg")


def test_a_bench_of_other_layers_than_its_network_has_no_sizes(run, tmp_path):
    path = tmp_path / "foreign.safetensors"
    write_bench(replace(load_bench("digits"), network="resnet20"), path)
    status, _, error = run("show", path, "--plot", tmp_path / "foreign.svg")
    said = "error: the layers of resnet20 are not those of bench digits: the bench does "
    assert (status, error.startswith(said), error.count("\n")) == (2, True, 1)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_list_names_the_shipped_benches(run):
    status, printed, _ = run("list")
    assert status == 0
    assert "digits" in [line.split()[0] for line in printed.splitlines()]


def test_show_of_no_bench_gives_one_line(tmp_path, run):
    (tmp_path / "b.safetensors").write_bytes(b"damaged")
    for name in ("nowhere", tmp_path / "b.safetensors"):
        status, _, error = run("show", name)
        assert status == 2
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_statistics_of_learned_rounding_see_the_weights_that_the_bench_measured(tmp_path):
    """Against what the bench measures its configurations with."""
    bench = load_bench("plain-digits-adaround-channel")
    inputs, settings = bench_inputs(bench), settings_of(bench)
    assert inputs.protocol == settings.protocol
    assert not inputs.renormed
    protocol = replace(settings.protocol, iterations=3)
    inputs, settings = replace(inputs, protocol=protocol), replace(settings, protocol=protocol)
    measurer = Measurer(settings)
    rounding = inputs._rounding(tmp_path)
    assert rounding is not None
    for index, layer in enumerate(inputs.network.layers):
        expected = measurer.rounded_weight(index, 2).values()
        assert torch.equal(rounding.weight(layer, 2), expected)
    assert len([*tmp_path.rglob("*.safetensors")]) == len(inputs.network.layers)
    statistics = inputs.statistics(bench.bits, cache=None)
    nearest = replace(inputs, protocol=None).statistics(bench.bits, cache=None)
    tables = [one.tensor("recipe_divergence") for one in (statistics, nearest)]
    assert not torch.equal(*tables)
    assert torch.equal(nearest.tensor("measured_divergence"), tables[1])
    assert torch.equal(statistics.tensor("measured_divergence"), tables[1])
