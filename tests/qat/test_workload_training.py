"""Training on workloads: any inputs, loss and metric, from Python and by command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_workloads import SAMPLES, regression
from torch import Tensor, nn

from gp_emq.command import exit_status
from gp_emq.export import load_quantized
from gp_emq.networks import Workload, layers_of
from gp_emq.qat import QatSettings, train, warm_start
from gp_emq.qat.__main__ import main
from gp_emq.qat._samples import WorkloadSamples

NAME = "own_workloads:regression"


class Words(nn.Module):
    """Guesses the next of five tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.last = nn.Embedding(5, 8), nn.Linear(8, 5)
        self.middle = nn.Linear(8, 8)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"logits": self.last(self.middle(self.embedding(tokens)).tanh())}


def words() -> Workload:
    """Without a loss: what is trained for is nearness to the float network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Words()
    tokens = torch.randint(0, 5, (32, 6), generator=torch.Generator().manual_seed(1))
    return Workload(model, tokens)


def loss_of(workload: Workload, network: nn.Module) -> float:
    """The metric by hand, of all samples."""
    with torch.no_grad():
        if workload.targets is not None:
            return float((network(workload.samples) - workload.targets).square().mean())
        floating, found = (n(workload.samples)["logits"] for n in (workload.model, network))
        one, other = floating.softmax(-1), found.softmax(-1)
        return float((one * (one / other).log()).sum(-1).mean())


@pytest.mark.parametrize("make", [regression, words])
@pytest.mark.parametrize("distillation", [0.0, 0.5])
def test_training_brings_a_workload_nearer_to_what_it_is_for(
    make: Callable[[], Workload], distillation: float
) -> None:
    workload = make()
    workload.model.eval()
    before = {name: value.clone() for name, value in workload.model.state_dict().items()}
    layers = layers_of(workload.private(), workload.samples)
    widths = {layer.name: 2 for layer in layers}
    settings = QatSettings(
        epochs=30, batch=8, learning_rate=0.05, distillation=distillation, weight_decay=0.0
    )
    start = warm_start(workload.model, layers, widths, workload, settings)
    samples, records = WorkloadSamples(workload.answered()), []
    trained = train(
        workload.model, layers, widths, start, samples,
        settings=settings, test=workload.answered(), device="cpu", report=records.append,
    )  # fmt: skip
    assert loss_of(workload, trained) < 0.7 * loss_of(workload, start)
    assert records[-1].test_accuracy == pytest.approx(loss_of(workload, trained), rel=1e-3)
    after = workload.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_training_leaves_the_row_of_padding_as_it_was_rounded() -> None:
    """A table's other rows learn; that of padding has no gradient, as the user wants it."""
    workload = words()
    workload.model.embedding = nn.Embedding(5, 8, padding_idx=2, sparse=True)
    workload.model.eval()
    layers = layers_of(workload.private(), workload.samples)
    widths = {layer.name: 4 for layer in layers}
    settings = QatSettings(epochs=3, batch=8, learning_rate=0.05, weight_decay=0.0)
    with torch.no_grad():
        workload.model.embedding.weight[2] = torch.linspace(-1, 1, 8)
    start = warm_start(workload.model, layers, widths, workload, settings)
    assert set(start.activations) == {"middle", "last"}
    trained = train(
        workload.model, layers, widths, start, WorkloadSamples(workload.answered()),
        settings=settings, device="cpu",
    )  # fmt: skip
    before, after = (made.network.embedding.weight.detach() for made in (start, trained))
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [True, True, False, True, True]
    assert trained.network.embedding.padding_idx == 2


def test_the_command_trains_and_says_the_metric(tmp_path: Path, capsys) -> None:
    def run(folder: str) -> Path:
        arguments = [
            "--workload", NAME, "--test-workload", NAME, "--bits", "2", "--epochs", "20",
            "--batch", "8", "--learning-rate", "0.05", "--distillation", "0", "--images", "16",
            "--device", "cpu", "--out", str(tmp_path / folder),
        ]  # fmt: skip
        assert main(arguments) == 0
        return tmp_path / folder

    one = run("one")
    said = capsys.readouterr().out
    assert "trained         squared error" in said
    assert f" of {SAMPLES} samples" in said
    summary = json.loads((one / "summary.json").read_text())
    workload = regression()
    quantized = load_quantized(one / "quantized.safetensors", workload.model)
    assert summary["metric"] == "squared error"
    assert summary["accuracy"] == pytest.approx(loss_of(workload, quantized), rel=1e-3)
    assert summary["float_accuracy"] == pytest.approx(loss_of(workload, workload.model), rel=1e-4)
    assert summary["accuracy"] < summary["start_accuracy"]
    assert (run("two") / "quantized.safetensors").read_bytes() == (
        one / "quantized.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (f"--workload {NAME} --network digits", "give it without them"),
        (f"--workload {NAME} --test-data x.npz", "give it without them"),
        (f"--network digits --test-workload {NAME}", "for training on a --workload"),
        ("--workload own_workloads:failing", "fails: RuntimeError: no"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(arguments, message, tmp_path, capsys) -> None:
    words = [*arguments.split(), "--bits", "2", "--out", str(tmp_path / "out")]
    assert exit_status(lambda: main(words)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
