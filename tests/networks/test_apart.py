"""Losses and metrics that compare the samples of a batch with each other are told from others."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gp_emq
from gp_emq.errors import StatisticsError
from gp_emq.networks import Metric, Workload

COUNT = 96
NUMBERS = torch.Generator().manual_seed(0)
QUERIES = torch.randn(COUNT, 6, generator=NUMBERS)
TIMES = torch.rand(COUNT, generator=NUMBERS)


class Pairs(nn.Module):
    """Brings queries and what they ask for to the same space."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, query: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
        return self.one(query), self.other(answer)


def in_batch(outputs: tuple[Tensor, Tensor], _: object) -> Tensor:
    scores = outputs[0] @ outputs[1].T
    return functional.cross_entropy(scores, torch.arange(len(scores)), reduction="none")


def found(outputs: tuple[Tensor, Tensor], _: object) -> Tensor:
    return (outputs[0] @ outputs[1].T).argmax(dim=1) == torch.arange(len(outputs[0]))


def survival(outputs: Tensor, times: Tensor) -> Tensor:  # Cox's partial likelihood
    risk = outputs[:, 0]
    at_risk = torch.where(times[None] >= times[:, None], risk[None], -torch.inf)
    return torch.logsumexp(at_risk, dim=1) - risk


def contrastive() -> Workload:
    samples = {"query": QUERIES, "answer": QUERIES + 1}
    recall = Metric("recall", lambda *given: found(*given).float().mean(), per_sample=False)
    return Workload(Pairs(), samples, loss=in_batch, metric=recall)


def cox() -> Workload:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))
    mean = Metric("loss", lambda *given: survival(*given).mean(), False, per_sample=False)
    return Workload(model, (QUERIES, TIMES), loss=survival, metric=mean)


@pytest.mark.parametrize("workload", [contrastive, cox])
@pytest.mark.parametrize("name", ["weight_gradient", "fisher_diagonal", "measured_loss"])
def test_a_loss_that_compares_samples_has_no_gradient_of_a_sample(workload, name: str) -> None:
    statistics = gp_emq.collect_statistics(workload(), bits=(2, 4))
    with pytest.raises(StatisticsError, match=r"on average among 32 and (-?0|-?\d.*e-\d+) alone"):
        statistics.tensor(name)
    assert float(statistics.tensor("measured_divergence").min()) > 0


def test_nothing_else_is_measured_by_such_a_loss() -> None:
    workload = contrastive()
    statistics = gp_emq.collect_statistics(workload, bits=(2, 4))
    with pytest.raises(StatisticsError, match="and 0 alone"):
        gp_emq.load_proxy("loss_change").table(statistics)
    assert gp_emq.load_proxy("output_divergence").table(statistics).any()
    asked = gp_emq.measured.MeasureOptions(measure_loss="loss")
    supervised = Workload(
        workload.model, (workload.samples, QUERIES), loss=in_batch, metric=workload.metric
    )
    with pytest.raises(StatisticsError, match="and 0 alone"):
        gp_emq.best_plan(supervised, bits=(2, 4), average_bits=3, measuring=asked)


def test_a_network_of_such_a_loss_is_planned_by_what_needs_none() -> None:
    plan = gp_emq.best_plan(contrastive(), bits=(2, 4, 8), average_bits=4)
    assert "depends on what else is in its batch" in plan.plan.provenance["raced"]


@pytest.mark.parametrize(
    "call",
    [
        lambda workload: workload.measured(batch=8),
        lambda workload: gp_emq.best_plan(workload, bits=(2, 4), average_bits=3),
        lambda workload: gp_emq.collect_statistics(workload, bits=(2, 4)).tensor("measured_metric"),
    ],
)
def test_a_metric_of_a_sample_that_compares_it_with_others_is_refused(call) -> None:
    workload = Workload(Pairs(), contrastive().samples, metric=Metric("recall", found))
    with pytest.raises(
        StatisticsError, match=r"sample \d+ it is 0 among 32 and 1 alone.*per_sample"
    ):
        call(workload)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_mean_over_parts_of_which_samples_have_more_or_fewer_is_taken(reduction: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9))
    words = torch.randint(1, 9, (24, 7))
    words *= torch.arange(7) < torch.randint(2, 8, (24, 1))  # 0 is no word

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        losses = functional.cross_entropy(
            logits.transpose(1, 2), targets, ignore_index=0, reduction=reduction
        )
        return losses if reduction == "mean" else losses.sum(1) / (targets > 0).sum(1)

    error = Metric("loss", loss, higher_is_better=False, per_sample=reduction == "none")
    workload = Workload(model, words, loss=loss, metric=error)
    assert float(workload.measured(batch=5).mean()) == pytest.approx(
        float(loss(model(words), words).detach().mean()), rel=1e-5
    )
    assert gp_emq.collect_statistics(workload, bits=(2, 4)).tensor("weight_gradient").any()
