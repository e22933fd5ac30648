"""Workloads: networks of any inputs, outputs, losses and metrics."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import gp_emq
from gp_emq.errors import DataError, NetworkError, StatisticsError
from gp_emq.networks import Metric, Workload

COUNT = 7


class TwoInputs(nn.Module):
    """A regression on an image and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.vector = nn.Conv2d(1, 2, 3), nn.Linear(3, 8)
        self.last = nn.Linear(16, 2)

    def forward(self, image: Tensor, vector: Tensor) -> dict[str, Tensor]:
        one, other = self.image(image).flatten(1).tanh(), self.vector(vector).tanh()
        return {"value": self.last(torch.cat([one, other], dim=1))}


class Words(nn.Module):
    """Guesses the next of five tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.middle = nn.Embedding(5, 4), nn.Linear(4, 6)
        self.last = nn.Linear(6, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(self.middle(self.embedding(tokens)).tanh())


def squared_error(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    return (outputs["value"] - targets).square().mean(dim=1)


def next_token(outputs: Tensor, tokens: Tensor) -> Tensor:
    return functional.cross_entropy(
        outputs[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
    ).mean(dim=1)


SQUARED_ERROR = Metric("squared error", squared_error, higher_is_better=False)


@pytest.fixture
def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def regression(numbers: torch.Generator) -> Workload:
    images = torch.randn(COUNT, 1, 4, 4, generator=numbers)
    vectors = torch.randn(COUNT, 3, generator=numbers)
    targets = torch.randn(COUNT, 2, generator=numbers)
    batches = [
        ({"image": images[part], "vector": vectors[part]}, targets[part])
        for part in (slice(0, 4), slice(4, COUNT))
    ]
    torch.manual_seed(0)
    return Workload(TwoInputs(), batches, loss=squared_error, metric=SQUARED_ERROR)


@pytest.fixture
def language(numbers: torch.Generator) -> Workload:
    tokens = torch.randint(0, 5, (COUNT, 6), generator=numbers)
    metric = Metric("loss", next_token, higher_is_better=False)
    torch.manual_seed(0)
    return Workload(Words(), tokens, loss=next_token, metric=metric)


def losses_by_hand(workload: Workload, weights: dict[str, Tensor]) -> Tensor:
    """The loss of each sample, by calling the network directly, one sample at a time."""
    found = []
    for place in range(COUNT):
        if isinstance(workload.samples, dict):
            named = {name: value[place : place + 1] for name, value in workload.samples.items()}
            output = functional_call(workload.model, weights, (), named)["value"]
            found.append(((output - workload.targets[place]) ** 2).mean())
        else:
            tokens = workload.samples[place : place + 1]
            output = functional_call(workload.model, weights, (tokens,)).log_softmax(-1)
            steps = range(tokens.shape[1] - 1)
            found.append(-sum(output[0, t, tokens[0, t + 1]] for t in steps) / len(steps))
    return torch.stack(found)


@pytest.mark.parametrize("kind", ["regression", "language"])
def test_statistics_are_derivatives_of_the_users_loss(
    kind: str, request: pytest.FixtureRequest
) -> None:
    workload = request.getfixturevalue(kind)
    statistics = gp_emq.collect_statistics(workload, bits=(2, 4))
    names = [f"{layer.name}.weight" for layer in statistics.layers]
    assert ("embedding.weight" in names) == (kind == "language")
    weights = {
        name: value.detach().double().requires_grad_(name in names)
        for name, value in workload.model.named_parameters()
    }
    own = {name: weights[name] for name in names}
    if kind == "regression":
        workload.samples = {name: value.double() for name, value in workload.samples.items()}
    losses = losses_by_hand(workload, weights)
    single = [torch.autograd.grad(one, list(own.values()), retain_graph=True) for one in losses]
    gradient = torch.cat([sum(parts).flatten() for parts in zip(*single, strict=True)]) / COUNT
    fisher = torch.cat([sum(g**2 for g in parts).flatten() for parts in zip(*single, strict=True)])
    first = torch.autograd.grad(losses.mean(), list(own.values()), create_graph=True)
    along = [part.detach() for part in first]
    product = torch.autograd.grad(first, list(own.values()), along)
    expected = {
        "weight_gradient": gradient,
        "fisher_diagonal": fisher / COUNT,
        "hessian_gradient": torch.cat([part.flatten() for part in product]),
    }
    for name, value in expected.items():
        found = statistics.tensor(name)
        torch.testing.assert_close(found.double(), value, rtol=2e-4, atol=1e-7)


def test_what_quantizing_one_layer_does_is_told_in_the_metrics_own_direction(
    regression: Workload,
) -> None:
    statistics = gp_emq.collect_statistics(regression, bits=(2, 4))
    table = np.asarray(gp_emq.load_proxy("accuracy_change").table(statistics))
    divergence = np.asarray(gp_emq.load_proxy("output_divergence").table(statistics))
    changes = statistics.perturbation()
    views = statistics.layout("WeightsPerBit").views(changes)
    weights = {name: value.detach() for name, value in regression.model.named_parameters()}
    before = losses_by_hand(regression, weights).mean()
    outputs = regression.model(**regression.samples)["value"]
    for entry, layer in enumerate(statistics.layers):
        for column in range(2):
            name = f"{layer.name}.weight"
            changed = weights | {name: weights[name] + views[entry][column]}
            after = losses_by_hand(regression, changed).mean()
            assert table[entry, column] == pytest.approx(float(before - after), rel=1e-3, abs=1e-7)
            there = functional_call(regression.model, changed, (), regression.samples)["value"]
            harm = float((there - outputs).detach().square().sum() / COUNT)
            assert divergence[entry, column] == pytest.approx(-harm, rel=1e-4)


def test_a_metric_is_measured_sample_by_sample_or_of_all(regression: Workload) -> None:
    weights = {name: value.detach() for name, value in regression.model.named_parameters()}
    expected = losses_by_hand(regression, weights)
    torch.testing.assert_close(regression.measured(3), expected)
    worst = Metric(
        "worst", lambda o, t: (o["value"] - t).abs().max(), higher_is_better=False, per_sample=False
    )
    whole = Workload(
        regression.model,
        (regression.samples, regression.targets),
        loss=squared_error,
        metric=worst,
    )
    outputs = regression.model(**regression.samples)["value"]
    torch.testing.assert_close(whole.measured(2), (outputs - regression.targets).abs().max())


def test_a_loss_may_be_the_mean_of_a_batch(regression: Workload) -> None:
    mean = Workload(
        regression.model,
        (regression.samples, regression.targets),
        loss=lambda outputs, targets: functional.mse_loss(outputs["value"], targets),
    )
    one, other = (gp_emq.collect_statistics(w, bits=(2, 4)) for w in (regression, mean))
    torch.testing.assert_close(one.tensor("weight_gradient"), other.tensor("weight_gradient"))
    assert one.fingerprint != other.fingerprint


def test_a_forward_of_ones_own_is_given_the_samples(numbers: torch.Generator) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
    pairs = TensorDataset(
        torch.randn(COUNT, 2, 2, 2, generator=numbers),
        torch.randint(0, 3, (COUNT,), generator=numbers),
    )
    usual = Workload(model, *pairs.tensors)
    doubled = Workload(
        model,
        DataLoader(TensorDataset(pairs.tensors[0] / 2, pairs.tensors[1]), batch_size=3),
        forward=lambda network, images: network(2 * images),
    )
    one, other = (gp_emq.collect_statistics(w, bits=(2, 4)) for w in (usual, doubled))
    torch.testing.assert_close(one.tensor("fisher_diagonal"), other.tensor("fisher_diagonal"))
    assert torch.equal(usual.measured(4), doubled.measured(2))


def test_a_workload_stands_for_network_images_and_labels(numbers: torch.Generator) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
    images = torch.randn(COUNT, 2, 2, 2, generator=numbers)
    labels = torch.randint(0, 3, (COUNT,), generator=numbers)
    for answers in (labels, None):
        usual = gp_emq.collect_statistics(model, images, answers, bits=(2, 4))
        given = gp_emq.collect_statistics(Workload(model, images, answers), bits=(2, 4))
        assert usual.fingerprint == given.fingerprint


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (7, "batches are int: give tensors"),
        ([], "there are no batches"),
        ([torch.zeros(2, 3), (torch.zeros(2, 3), torch.zeros(2))], "batch 1 is built otherwise"),
        ([torch.zeros(2, 3), torch.zeros(2, 4)], r"there are \(3,\) and \(4,\)"),
        ((torch.zeros(2, 3), torch.zeros(3)), "tensors of 2 and of 3 samples"),
        ({"a": torch.full((2, 3), torch.nan)}, "batch 0 holds inf or nan"),
        ({"a": "text"}, "a batch holds str"),
        ({"a": torch.zeros(2, 3), "b": None}, "holds NoneType: .*; leave out what is None"),
    ],
)
def test_wrong_batches_are_refused(batches: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Workload(nn.Identity(), batches, loss=squared_error)


def test_a_loss_and_a_forward_that_do_not_fit_are_refused(regression: Workload) -> None:
    batches = (regression.samples, regression.targets)
    wrong = Workload(regression.model, batches, loss=lambda o, t: (o["value"] - t).square())
    statistics = gp_emq.collect_statistics(wrong, bits=(2, 4))
    with pytest.raises(
        StatisticsError, match=r"the loss must give one number .* got a tensor of shape \(7, 2\)"
    ):
        statistics.tensor("weight_gradient")
    missing = Workload(regression.model, {"image": regression.samples["image"]}, loss=squared_error)
    with pytest.raises(NetworkError, match=r"fails on a dict of tensors of shapes \(1, 1, 4, 4\)"):
        gp_emq.collect_statistics(missing, bits=(2, 4))
    with pytest.raises(DataError, match="a workload brings its samples along"):
        gp_emq.collect_statistics(wrong, torch.zeros(2, 1, 4, 4), bits=(2, 4))


@pytest.mark.parametrize("method", ["rtn", "rtn+bn", "adaround", "brecq"])
@pytest.mark.parametrize("kind", ["regression", "language"])
def test_networks_of_any_inputs_are_quantized(
    kind: str, method: str, request: pytest.FixtureRequest
) -> None:
    workload = request.getfixturevalue(kind)
    layers = gp_emq.collect_statistics(workload, bits=(3, 8)).layers
    plan = dict.fromkeys((layer.name for layer in layers), 3) | {layers[-1].name: 8}
    steps = 20 if method in ("adaround", "brecq") else None
    quantized = gp_emq.quantize(workload, plan, method=method, iterations=steps)
    for name, width in plan.items():
        rows = quantized.network.get_submodule(name).weight.detach().flatten(1)
        assert all(row.unique().numel() <= 2**width for row in rows)
    assert ("embedding" in quantized.weights) == (kind == "language")
    # Inputs are rounded to 8 bits, which moves what the weights give by little.
    weights = {name: value.detach() for name, value in quantized.network.named_parameters()}
    in_float = losses_by_hand(workload, weights).mean()
    measured = workload.of(quantized).measured(3)
    assert measured.shape == (COUNT,)
    assert float(measured.mean()) == pytest.approx(float(in_float), rel=0.05)


class OfNumbers(nn.Module):
    """Maps numbers (n,) to numbers (n,)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x[:, None]).tanh())[:, 0]


