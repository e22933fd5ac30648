"""Statistics of embeddings: held to autograd through products with one-hot vectors, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import gp_emq
from gp_emq.networks import Workload
from gp_emq.statistics import Statistics, StatisticsSettings, _fisher, collect_statistics

WORDS, WIDTH, STEPS, COUNT, CLASSES = 6, 4, 3, 8, 3
BITS = (2, 4)
PROBES = 100


class Reader(nn.Module):
    """Tokens, read by a table with all that changes gradients; places too, and tied where asked."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.read = nn.Embedding(WORDS, WIDTH, padding_idx=0, scale_grad_by_freq=True)
        if kind == "sparse":
            self.read = nn.Embedding(WORDS, WIDTH, padding_idx=2, sparse=True)
        nn.init.normal_(self.read.weight)  # the row of padding as well
        self.place = nn.Embedding(STEPS, WIDTH) if kind == "places" else None
        self.middle = nn.Linear(WIDTH, WIDTH)
        self.write = nn.Linear(WIDTH, WORDS if kind == "tied" else CLASSES, bias=False)
        if kind == "tied":
            self.write.weight = self.read.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.read(tokens)
        if self.place is not None:
            found = found + self.place(torch.arange(tokens.shape[1]))
        return self.write(torch.tanh(self.middle(found)).mean(1))


