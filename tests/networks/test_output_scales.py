"""Outputs of any size are planned and measured as others are; what says nothing is refused."""

import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import AllocationError, StatisticsError
from gp_emq.measured._contenders import contenders
from gp_emq.networks import Workload

SAMPLES = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
BITS = 2, 4, 8


class Scaled(nn.Module):
    """Multiplies what it gives, logits or other numbers."""

    def __init__(self, factor: float, name: str) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.factor, self.name = factor, name

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {self.name: self.last(self.first(x).relu()) * self.factor}


def workload(factor: float, name: str = "force") -> Workload:
    return Workload(Scaled(factor, name), {"x": SAMPLES})


def tables(given: Workload) -> dict[str, Tensor]:
    statistics = gp_emq.collect_statistics(given.part(slice(0, 32)), bits=BITS)
    return {name: torch.tensor(proxy.table(statistics)) for name, proxy in contenders().items()}


@pytest.fixture(scope="module")
def usual() -> dict[str, Tensor]:
    return tables(workload(1.0))


# Powers of two, which cost no digit; 2 ** -76 is 1.3e-23, and 2 ** 70 is 1.2e21.
@pytest.mark.parametrize("power", [-120, -76, -40, -14, 14, 40, 70, 100])
def test_the_size_of_outputs_changes_no_ranking(power: int, usual: dict[str, Tensor]) -> None:
    found = tables(workload(2.0**power))
    for name, table in usual.items():
        # Proxies that are no sums go with a power of the scale.
        ours, theirs = (values - values[:, -1:] for values in (found[name], table))
        ratio = float(ours.norm() / theirs.norm())
        assert ratio > 0
        assert torch.allclose(ours / ratio, theirs, rtol=1e-3, atol=1e-6 * float(theirs.norm())), (
            name
        )


@pytest.mark.parametrize("power", [-76, 70])
def test_the_divergence_goes_with_the_square_of_the_size(power: int) -> None:
    widths, losses = {"first": 3, "last": 4}, []
    for factor in (1.0, 2.0**power):
        given = workload(factor)
        quantized = gp_emq.quantize(given, widths, method="rtn", activation_bits=32)
        losses.append(float(given.of(quantized).measured(batch=16).double().mean()))
    assert losses[1] == pytest.approx(losses[0] * 4.0**power, rel=1e-4)
    given, usual = (
        gp_emq.best_plan(workload(f), bits=BITS, average_bits=4) for f in (2.0**power, 1)
    )
    assert given.plan.widths == usual.plan.widths
    lost, expected = given.certificate.lines[-1].metric, usual.certificate.lines[-1].metric
    assert lost.value == pytest.approx(expected.value * 4.0**power, rel=1e-4)


@pytest.mark.parametrize(
    ("factor", "words"), [(1e-23, "all alike.*multiply"), (1e21, "no room.*di")]
)
def test_logits_that_no_divergence_can_be_had_of_are_refused(factor: float, words: str) -> None:
    answers = torch.arange(64) % 3
    diverging = workload(factor, "logits")
    classifier = nn.Sequential(nn.Linear(6, 3))
    classifier[0].weight.data *= factor
    nn.init.zeros_(classifier[0].bias)
    for given in (
        diverging,
        Workload(classifier, {"input": SAMPLES}),
        Workload(classifier, ({"input": SAMPLES}, answers)),
    ):
        with pytest.raises(StatisticsError, match=words):
            gp_emq.collect_statistics(given, bits=BITS)


def test_a_network_that_answers_every_sample_alike_is_not_planned() -> None:
    class Constant(Scaled):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {self.name: super().forward(x)[self.name] * 0 + 3}

    for name in ("force", "logits"):
        given = Workload(Constant(1.0, name), {"x": SAMPLES})
        with pytest.raises(AllocationError, match="the same outputs for each of 32 samples"):
            gp_emq.best_plan(given, bits=BITS, average_bits=4)
        statistics = gp_emq.collect_statistics(given, bits=BITS)
        table = gp_emq.load_proxy("gp-views").table(statistics)
        words = "table of gp-views must be finite, and the score of first at 2 bits is nan.*same"
        with pytest.raises(AllocationError, match=words):
            gp_emq.allocate(table, average_bits=4)


def test_classes_that_are_masked_by_infinities_are_refused_with_what_to_do() -> None:
    class Masked(Scaled):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            logits = super().forward(x)[self.name]
            return {self.name: logits.masked_fill(torch.tensor([False, True, False]), -torch.inf)}

    given = Workload(Masked(1.0, "logits"), {"x": SAMPLES})
    statistics = gp_emq.collect_statistics(given, bits=BITS)
    with pytest.raises(StatisticsError, match=r"image 0 is not finite; where it masks, .* -1e4"):
        statistics.tensor("fisher_diagonal")
