"""Workloads without a loss: how far outputs are from those of the float network."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.utils import _pytree

import gp_emq
from gp_emq.errors import DataError, NetworkError, StatisticsError
from gp_emq.networks import Metric, Workload

COUNT = 6


class Heads(nn.Module):
    """Two inputs, two heads of different shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.vector = nn.Conv2d(1, 2, 3), nn.Linear(3, 8)
        self.box, self.mask = nn.Linear(16, 4), nn.Linear(16, 9)

    def forward(self, image: Tensor, vector: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        both = torch.cat([self.image(image).flatten(1), self.vector(vector)], dim=1).tanh()
        return {"box": self.box(both)}, self.mask(both).unflatten(1, (3, 3))


class Words(nn.Module):
    """Guesses the next of five tokens, and gives logits alone or by name."""

    def __init__(self, *, named: bool) -> None:
        super().__init__()
        self.named = named
        self.embedding, self.middle = nn.Embedding(5, 4), nn.Linear(4, 6)
        self.last = nn.Linear(6, 5)

    def forward(self, tokens: Tensor) -> Tensor | dict[str, object]:
        found = self.last(self.middle(self.embedding(tokens)).tanh())
        return {"logits": found, "cache": (1, "x")} if self.named else found


def made(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().eval()


NUMBERS = torch.Generator().manual_seed(3)
IMAGES = torch.randn(COUNT, 1, 4, 4, generator=NUMBERS)
VECTORS = torch.randn(COUNT, 3, generator=NUMBERS)
TOKENS = torch.randint(0, 5, (COUNT, 7), generator=NUMBERS)


def heads() -> Workload:
    return Workload(made(Heads), {"image": IMAGES, "vector": VECTORS})


def words(*, named: bool = False) -> Workload:
    return Workload(made(lambda: Words(named=named)), TOKENS)


def classes() -> Workload:
    model = made(lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)))
    return Workload(model, VECTORS, forward=lambda network, x: network(x))


def by_hand(name: str, before: object, after: object) -> np.ndarray:
    """The divergence of each sample, by plain sums in float64."""
    if name == "heads":
        rows = [
            np.concatenate([o[0]["box"].numpy(), o[1].flatten(1).numpy()], axis=1)
            for o in (before, after)
        ]
        return ((rows[0] - rows[1]) ** 2).mean(axis=1)
    logits = [(o["logits"] if name == "named" else o).double().numpy() for o in (before, after)]
    p, q = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in logits)
    return (p * np.log(p / q)).sum(axis=-1).reshape(COUNT, -1).mean(axis=1)