class Reference:
    """The same function of the weights, by products with one-hot vectors, in float64.

    Attributes:
        weights: Of the layers by name; one for each distinct weight.
        layers: Names of all layers, with the name of the weight that each has.
    """

    def __init__(self, model: Reader) -> None:
        tied = model.write.weight is model.read.weight
        self.layers = {"read": "read", "place": "place", "middle": "middle", "write": "write"}
        if model.place is None:
            del self.layers["place"]
        if tied:
            self.layers["write"] = "read"
        self.weights = {
            name: model.get_submodule(name).weight.detach().double()
            for name in dict.fromkeys(self.layers.values())
        }
        self.bias = model.middle.bias.detach().double()

    def outputs(
        self, tokens: Tensor, weights: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (n, classes), and what each layer gives."""
        used = self.weights if weights is None else weights
        of = {name: used[owner] for name, owner in self.layers.items()}
        given = {"read": functional.one_hot(tokens, WORDS).double() @ of["read"]}
        found = given["read"]
        if "place" in of:
            given["place"] = torch.eye(STEPS, dtype=torch.float64) @ of["place"]
            found = found + given["place"]
        given["middle"] = found @ of["middle"].T + self.bias
        hidden = given["middle"].tanh().mean(1)
        given["write"] = hidden @ of["write"].T
        return given["write"], given

    def losses(self, tokens: Tensor, labels: Tensor, weights: dict[str, Tensor]) -> Tensor:
        logits, _ = self.outputs(tokens, weights)
        return -logits.log_softmax(1)[torch.arange(len(labels)), labels]

    def flat_loss(self, tokens: Tensor, labels: Tensor):
        """The mean loss as a function of all weights end to end, and where that is taken."""

        def loss(flat: Tensor) -> Tensor:
            return self.losses(tokens, labels, self.split(flat)).mean()

        return loss, torch.cat([value.reshape(-1) for value in self.weights.values()])

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        parts = torch.split(flat, [value.numel() for value in self.weights.values()])
        named = zip(self.weights.items(), parts, strict=True)
        return {name: part.view_as(value) for (name, value), part in named}


@pytest.fixture(params=["plain", "places", "tied", "sparse"], scope="module")
def case(request: pytest.FixtureRequest):
    """Statistics, the reference, tokens and labels."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = Reader(request.param)
        tokens = torch.randint(0, WORDS - 1, (COUNT, STEPS))  # one word never occurs
        tokens[:, 0] = torch.tensor([0, 2] * (COUNT // 2))
        labels = torch.randint(0, CLASSES, (COUNT,))
    found = collect_statistics(
        Workload(model, (tokens, labels), forward=lambda network, fed: network(fed)),
        bits=BITS,
        settings=StatisticsSettings(
            hessian_probes=PROBES, power_iterations=100, power_tolerance=0, activation_images=COUNT
        ),
    )
    return found, Reference(model), tokens, labels


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(
        found.double(), expected.double(), rtol=tolerance, atol=1e-5 * scale, check_dtype=False
    )


def by_name(statistics: Statistics, values: Tensor) -> dict[str, Tensor]:
    """Cut a buffer into the distinct weights, by name, in the order of the reference."""
    ordered = sorted(statistics.layers, key=lambda layer: layer.entry)
    owners = [layer.name for layer in ordered if not layer.shares]
    views = dict(zip(owners, statistics.layout("Weights").views(values), strict=True))
    return {name: views[name] for name in ("read", "place", "middle", "write") if name in views}


def flat(statistics: Statistics, name: str) -> Tensor:
    parts = by_name(statistics, statistics.tensor(name)).values()
    return torch.cat([part.reshape(-1) for part in parts])


def test_gradients_are_dense_and_of_every_row(case) -> None:
    statistics, reference, tokens, labels = case
    loss, point = reference.flat_loss(tokens, labels)
    close(flat(statistics, "weight"), point)
    close(flat(statistics, "weight_gradient"), torch.autograd.functional.jacobian(loss, point))
    row = by_name(statistics, statistics.tensor("weight_gradient"))["read"][0]
    assert bool(row.any())  # of the padding


def test_the_fisher_diagonal_is_of_single_samples(case) -> None:
    statistics, reference, tokens, labels = case

    def losses(flat: Tensor) -> Tensor:
        return reference.losses(tokens, labels, reference.split(flat))

    _, point = reference.flat_loss(tokens, labels)
    jacobian = torch.autograd.functional.jacobian(losses, point)
    close(flat(statistics, "fisher_diagonal"), jacobian.square().mean(0))
    # The whole form of a perturbation: of each entry alone, tied weights moved together.
    moved = by_name(statistics, statistics.perturbation())
    form = statistics.tensor("fisher_form")
    parts = dict(
        zip(moved, torch.split(jacobian, [m[0].numel() for m in moved.values()], 1), strict=True)
    )
    for layer in statistics.layers:
        if not layer.shares:
            for width in range(len(BITS)):
                along = parts[layer.name] @ moved[layer.name][width].reshape(-1).double()
                close(form[layer.entry, width], along.square().mean())


class Speller(nn.Module):
    """Two tables, one of them read twice and, where tied, written with; all rows of a batch."""

    def __init__(self, words: int, width: int, *, tied: bool) -> None:
        super().__init__()
        self.read, self.mark = nn.Embedding(words, width), nn.Embedding(4, width)
        self.write = nn.Linear(width, words)
        if tied:
            self.write.weight = self.read.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.read(tokens) * torch.tanh(self.mark(tokens % 4))
        found = torch.tanh(found.cumsum(1)) + self.read(tokens.flip(1))
        return self.write(found.mean(1))


@settings(max_examples=25)
@given(
    words=st.integers(4, 9),
    width=st.integers(1, 5),
    steps=st.integers(1, 6),
    count=st.integers(2, 6),
    tied=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_one_pass_gives_the_fisher_diagonal_of_passes_sample_by_sample(
    *, words, width, steps, count, tied, seed
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Speller(words, width, tied=tied)
        tokens = torch.randint(0, words, (count, steps))
        labels = torch.randint(0, words, (count,))
    expected = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for one, label in zip(tokens.split(1), labels.split(1), strict=True):
        model.zero_grad()
        functional.cross_entropy(model(one), label).backward()
        for name, value in model.named_parameters():
            expected[name] += value.grad**2 / count
    workload = Workload(model, (tokens, labels), forward=lambda network, fed: network(fed))
    with pytest.MonkeyPatch.context() as patch:
        chunks: list[int] = []
        together = _fisher._add_chunk

        def add(network, weights, samples, *rest) -> None:
            chunks.append(len(samples))
            together(network, weights, samples, *rest)

        patch.setattr(_fisher, "_add_chunk", add)
        statistics = collect_statistics(workload, bits=BITS)
        found = statistics.tensor("fisher_diagonal")
    assert sum(chunks) == 2 + count  # two samples for a comparison, then all of them at once
    owners = [layer.name for layer in sorted(statistics.layers, key=lambda layer: layer.entry)]
    owners = [name for name in owners if f"{name}.weight" in expected]
    views = statistics.layout("Weights").views(found)
    for name, view in zip(owners, views, strict=True):
        torch.testing.assert_close(view, expected[f"{name}.weight"], rtol=1e-4, atol=1e-9)


def test_curvature_is_that_of_the_whole_hessian(case) -> None:
    statistics, reference, tokens, labels = case
    loss, point = reference.flat_loss(tokens, labels)
    hessian = torch.autograd.functional.hessian(loss, point)
    gradient = torch.autograd.functional.jacobian(loss, point)
    close(flat(statistics, "hessian_gradient"), hessian @ gradient, 1e-3)
    error = (hessian.square().sum(1) - hessian.diagonal().square()).div(PROBES).sqrt()
    found = flat(statistics, "hessian_diagonal").double()
    assert bool(((found - hessian.diagonal()).abs() <= 5 * error + 1e-5).all())
    sizes = [value.numel() for value in reference.weights.values()]
    traces, tops, place = {}, {}, 0
    for name, size in zip(reference.weights, sizes, strict=True):
        block = hessian[place : place + size, place : place + size]
        values = torch.linalg.eigvalsh(block)
        tops[name], place = values[values.abs().argmax()], place + size
        traces[name] = (
            by_name(statistics, statistics.tensor("hessian_diagonal"))[name].double().sum()
        )
    for layer in statistics.layers:
        if not layer.shares:
            close(statistics.tensor("hessian_top_eigenvalue")[layer.entry], tops[layer.name], 5e-2)
            close(statistics.tensor("hessian_trace")[layer.entry], traces[layer.name])


def test_virtual_gradients_take_the_tokens_of_the_first_sample(case) -> None:
    statistics, reference, tokens, _ = case
    _, point = reference.flat_loss(tokens, tokens[:, 0])

    def summed(flat: Tensor) -> Tensor:
        return reference.outputs(tokens[:1], reference.split(flat))[0].sum()

    close(flat(statistics, "virtual_gradient"), torch.autograd.functional.jacobian(summed, point))
    bias = reference.bias
    reference.bias = bias.abs()
    expected = torch.autograd.functional.jacobian(summed, point.abs())
    reference.bias = bias
    close(flat(statistics, "synflow_gradient"), expected)


def activations(statistics: Statistics, name: str) -> dict[str, Tensor]:
    views = statistics.layout("Activations").views(statistics.tensor(name))
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    return {layer.name: view for layer, view in zip(layers, views, strict=True)}


def test_activations_are_rows_and_so_are_their_gradients(case) -> None:
    statistics, reference, tokens, labels = case
    of_samples = [reference.outputs(one)[1] for one in tokens.split(1)]
    for name, found in activations(statistics, "activation").items():
        close(found.reshape(-1), torch.cat([given[name].reshape(-1) for given in of_samples]))
    wanted: dict[str, list[Tensor]] = {}
    for one, label in zip(tokens.split(1), labels.split(1), strict=True):
        weights = {
            name: value.clone().requires_grad_() for name, value in reference.weights.items()
        }
        logits, given = reference.outputs(one, weights)
        loss = functional.cross_entropy(logits, label) / COUNT
        for name, gradient in zip(
            given, torch.autograd.grad(loss, list(given.values())), strict=True
        ):
            wanted.setdefault(name, []).append(gradient.reshape(-1))
    for name, found in activations(statistics, "activation_gradient").items():
        close(found.reshape(-1), torch.cat(wanted[name]))


def test_output_changes_are_those_of_the_rows(case) -> None:
    statistics, reference, tokens, _ = case
    moved = by_name(statistics, statistics.perturbation())
    change, residual = (activations(statistics, f"output_{of}") for of in ("change", "residual"))
    used = functional.one_hot(tokens, WORDS).double()
    for width in range(len(BITS)):
        rows = (used @ moved["read"][width].double()).reshape(-1, WIDTH)
        plain = (used @ reference.weights["read"]).reshape(-1, WIDTH)
        close(change["read"][width].reshape(-1, WIDTH), rows)
        # A line through the values of each number of a row is the best scale and shift.
        left = torch.empty_like(rows)
        for channel in range(WIDTH):
            columns = torch.stack([plain[:, channel], torch.ones(len(plain)).double()], dim=1)
            fit = torch.linalg.lstsq(columns, rows[:, channel : channel + 1]).solution
            left[:, channel] = rows[:, channel] - (columns @ fit)[:, 0]
        close(residual["read"][width].reshape(-1, WIDTH), left)
        layer = next(layer for layer in statistics.layers if layer.name == "read")
        if sum(other.entry == layer.entry for other in statistics.layers) == 1:
            spread = (plain - plain.mean(0)).square().sum(0)
            expected = {
                "output_change_energy": rows.square().sum() / COUNT,
                "output_residual_energy": left.square().sum() / COUNT,
                "relative_output_change": rows.square().sum() / plain.square().sum(),
                "relative_output_residual": left.square().sum() / plain.square().sum(),
                "channel_output_residual": (left.square().sum(0) / spread).mean(),
            }
            for name, value in expected.items():
                close(statistics.tensor(name)[layer.entry, width], value)


def own_changes(
    statistics: Statistics, reference: Reference, one: Tensor, given: dict[str, Tensor], width: int
) -> dict[str, Tensor]:
    """What quantizing each layer alone adds to its output for one sample."""
    moved = by_name(statistics, statistics.perturbation())
    steps = {name: moved[owner][width].double() for name, owner in reference.layers.items()}
    changes = {"read": functional.one_hot(one, WORDS).double() @ steps["read"]}
    fed = given["read"]
    if "place" in given:
        changes["place"], fed = steps["place"], fed + given["place"]
    changes["middle"] = fed @ steps["middle"].T
    changes["write"] = given["middle"].tanh().mean(1) @ steps["write"].T
    return {name: change.detach() for name, change in changes.items()}


def test_sums_over_output_changes_are_means_over_samples(case) -> None:
    statistics, reference, tokens, labels = case
    entries = 1 + max(layer.entry for layer in statistics.layers)
    energies = torch.zeros(entries, len(BITS), dtype=torch.float64)
    weighted = torch.zeros_like(energies)
    for one, label in zip(tokens.split(1), labels.split(1), strict=True):
        weights = {
            name: value.clone().requires_grad_() for name, value in reference.weights.items()
        }
        logits, given = reference.outputs(one, weights)
        found = torch.autograd.grad(functional.cross_entropy(logits, label), list(given.values()))
        gradients = dict(zip(given, found, strict=True))
        for width in range(len(BITS)):
            changes = own_changes(statistics, reference, one, given, width)
            for layer in statistics.layers:
                change = changes[layer.name]
                energies[layer.entry, width] += change.square().sum() / COUNT
                product = gradients[layer.name] * change
                weighted[layer.entry, width] += product.square().sum() / COUNT
    close(statistics.tensor("output_change_energy"), energies)
    close(statistics.tensor("gradient_output_change"), weighted)
    table = gp_emq.load_proxy("output_error").table(statistics)
    close(torch.as_tensor(table), -energies)


def test_what_is_measured_is_measured_with_the_table_quantized(case) -> None:
    statistics, reference, tokens, labels = case
    moved = by_name(statistics, statistics.perturbation())
    before = reference.losses(tokens, labels, reference.weights)
    logits = reference.outputs(tokens)[0].log_softmax(1)
    for layer in statistics.layers:
        if layer.shares:
            continue
        for width in range(len(BITS)):
            weights = dict(reference.weights)
            weights[layer.name] = weights[layer.name] + moved[layer.name][width].double()
            after = reference.outputs(tokens, weights)[0].log_softmax(1)
            change = reference.losses(tokens, labels, weights).mean() - before.mean()
            divergence = (logits.exp() * (logits - after)).sum(1).mean()
            close(statistics.tensor("measured_loss")[layer.entry, width], change, 1e-3)
            close(statistics.tensor("measured_divergence")[layer.entry, width], divergence, 1e-3)


def test_counts_know_no_products_of_an_embedding(case) -> None:
    statistics, _, _, _ = case
    layers = {layer.name: layer for layer in statistics.layers}
    # Two products of 4 x 4 at each of three tokens, and one with the table of what they give.
    assert layers["read"].macs == 0
    assert layers["middle"].macs == STEPS * WIDTH * WIDTH
    assert layers["read"].parameters == WORDS * WIDTH
    tied = layers["write"].shares == "read"
    macs = layers["write"].macs if tied else 0
    assert statistics.tensor("macs")[layers["read"].entry] == macs
