import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantized_networks import Pair, noise, quantize_network
from torch import nn

from gp_emq.errors import ExportError, RunError
from gp_emq.export import load_quantized, save_packed
from gp_emq.export._loading import load_provenance
from gp_emq.quantization import QuantizationParameters, QuantizedModel, QuantizedWeight


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_refused_in_one_line(packed, data) -> None:
    content = bytearray(packed[0].read_bytes())
    if data.draw(st.booleans(), label="cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), label="length")]
    else:
        # Spaces fill the header up and mean nothing.
        meaningful = [place for place, byte in enumerate(content) if byte != ord(" ")]
        place = data.draw(st.sampled_from(meaningful), label="place")
        content[place] ^= data.draw(st.integers(1, 255), label="flipped")
    damaged = packed[0].with_name("damaged.safetensors")
    damaged.write_bytes(content)
    with pytest.raises(ExportError, match=r"\A.*damaged\.safetensors.*\Z"):
        load_quantized(damaged, Pair(2, 2, 3, 4, bias=True))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(), "Sequential has no layer convolution"),
        (Pair(3, 2, 3, 4, bias=True), r"convolution has the shape \(4, 1, 3, 3\) in the file"),
        (Pair(2, 2, 3, 4, bias=False), r"the network lacks convolution\.bias, linear\.bias"),
    ],
)
def test_another_network_is_refused(packed, model, words) -> None:
    with pytest.raises(ExportError, match=words):
        load_quantized(packed[0], model)


def test_a_network_with_more_is_refused(packed) -> None:
    more = Pair(2, 2, 3, 4, bias=True)
    more.extra = nn.Parameter(torch.zeros(1))
    with pytest.raises(ExportError, match="the file lacks extra"):
        load_quantized(packed[0], more)


def test_files_of_another_kind_are_refused(tmp_path) -> None:
    with pytest.raises(ExportError, match=r"cannot read .*nothing: No such file"):
        load_provenance(tmp_path / "nothing")
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ExportError, match="network: its metadata lacks 'gp_emq_packed'"):
        load_provenance(path)
    path.write_text("text that is long enough to have a length")
    with pytest.raises(ExportError, match="no quantized network, or is damaged"):
        load_provenance(path)


def on_grid(low: int, high: int, scale=0.5, zero_point=0.0) -> QuantizedWeight:
    grid = QuantizationParameters(torch.tensor(scale), torch.tensor(zero_point), low, high)
    return QuantizedWeight(torch.full((2, 3), high, dtype=torch.int16), grid)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (on_grid(-127, 127), "a grid of the integers -127 to 127"),
        (on_grid(-1, 0), "a grid of the integers -1 to 0"),
        (on_grid(0, 511), "a grid of the integers 0 to 511"),
        (on_grid(-4, 3, zero_point=1.0), "a zero point that is no integer of 0 to 0"),
        (on_grid(0, 7, zero_point=0.5), "a zero point that is no integer of 0 to 7"),
        (on_grid(0, 7, scale=-1.0), "a scale that is not positive"),
        (on_grid(0, 7, scale=[[1.0, 1.0, 1.0]], zero_point=[[0.0] * 3]), r"shape \(1, 3\)"),
        (
            QuantizedWeight(torch.full((2, 3), 4, dtype=torch.int16), on_grid(-4, 3).parameters),
            "integers from 4 to 4, but its grid those from -4 to 3",
        ),
    ],
)
def test_grids_that_cannot_be_stored_are_refused(tmp_path, weight, words) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    layers = quantize_network(model, noise(1, 3), 3)[1]
    path = tmp_path / "refused.safetensors"
    with pytest.raises(ExportError, match=words):
        save_packed(QuantizedModel(model, {"0": weight}, {}), layers, path)
    assert not path.exists()


def test_what_else_cannot_be_stored_is_refused(packed, tmp_path) -> None:
    _, quantized, layers = packed
    path = tmp_path / "refused.safetensors"
    with pytest.raises(ExportError, match="the quantized layer convolution is none of linear"):
        save_packed(quantized, layers[1:], path)
    with pytest.raises(ExportError, match="the provenance does not fit into JSON"):
        save_packed(quantized, layers, path, provenance={"plan": object()})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match="cannot write"):
        save_packed(quantized, layers, tmp_path / "missing" / "file.safetensors")
