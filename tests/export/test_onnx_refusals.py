import sys

import pytest
import torch
from quantized_networks import noise, quantize_network
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import ExportError, RunError
from gp_emq.export import export_onnx
from gp_emq.quantization import ActivationQuantizer


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.last = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.first(images.flatten(1)))


class Deciding(Small):
    """Goes another way where the values say so, which no graph can."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.flatten(1))
        return self.last(hidden if hidden.mean() > 0 else -hidden)


class Halved(nn.Module):
    """Has a convolution of bfloat16, which ONNX knows from opset 22 on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 3, 2), nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.last(self.first(images).flatten(1)).float()


class Counting(Small):
    """Makes a constant of the number of images."""

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.first(images.reshape(len(images), 4)))


class Remembering(Small):
    """Counts its passes, and adds the count to what it is fed, or does nothing with it."""

    def __init__(self, *, uses: bool) -> None:
        super().__init__()
        self.uses = uses
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.flatten(1))
        hidden = hidden + self.passes if self.uses else hidden
        self.passes += 1
        return self.last(hidden)


def small(model=None, **quantizers):
    torch.manual_seed(0)
    model = model or Small()
    return quantize_network(model, noise(4, 1, 2, 2), {"first": 3, "last": 4}, **quantizers)


def test_strictness_names_the_layers_whose_widths_have_no_type(tmp_path) -> None:
    path = tmp_path / "strict.onnx"
    with pytest.raises(ExportError, match=r"opset 21 has no integers .*: weight of first \(3\);"):
        export_onnx(*small(), path, (1, 2, 2), strict=True)
    words = (
        r"weight of first \(3\), weight of last \(4\), input of first \(6\), input of last \(6\)"
    )
    with pytest.raises(ExportError, match=f"opset 18 .*: {words}"):
        export_onnx(
            *small(activations=ActivationQuantizer(6)), path, (1, 2, 2), strict=True, opset=18
        )
    assert not path.exists()


def test_what_a_network_remembers_is_refused_where_outputs_need_it(tmp_path) -> None:
    path = tmp_path / "state.onnx"
    with pytest.raises(ExportError, match="Remembering keeps passes from one pass to the next"):
        export_onnx(*small(Remembering(uses=True).eval()), path, (1, 2, 2))
    assert not path.exists()
    export_onnx(*small(Remembering(uses=False).eval()), path, (1, 2, 2))
    assert path.exists()


@pytest.mark.parametrize("opset", [17, 26])
def test_other_opsets_are_refused(tmp_path, opset) -> None:
    with pytest.raises(ExportError, match=f"the opset must be 18 to 25, not {opset}"):
        export_onnx(*small(), tmp_path / "x.onnx", (1, 2, 2), opset=opset)


def test_an_empty_batch_is_refused(tmp_path) -> None:
    with pytest.raises(ExportError, match="the batch must have at least one image, not 0"):
        export_onnx(*small(), tmp_path / "x.onnx", (1, 2, 2), batch=0)


def test_a_network_that_does_not_export_is_refused_in_one_line(tmp_path, capfd) -> None:
    path = tmp_path / "deciding.onnx"
    with pytest.raises(ExportError, match=r"\ADeciding does not export to ONNX .*\Z") as caught:
        export_onnx(*small(Deciding()), path, (1, 2, 2))
    assert "data-dependent" in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not path.exists()


class Two(Small):
    """Takes two inputs."""

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        return super().forward(images - others)


def test_a_network_of_several_inputs_is_refused_in_one_line(tmp_path) -> None:
    torch.manual_seed(0)
    model, images = Two(), (noise(4, 1, 2, 2), noise(4, 1, 2, 2))
    workload = gp_emq.Workload(model, (images, torch.arange(4) % 2))
    quantized = gp_emq.quantize(workload, {"first": 3, "last": 4}, method="rtn")
    layers = gp_emq.collect_statistics(workload, bits=(2, 4)).layers
    with pytest.raises(ExportError, match="Two takes several inputs, and an ONNX file is") as error:
        export_onnx(quantized, layers, tmp_path / "two.onnx", (1, 2, 2))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "shape", [((1, 2, 2), (1, 2, 2)), (1, 0, 2), (1, 2.0, 2), (-1, 2), 4, "122", None], ids=repr
)
def test_what_is_no_shape_of_a_sample_is_refused(tmp_path, shape) -> None:
    with pytest.raises(ExportError, match=r"input_shape must be whole numbers .*, not ") as error:
        export_onnx(*small(), tmp_path / "small.onnx", shape)
    assert repr(shape) in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_network_for_one_size_of_batch_alone_says_so(tmp_path) -> None:
    quantized, layers = small(Counting())
    path = tmp_path / "counting.onnx"
    with pytest.raises(ExportError, match=r"batches of any size, .*as len\(images\) does"):
        export_onnx(quantized, layers, path, (1, 2, 2))
    assert not path.exists()
    export_onnx(quantized, layers, path, (1, 2, 2), batch=3)
    assert path.exists()


@pytest.mark.parametrize("package", ["onnxscript", "onnx"])
def test_missing_packages_are_named_with_the_command(tmp_path, monkeypatch, package) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for module in ("_onnx_graph", "_onnx_trace"):
        monkeypatch.delitem(sys.modules, f"gp_emq.export.{module}", raising=False)
    with pytest.raises(ExportError, match=rf"{package}.*: pip install gp_emq\[onnx\]"):
        export_onnx(*small(), tmp_path / "x.onnx", (1, 2, 2))


def test_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        export_onnx(*small(), tmp_path / "missing" / "x.onnx", (1, 2, 2))
    assert list(tmp_path.iterdir()) == []


def test_what_the_opset_does_not_have_is_said_in_one_line(tmp_path) -> None:
    path = tmp_path / "half.onnx"
    with pytest.raises(ExportError, match=r"opset 21 of ONNX does not have .*bfloat16") as caught:
        export_onnx(*small(Halved()), path, (1, 2, 2))
    assert "\n" not in str(caught.value)
    assert not path.exists()