CASES: dict[str, Callable[[], Workload]] = {
    "heads": heads, "words": words, "named": lambda: words(named=True), "classes": classes,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_metric_is_the_distance_from_the_float_outputs(name: str) -> None:
    workload = CASES[name]()
    assert (workload.metric.name, workload.metric.higher_is_better) == ("divergence", False)
    table = gp_emq.load_proxy("fit").table(gp_emq.collect_statistics(workload, bits=(2, 4, 8)))
    plan = gp_emq.allocate(table, average_bits=4)
    small = gp_emq.quantize(workload, plan, method="rtn")
    with torch.no_grad():
        before, after = (
            workload.forward(network, workload.samples) for network in (workload.model, small)
        )
    found = workload.of(small).measured(batch=4)
    np.testing.assert_allclose(found, by_hand(name, before, after), rtol=1e-4, atol=1e-7)
    assert float(workload.measured(batch=4).abs().max()) == pytest.approx(0, abs=1e-6)


def constant(name: str, outputs: object) -> object:
    """Outputs that are the mean of all, of logits the logarithm of the mean of their softmax."""
    if name == "heads":
        box, mask = outputs[0]["box"], outputs[1]
        mean = {"box": box.mean(0).expand_as(box)}
        return mean, mask.mean(0).expand_as(mask)
    logits = outputs["logits"] if name == "named" else outputs
    mean = logits.double().softmax(-1).flatten(0, -2).mean(0).log().expand_as(logits)
    return {"logits": mean} if name == "named" else mean


@pytest.mark.parametrize("name", CASES)
def test_the_mean_answer_is_the_nearest_of_those_that_know_no_input(name: str) -> None:
    workload = CASES[name]()
    with torch.no_grad():
        whole = workload.forward(workload.model, workload.samples)
        parts = [
            workload.forward(workload.model, workload.part(slice(start, start + 4)).samples)
            for start in (0, 4)
        ]
    found = float(workload.divergence_of_mean(zip(parts, (4, 2), strict=True)))
    mean = constant(name, whole)
    assert found == pytest.approx(by_hand(name, whole, mean).sum(), rel=1e-4)
    other = _pytree.tree_map_only(
        Tensor, lambda x: x + 0.1 * torch.linspace(-1, 1, x.shape[-1]).expand_as(x), mean
    )
    assert found < by_hand(name, whole, other).sum()


@pytest.mark.parametrize("name", CASES)
def test_every_proxy_of_outputs_and_curvature_is_there_without_labels(name: str) -> None:
    workload = CASES[name]()
    statistics = gp_emq.collect_statistics(workload, bits=(2, 8))
    for proxy in ("fit", "hawq_v2", "loss_change", "output_divergence", "accuracy_change"):
        table = np.asarray(gp_emq.load_proxy(proxy).table(statistics))
        assert np.isfinite(table).all(), proxy
        assert (table[:, 1] >= table[:, 0]).mean() > 0.5, proxy
    # What one layer's width does to the outputs, by hand.
    table = np.asarray(gp_emq.load_proxy("output_divergence").table(statistics))
    layer = statistics.layers[-1].name
    changes = statistics.layout("WeightsPerBit").views(statistics.perturbation())[-1]
    weights = dict(workload.model.named_parameters())
    changed = {f"{layer}.weight": weights[f"{layer}.weight"].detach() + changes[0]}
    samples = workload.samples
    arguments = ((), dict(samples)) if isinstance(samples, dict) else ((samples,), {})
    with torch.no_grad():
        before = functional_call(workload.model, {}, *arguments)
        after = functional_call(workload.model, changed, *arguments)
    assert table[-1, 0] == pytest.approx(-by_hand(name, before, after).mean(), rel=1e-3)


def test_stand_ins_give_the_squared_jacobian_on_average() -> None:
    """E[(2/v · Σ e_k J_k)²] = 4σ²/v² · Σ J_k²: the diagonal of Gauss-Newton, up to a factor."""
    many = torch.randn(1500, 2, generator=torch.Generator().manual_seed(5))
    model = made(lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3)))
    named = Workload(model, {"input": many}, forward=lambda net, x: {"y": net(x["input"])})
    statistics = gp_emq.collect_statistics(named, bits=(2, 8))
    fisher = statistics.layout("Weights").views(statistics.tensor("fisher_diagonal"))[0]
    weight = model[0].weight.detach()

    def outputs(value: Tensor) -> Tensor:
        return functional_call(model, {"0.weight": value}, (many,))

    jacobian = jacrev(outputs)(weight)
    spread = float(model(many).detach().numpy().std())
    expected = 4 * spread**2 / 9 * jacobian.square().sum(dim=1).mean(dim=0)
    np.testing.assert_allclose(fisher, expected.detach(), rtol=0.2)