@pytest.mark.parametrize("method", ["rtn", "rtn+bias-correction", "adaround", "brecq"])
def test_samples_and_outputs_may_be_single_numbers(method: str, numbers: torch.Generator) -> None:
    model, x = OfNumbers(), torch.randn(COUNT, generator=numbers)
    x[3] = 1e4  # an outlier, which no grid spans
    workload = Workload(model, (x, x.sin()), loss=lambda y, wanted: (y - wanted).square())
    steps = 20 if method in ("adaround", "brecq") else None
    quantized = gp_emq.quantize(workload, {"first": 8, "last": 8}, method=method, iterations=steps)
    usual = torch.arange(COUNT) != 3
    assert torch.allclose(quantized(x)[usual], model(x)[usual], atol=0.05)
    grid = quantized.activations["first"]
    assert float(grid.scale) * 255 < 1.01 * float(x[usual].max() - x[usual].min())


def test_an_output_of_single_numbers_that_is_not_finite_names_the_sample() -> None:
    class Reciprocal(OfNumbers):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + (1 / x - 1 / x)  # nan at 0

    x = torch.tensor([1.0, 2.0, 0.0, 3.0])
    workload = Workload(Reciprocal(), (x, x), loss=lambda y, wanted: (y - wanted).square())
    with pytest.raises(NetworkError, match="output for image 2 is NaN"):
        gp_emq.quantize(workload, {"first": 8, "last": 8}, method="rtn")


