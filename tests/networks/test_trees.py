"""Outputs in data classes and in mappings of classes of their own, and lists of one each."""

import operator
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gp_emq
from gp_emq.networks import Metric, Workload
from gp_emq.networks._trees import leaves_of, mapped, with_leaves

SAMPLES = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 3


@dataclass(frozen=True)
class Answer:
    logits: Tensor
    hidden: Tensor
    note: str = "mine"


class Named(dict):
    """As the outputs of transformers: what it holds are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]


class Pair(NamedTuple):
    first: Tensor
    second: int


ONE, TWO, THREE = torch.ones(2), torch.zeros(3), torch.full((1,), 2.0)
MADE_OF_THREE = [
    Answer(ONE, {"a": TWO, "b": THREE}),
    Named(a=ONE, b=Answer(TWO, THREE)),
    (ONE, [TWO, None, Pair(THREE, 5)]),
    OrderedDict(a=ONE, b=Named(c=(TWO, THREE))),
]


@pytest.mark.parametrize("value", MADE_OF_THREE)
def test_tensors_are_found_and_replaced_wherever_they_are(value: Any) -> None:
    found = [leaf for leaf in leaves_of(value) if isinstance(leaf, Tensor)]
    assert [id(leaf) for leaf in found] == [id(ONE), id(TWO), id(THREE)]
    other = mapped(lambda leaf: leaf + 1, value)
    assert type(other) is type(value)
    added = [leaf for leaf in leaves_of(other) if isinstance(leaf, Tensor)]
    assert [leaf.tolist() for leaf in added] == [[2, 2], [1, 1, 1], [3]]
    again = leaves_of(with_leaves(value, leaves_of(value)))
    assert all(map(operator.is_, again, leaves_of(value)))
    assert float(ONE.sum()) == 2


class Classifier(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        hidden = self.first(x).tanh()
        return self.kind(logits=self.last(hidden), hidden=hidden)


def plain(logits: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    return {"logits": logits, "hidden": hidden}


@pytest.fixture
def model() -> Classifier:
    torch.manual_seed(1)
    return Classifier(plain)


@pytest.mark.parametrize("kind", [Answer, Named])
def test_outputs_of_any_class_are_as_those_of_a_dict(model: Classifier, kind: Any) -> None:
    def diverging() -> tuple[Tensor, Tensor]:
        workload = Workload(model, {"x": SAMPLES})
        statistics = gp_emq.collect_statistics(workload, bits=(2, 4))
        quantized = gp_emq.quantize(workload, {"first": 3, "last": 4}, method="rtn")
        table = statistics.tensor("fisher_diagonal"), statistics.tensor("measured_divergence")
        return *table, workload.of(quantized).measured(batch=8)

    expected = diverging()
    model.kind = kind
    for ours, theirs in zip(diverging(), expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", [Answer, Named])
def test_losses_of_them_are_derived(model: Classifier, kind: Any) -> None:
    model.kind = kind
    workload = Workload(
        model,
        (SAMPLES, LABELS),
        loss=lambda y, labels: functional.cross_entropy(y.logits, labels, reduction="none"),
    )
    found = gp_emq.collect_statistics(workload, bits=(2, 4))
    functional.cross_entropy(model(SAMPLES).logits, LABELS).backward()
    expected = torch.cat([layer.weight.grad.flatten() for layer in (model.first, model.last)])
    assert torch.allclose(found.tensor("weight_gradient"), expected, atol=1e-7)


def test_outputs_of_them_have_the_floating_type_of_the_network(model: Classifier) -> None:
    model.kind = Answer
    workload = Workload(model.bfloat16(), {"x": SAMPLES})
    quantized = gp_emq.quantize(workload, {"first": 4, "last": 4}, method="rtn")
    assert quantized(SAMPLES).logits.dtype == quantized(SAMPLES).hidden.dtype == torch.bfloat16


def measured(model: nn.Module, metric: Any, batch: int) -> float:
    judge = Metric("mine", metric, per_sample=False)
    return float(Workload(model, (SAMPLES, LABELS), metric=judge).measured(batch))


class Detector(Classifier):
    """Gives a list of a dict for each sample."""

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        values = self.last(self.first(x).tanh())
        return [{"boxes": row.expand(2, 3), "scores": row} for row in values]


class Summed(Classifier):
    """Gives what comes first in time, a state with samples in its middle, and a mean of all."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.first(x)
        return {
            "steps": torch.stack([hidden, hidden + 1, hidden + 2]),
            "mean": hidden.mean(dim=0),
            "size": hidden.square().mean(),
        }


@pytest.mark.parametrize("batch", [1, 2, 7, 20])
def test_a_metric_of_all_samples_is_of_the_outputs_of_all(batch: int) -> None:
    torch.manual_seed(2)
    detector, summed = Detector(None), Summed(None)

    def found(outputs: list[dict[str, Tensor]], labels: Tensor) -> Tensor:
        assert [set(one) for one in outputs] == [{"boxes", "scores"}] * len(labels)
        right = [
            one["scores"].argmax() == label for one, label in zip(outputs, labels, strict=True)
        ]
        return torch.stack(right).float().mean()

    scores = detector.last(detector.first(SAMPLES).tanh())
    expected = (scores.argmax(dim=1) == LABELS).float().mean()
    assert measured(detector, found, batch) == pytest.approx(float(expected))

    def of_all(outputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        assert outputs["steps"].shape == (3, len(labels), 6)
        return outputs["steps"].mean() + outputs["mean"].sum() + outputs["size"]

    hidden = summed.first(SAMPLES)
    expected = hidden.mean() + 1 + hidden.mean(dim=0).sum() + hidden.square().mean()
    assert measured(summed, of_all, batch) == pytest.approx(float(expected.detach()), rel=1e-5)
