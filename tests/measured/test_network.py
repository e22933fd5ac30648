import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

import gp_emq
from gp_emq.allocation import CostSettings, search_space
from gp_emq.errors import AllocationError, NetworkError
from gp_emq.measured._network import MeasuringSettings, PlanNetwork
from gp_emq.networks import Workload, layers_of
from gp_emq.ptq import QuantizationSettings

BITS = (2, 3, 4)


@pytest.fixture(scope="module", name="model")
def make_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
        ).eval()


def images(seed: int, count: int) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def network_of(model, *, labels=None, cache=None, exclude=(), **settings) -> PlanNetwork:
    calibration = Workload(model, images(1, 32))
    layers = layers_of(calibration.private(), calibration.samples)
    space = search_space(layers, BITS, exclude=exclude)
    return PlanNetwork(
        calibration, Workload(model, images(2, 64), labels), space, MeasuringSettings(**settings),
        cache=cache,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "iterations"),
    [
        ("rtn", None), ("rtn+bn", None), ("adaround+bn-correction", 20),
        ("adaround+bias-correction", 20),
    ],
)  # fmt: skip
def test_what_is_measured_is_what_quantize_makes(model, method: str, iterations) -> None:
    found = network_of(
        model, method=method, quantization=QuantizationSettings(iterations=iterations)
    )
    for plan in ((2, 4), (4, 3)):
        quantized = gp_emq.quantize(
            model, {"0": plan[0], "4": plan[1]}, images(1, 32), method=method,
            iterations=iterations,
        )  # fmt: skip
        with torch.no_grad():
            before, after = (
                log_softmax(of(images(2, 64)).double().numpy(), axis=1) for of in (model, quantized)
            )
        expected = (np.exp(before) * (before - after)).sum(axis=1)
        answers = found.answers(plan, 64)
        np.testing.assert_allclose(answers.losses, expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(answers.values, before.argmax(1) == after.argmax(1))


@pytest.mark.parametrize("method", ["rtn+bn", "rtn+bn-correction", "rtn+bias-correction"])
@pytest.mark.parametrize(("held", "corrections"), [(64, 2), (1, 3)])
def test_a_plan_that_is_come_back_to_is_as_it_was(
    model, method: str, held: int, corrections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gp_emq.measured._network.CORRECTED", held)
    found, whole = (network_of(model, method=method) for _ in range(2))
    correct, corrected = found._correct, []
    monkeypatch.setattr(found, "_correct", lambda it: (corrected.append(0), correct(it)))
    plans = [(2, 4), (4, 2)]
    for plan in plans:
        found.answers(plan, 16)
    np.testing.assert_array_equal(
        found.answers(plans[0], 64).losses, whole.answers(plans[0], 64).losses
    )
    assert len(corrected) == corrections


def test_layers_in_float_stay_so(model) -> None:
    found = network_of(model, exclude=["4"])
    quantized = gp_emq.quantize(model, {"0": 2}, images(1, 32), method="rtn")
    with torch.no_grad():
        right = quantized(images(2, 64)).argmax(1) == model(images(2, 64)).argmax(1)
    np.testing.assert_array_equal(found.answers((2, 32), 64).values, right.numpy())


def test_the_loss_on_labels_is_cross_entropy(model) -> None:
    labels = torch.arange(64) % 5
    found = network_of(model, labels=labels, loss="loss").answers((3, 3), 64)
    quantized = gp_emq.quantize(model, {"0": 3, "4": 3}, images(1, 32), method="rtn")
    with torch.no_grad():
        log_shares = log_softmax(quantized(images(2, 64)).double().numpy(), axis=1)
    expected = -log_shares[np.arange(64), labels.numpy()]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-3, atol=1e-6)


def test_the_float_network_diverges_from_itself_by_nothing(model) -> None:
    found = network_of(model).floating()
    np.testing.assert_array_equal(found.losses, 0)
    np.testing.assert_array_equal(found.values, 1)


def test_what_was_measured_is_kept_and_what_is_damaged_is_measured_again(model, tmp_path) -> None:
    first = network_of(model, cache=tmp_path)
    losses = first.answers((2, 3), 32).losses
    assert first.passes == 32
    files = [path for path in (tmp_path / "measured").rglob("*") if path.is_file()]
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"x")
    again = network_of(model, cache=tmp_path)
    np.testing.assert_array_equal(again.answers((2, 3), 32).losses, losses)
    assert again.passes == again.batch
    other = network_of(model, cache=tmp_path, method="rtn+bn")
    other.answers((2, 3), 32)
    assert other.passes == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "brecq"}, "brecq learns every plan anew"),
        ({"loss": "nonsense"}, "loss must be divergence or loss, not 'nonsense'"),
        ({"loss": "loss"}, "no labels to measure a loss on"),
    ],
)
def test_what_cannot_be_measured_is_refused(model, settings, message: str) -> None:
    with pytest.raises(AllocationError, match=message):
        network_of(model, **settings)


class Drifts(nn.Module):
    """Counts its passes, in a buffer or an attribute, and gives other logits after each."""

    def __init__(self, *, in_buffer: bool) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
        self.in_buffer, self.seen = in_buffer, 0.0
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shifted = x + (self.passes if self.in_buffer else self.seen)
        self.passes += 1
        self.seen += 1.0
        return self.last(self.first(shifted).relu())


@pytest.mark.parametrize("in_buffer", [True, False])
def test_no_plan_is_measured_after_what_others_left_in_the_network(in_buffer: bool) -> None:
    model = Drifts(in_buffer=in_buffer)
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    workload = Workload(model, {"x": inputs})
    layers = layers_of(workload.private(), workload.samples)
    found = PlanNetwork(
        workload, workload, search_space(layers, BITS), MeasuringSettings(method="rtn")
    )
    for widths in ((2, 2), (4, 4), (2, 4)):
        small = gp_emq.quantize(
            workload, dict(zip(("first", "last"), widths, strict=True)), method="rtn"
        )
        expected = workload.of(small).measured(batch=found.batch)
        np.testing.assert_allclose(found.answers(widths, 64).losses, expected, rtol=1e-3, atol=1e-6)


class Derives(nn.Module):
    """Gives an energy and its slope, which rounded inputs of layers have none of."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = self.last(self.first(x).tanh())
            slope = torch.autograd.grad(energy.sum(), x, create_graph=True)[0]
            return torch.cat([energy, slope], dim=1)


def test_a_network_that_derives_by_its_inputs_is_planned_with_inputs_in_float() -> None:
    torch.manual_seed(0)
    workload = Workload(Derives(), {"x": torch.randn(80, 4)})
    line = r"the network fails on a dict of tensors .* activation_bits=32 of quantize, or of Cost"
    with pytest.raises(NetworkError, match=line):
        gp_emq.best_plan(workload, average_bits=3)
    found = gp_emq.best_plan(workload, average_bits=3, settings=CostSettings(activation_bits=32))
    lines = {one.name: one.loss.value for one in found.certificate.lines}
    assert lines["float"] == 0 < lines["plan"]
    small = gp_emq.quantize(workload, found.plan)
    losses = workload.of(small).measured(batch=80)
    assert not losses.requires_grad
    assert losses.mean() == pytest.approx(lines["plan"], rel=0.9)