class Squeezed(nn.Module):
    """Gives a number for each sample, and of a single one no axis of samples."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh()).squeeze()


def test_a_forward_may_squeeze_away_the_axis_of_one_sample(numbers: torch.Generator) -> None:
    model, x = Squeezed(), torch.randn(65, 3, generator=numbers)
    wanted = x.sum(dim=1)

    def squared(y: Tensor, wanted: Tensor) -> Tensor:
        return (y - wanted).square()

    mean = Metric("mean", lambda y, t: squared(y, t).mean(), False, per_sample=False)
    error = Metric("error", squared, higher_is_better=False)
    losses = squared(model(x), wanted).detach()
    for batch in (1, 2, 65):
        of_all = Workload(model, (x, wanted), loss=squared, metric=mean).measured(batch)
        assert float(of_all) == pytest.approx(float(losses.mean()), rel=1e-5)
        each = Workload(model, (x, wanted), loss=squared, metric=error).measured(batch)
        assert torch.allclose(each, losses, rtol=1e-4)
    workload = Workload(model, (x, wanted), loss=squared, metric=error)
    gradient = gp_emq.collect_statistics(workload, bits=(2, 4)).tensor("weight_gradient")
    squared(model(x), wanted).mean().backward()
    expected = torch.cat([layer.weight.grad.flatten() for layer in (model.first, model.last)])
    assert torch.allclose(gradient, expected, atol=1e-6)
    plan = gp_emq.best_plan(workload, bits=(2, 4, 8), average_bits=4)
    found = plan.certificate.lines[0].metric
    assert found is not None
    diverging = Workload(model, {"x": x})
    quantized = gp_emq.quantize(diverging, plan.plan.widths, method="rtn")
    apart = (quantized(x) - model(x)).square().detach()
    assert torch.allclose(diverging.of(quantized).measured(1).float(), apart, rtol=1e-3)
