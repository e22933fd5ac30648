"""Networks of any outputs and no labels lose by plans what their own metric says."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

import gp_emq
from gp_emq.errors import DataError
from gp_emq.networks import load_inputs

HELD_BACK = 1024


class Pair(nn.Module):
    """Of two inputs, and of two outputs, one of which is called logits."""

    def __init__(self):
        super().__init__()
        self.trunk, self.head = nn.Linear(12, 10), nn.Linear(10, 3)

    def forward(self, left, right):
        one, other = self.trunk(left).relu(), self.trunk(right).relu()
        return {"distance": (one - other).square().sum(1), "logits": self.head(one * other)}


class Points(nn.Module):
    """Of one output that is no logits: a map."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, image):
        return self.last(self.first(image).relu())


def of_rows(before, after):
    """The Kullback-Leibler divergence of logits, the mean over what lies between."""
    before, after = log_softmax(before, axis=-1), log_softmax(after, axis=-1)
    terms = (np.exp(before) * (before - after)).sum(axis=-1)
    return terms.reshape(len(terms), -1).mean(axis=1)


def of_numbers(before, after):
    return np.square(before - after).reshape(len(before), -1).mean(axis=1)


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


TOKENS = torch.randint(0, 20, (96, 6), generator=torch.Generator().manual_seed(0))
CASES = {
    "a pair": (Pair, {"left": drawn(96, 12), "right": drawn(96, 12).flip(0)}, "logits", of_rows),
    "tokens": (lambda: nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20)), TOKENS, None, of_rows),
    "a map": (Points, {"image": drawn(96, 2, 6, 6)}, None, of_numbers),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_loss_of_a_plan_is_the_divergence_of_its_metric(case):
    make, samples, named, by_hand = CASES[case]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
    workload = gp_emq.Workload(model, samples)
    found = gp_emq.best_plan(workload, average_bits=3, proxies=["mse", "relative_error"])
    inputs = load_inputs(None, workload=workload)
    calibration, held_back = inputs.calibration(48, 0), inputs.held_back(48, HELD_BACK, 0)
    confirming = held_back.part(slice(24, 48))  # the first half chose
    quantized = gp_emq.quantize(calibration, found.plan, method=found.certificate.method)

    def outputs(network):
        with torch.no_grad():
            given = gp_emq.networks.feed(network, confirming.samples)
        return (given[named] if named else given).double().numpy()

    expected = by_hand(outputs(model), outputs(quantized)).mean()
    line = found.certificate.lines[-1]
    assert line.name == "plan"
    assert line.loss.value == pytest.approx(expected, rel=1e-3)
    assert line.metric.value == pytest.approx(expected, rel=1e-3)
    assert found.certificate.lines[0].loss.value == 0


@pytest.mark.parametrize("labels", [None, torch.arange(96) % 3], ids=["answers", "labels"])
def test_sequences_come_as_the_message_says(labels):
    """Three axes may be one image: they are refused, with the way that is right."""

    class Sequences(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv1d(2, 4, 3), nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.first(x).relu().mean(2))

    model, samples = Sequences().eval(), drawn(96, 2, 9)
    with pytest.raises(DataError, match="dict by the name of the argument"):
        gp_emq.best_plan(model, samples, labels, average_bits=3)
    given = {"x": samples} if labels is None else ({"x": samples}, labels)
    found = gp_emq.best_plan(model, given, average_bits=3, proxies=["mse", "relative_error"])
    assert found.certificate.metric == ("divergence" if labels is None else "top-1")