def test_a_metric_of_its_own_beside_the_divergence() -> None:
    masks = torch.randint(0, 2, (COUNT, 3, 3), generator=torch.Generator().manual_seed(1))

    def overlap(outputs: tuple[object, Tensor], wanted: Tensor) -> Tensor:
        return ((outputs[1] > 0) == (wanted > 0)).double().mean(dim=(1, 2))

    batches = ({"image": IMAGES, "vector": VECTORS}, masks)
    workload = Workload(made(Heads), batches, metric=Metric("overlap", overlap))
    assert workload.diverges
    with torch.no_grad():
        expected = overlap(workload.model(**workload.samples), masks)
    assert torch.equal(workload.measured(batch=4), expected)
    statistics = gp_emq.collect_statistics(workload, bits=(2, 8))
    assert np.isfinite(np.asarray(gp_emq.load_proxy("accuracy_change").table(statistics))).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Workload(made(Heads), ({"image": IMAGES, "vector": VECTORS}, VECTORS)),
            DataError, "the targets are a tensor of shape .6, 3., which are no labels",
        ),
        (
            lambda: Workload(
                made(Heads), ({"image": IMAGES, "vector": VECTORS}, VECTORS),
                forward=lambda network, x: network(**x),
            ),
            DataError, r"the targets are a tensor of shape \(6, 3\), which are no labels",
        ),
        (
            lambda: gp_emq.collect_statistics(made(Heads), IMAGES, bits=(2, 8)),
            NetworkError, r"fails on images of shape \(1, 1, 4, 4\): TypeError: .*'vector'",
        ),
        (
            lambda: gp_emq.collect_statistics(
                nn.Sequential(nn.Conv2d(1, 2, 3)), IMAGES, bits=(2, 8)
            ),
            StatisticsError, r"\(1, 2, 2, 2\); a network of other outputs is",
        ),
        (
            lambda: gp_emq.collect_statistics(
                Workload(Words(named=False), TOKENS, forward=lambda _n, _x: {"a": 1}), bits=(2,)
            ),
            (StatisticsError, NetworkError), "Dict|dict of a|called no",
        ),
        (lambda: Workload(made(Heads), "images.npz"), DataError, "images are str"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_what_is_expected_is_said(call, error, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_outputs_of_half_precision_are_compared_in_float32(kind: torch.dtype) -> None:
    class Halved(nn.Module):
        def __init__(self, asked: torch.dtype) -> None:
            super().__init__()
            self.layer, self.asked = nn.Linear(4, 3), asked

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).to(self.asked)  # as autocast within a forward leaves it

    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, other = Halved(kind), Halved(kind)
    with torch.no_grad():
        before, after = (one.layer(inputs).to(kind).float() for one in (model, other))
    wanted = (before.softmax(1) * (before.log_softmax(1) - after.log_softmax(1))).sum(1)
    found = Workload(model, {"x": inputs}).of(other).measured(4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted.detach(), atol=1e-6, rtol=1e-3)
    metric = Metric("first", lambda outputs, _targets: outputs[:, 0])
    values = Workload(model, {"x": inputs}, metric=metric).measured(4)
    assert torch.equal(values, before[:, 0])


def test_outputs_that_count_as_logits_unsaid_are_remarked_on() -> None:
    samples = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))

    class Named(nn.Sequential):
        def forward(self, input: Tensor) -> dict[str, Tensor]:  # noqa: A002 - as torch has it
            return {"value": super().forward(input)}

    guessed = Workload(nn.Sequential(nn.Linear(4, 3)), {"input": samples})
    assert guessed.remark.startswith("outputs (n, 3) count as logits")
    text = gp_emq.best_plan(guessed, bits=(2, 4), average_bits=3).text
    assert text.endswith(f"note: {guessed.remark}\n")
    square = Metric("square", lambda y, _: y.square().mean(1))
    for other in (
        Workload(Named(nn.Linear(4, 3)), {"input": samples}),
        Workload(nn.Sequential(nn.Linear(4, 1)), {"input": samples}),
        Workload(nn.Sequential(nn.Linear(4, 3)), {"input": samples}, metric=square),
        Workload(nn.Sequential(nn.Linear(4, 3)), ({"input": samples}, torch.zeros(64).long())),
    ):
        assert other.remark == ""
