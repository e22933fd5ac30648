import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.errors import ExpressionError
from gp_emq.proxies import AS_PUBLISHED, ProxyInputs, language, parse_expression
from gp_emq.proxies.handcrafted import HANDCRAFTED, handcrafted_proxy, seed_expressions
from gp_emq.quantization import WeightQuantizer, fake_quantize
from gp_emq.statistics import StatisticsSettings, collect_statistics

BITS = (2, 3, 4)
TIES = [("0", "6")]
NAMES = ("0", "3", "6")
ENTRIES = (("0", "6"), ("3",))


def network() -> nn.Sequential:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


class Reference:
    """The ingredients of the proxies, computed one by one without the package's statistics."""

    def __init__(self) -> None:
        self.model = network()
        generator = torch.Generator().manual_seed(3)
        self.images = torch.randn(7, 1, 5, 5, generator=generator)
        self.labels = torch.randint(0, 3, (7,), generator=generator)
        self.quantizer = WeightQuantizer(per_channel=True)
        self.weight = {n: self.model.get_parameter(f"{n}.weight").detach() for n in NAMES}
        self.delta = {
            (n, b): fake_quantize(w, self.quantizer.parameters(w, b)) - w
            for n, w in self.weight.items()
            for b in BITS
        }
        self.gradient = self.gradients(self.images, self.labels)
        single = [
            self.gradients(image, label)
            for image, label in zip(self.images.split(1), self.labels.split(1), strict=True)
        ]
        self.fisher = {n: sum(g[n] ** 2 for g in single) / len(single) for n in NAMES}
        self.size = {n: w.numel() for n, w in self.weight.items()}
        self.inputs = ProxyInputs(
            collect_statistics(
                self.model,
                self.images,
                self.labels,
                bits=BITS,
                quantizer=self.quantizer,
                ties=TIES,
                settings=StatisticsSettings(hessian_probes=3),
            ),
        )

    def gradients(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        model = copy.deepcopy(self.model)
        functional.cross_entropy(model(images), labels).backward()
        return {n: model.get_parameter(f"{n}.weight").grad for n in NAMES}

    def ones_gradients(self, *, magnitude: bool) -> dict[str, Tensor]:
        model = copy.deepcopy(self.model)
        if magnitude:
            for parameter in model.parameters():
                parameter.data.abs_()
        model(torch.ones(1, 1, 5, 5)).sum().backward()
        return {n: model.get_parameter(f"{n}.weight").grad for n in NAMES}

    def statistic(self, name: str) -> dict[str, Tensor]:
        """A tested statistic of the weights, by layer."""
        statistics = self.inputs.statistics
        views = statistics.layout("Weights").views(statistics.tensor(name))
        return dict(zip(("0", "6", "3"), views, strict=True))

    def activations(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Outputs of the layers for all images and the mean loss's gradients by them."""
        outputs: dict[str, Tensor] = {}
        value = self.images
        for name, module in self.model.named_children():
            value = module(value.clone())
            if name in NAMES:
                outputs[name] = value
        loss = functional.cross_entropy(value, self.labels)
        gradients = torch.autograd.grad(loss, [outputs[n] for n in NAMES])
        return outputs, dict(zip(NAMES, gradients, strict=True))

    def summed(self, values: dict[str, float]) -> np.ndarray:
        """Add over tied layers, then times bits."""
        per_entry = np.array([sum(float(values[n]) for n in names) for names in ENTRIES])
        return per_entry[:, None] * np.array(BITS)

    def averaged(self, sums: dict[str, float]) -> np.ndarray:
        """Mean over the elements of all tied layers, then times bits."""
        means = [
            sum(float(sums[n]) for n in names) / sum(self.size[n] for n in names)
            for names in ENTRIES
        ]
        return np.array(means)[:, None] * np.array(BITS)

    def harm(self, of: object) -> np.ndarray:
        """Minus a sum over tied layers of a number per layer and width."""
        return -np.array([[sum(float(of(n, b)) for n in ns) for b in BITS] for ns in ENTRIES])

    def per_entry(self, of: object) -> np.ndarray:
        return np.array([[float(of(ns, b)) for b in BITS] for ns in ENTRIES])

    def mean_of(self, values: dict[str, Tensor], names: tuple[str, ...]) -> float:
        return float(torch.cat([values[n].reshape(-1) for n in names]).double().mean())

    def energy(self, names: tuple[str, ...], bits: int) -> float:
        return sum(float(self.delta[n, bits].double().square().sum()) for n in names)

    def quantized(self, names: tuple[str, ...], bits: int) -> nn.Module:
        model = copy.deepcopy(self.model)
        for name in names:
            model.get_parameter(f"{name}.weight").data += self.delta[name, bits]
        return model

    def output_change(self, name: str, bits: int) -> tuple[Tensor, Tensor]:
        """A layer's output on the float network's inputs, float and quantized."""
        with torch.no_grad():
            before = self.model[: int(name)](self.images)
            after = self.quantized((name,), bits)[int(name)](before)
            return self.model[int(name)](before), after


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def size_terms(r: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    parameters = {"0": 36 + 4, "3": 216 + 6, "6": 72 + 3}
    macs = {"0": 36 * 25, "3": 216 * 4, "6": 72}
    return {
        "sum_of_bits": (np.array([BITS, BITS]), None),
        "bparams": (r.summed(parameters), None),
        "bops": (r.summed(macs), None),
    }


def curvature_terms(r: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    diagonal = r.statistic("hessian_diagonal")
    top = r.inputs.statistics.tensor("hessian_top_eigenvalue").tolist()
    parameters = (40 + 75, 222)
    bits = np.array(BITS)
    by_entry = dict(zip(ENTRIES, top, strict=True))
    return {
        "hawq": (
            np.array([[v / n] for v, n in zip(top, parameters, strict=True)]) * bits,
            np.array(top)[:, None] * bits,
        ),
        "hawq_perturbation": (r.per_entry(lambda ns, b: -by_entry[ns] * r.energy(ns, b)), None),
        "hawq_v2": (
            r.per_entry(lambda ns, b: -r.mean_of(diagonal, ns) * r.energy(ns, b)),
            r.summed({n: d.double().sum() for n, d in diagonal.items()}),
        ),
        "hessian_diagonal": (
            r.harm(lambda n, b: (diagonal[n] * r.delta[n, b] ** 2).double().sum()),
            r.averaged({n: d.double().sum() for n, d in diagonal.items()}),
        ),
        "fit_trace": (
            r.per_entry(lambda ns, b: -r.mean_of(r.fisher, ns) * r.energy(ns, b)),
            None,
        ),
        "fit_diagonal": (
            r.harm(lambda n, b: (r.fisher[n] * r.delta[n, b] ** 2).double().sum()),
            None,
        ),
    }


def gradient_terms(r: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    snip = {n: (r.gradient[n] * r.weight[n]).abs().sum() for n in NAMES}
    plain = {n: (r.gradient[n] * r.weight[n]).sum() for n in NAMES}
    product = r.statistic("hessian_gradient")
    grasp = {n: -(product[n] * r.weight[n]).sum() for n in NAMES}
    flow_gradient = r.ones_gradients(magnitude=True)
    flow = {n: (flow_gradient[n] * r.weight[n].abs()).sum() for n in NAMES}
    squares = {n: r.gradient[n].square().sum() for n in NAMES}
    norms = [math.sqrt(sum(float(squares[n]) for n in ns)) for ns in ENTRIES]
    outputs, gradients = r.activations()
    fisher = {}
    for name in NAMES:
        saliency = (outputs[name] * gradients[name]).detach()
        if saliency.dim() == 4:
            saliency = saliency.sum(dim=(2, 3))
        fisher[name] = saliency.square().sum() / 2
    return {
        "snip": (r.averaged(snip), r.summed(snip)),
        "plain": (r.averaged(plain), r.summed(plain)),
        "grasp": (r.averaged(grasp), r.summed(grasp)),
        "synflow": (r.averaged(flow), r.summed(flow)),
        "gradient_norm": (np.array(norms)[:, None] * np.array(BITS), None),
        "gradient_perturbation": (
            r.harm(lambda n, b: (r.gradient[n] * r.delta[n, b]).abs().sum()),
            None,
        ),
        "fisher": (r.summed(fisher), None),
    }


def kernel_alignment(r: Reference) -> np.ndarray:
    """ORM by hand: squared norms of cross products of centred features."""
    outputs, _ = r.activations()
    features = [outputs[n].detach().flatten(1).double() for n in NAMES]
    features = [f - f.mean(dim=0) for f in features]

    def product(a: Tensor, b: Tensor) -> float:
        return float((a.T @ b).square().sum())

    return np.array(
        [
            [product(a, b) / math.sqrt(product(a, a) * product(b, b)) for b in features]
            for a in features
        ]
    )


def activation_terms(r: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    matrix = kernel_alignment(r)
    importance = np.exp(-(matrix.sum(axis=1) - 1))
    later = [importance[i:].mean() for i in range(3)]
    aligned = {n: v * r.size[n] for n, v in zip(NAMES, later, strict=True)}
    published = {n: v * r.size[n] for n, v in zip(NAMES, importance, strict=True)}

    def error(name: str, bits: int) -> float:
        before, after = r.output_change(name, bits)
        return float((after - before).double().square().sum()) / 7

    def relative(name: str, bits: int) -> float:
        before, after = r.output_change(name, bits)
        return float((after - before).double().square().sum() / before.double().square().sum())

    def entropy(name: str, bits: int) -> float:
        _, after = r.output_change(name, bits)
        return -math.log(float(after.double().std(correction=0)))

    logits = r.model(r.images).detach()

    def divergence(names: tuple[str, ...], bits: int) -> float:
        p = logits.double().softmax(dim=1)
        q = r.quantized(names, bits)(r.images).detach().double().softmax(dim=1)
        return -float((p * (p / q).log()).sum(dim=1).mean())

    def loss(names: tuple[str, ...], bits: int) -> float:
        after = r.quantized(names, bits)(r.images).detach()
        before_after = [functional.cross_entropy(x.double(), r.labels) for x in (logits, after)]
        return float(before_after[0] - before_after[1])

    def accuracy(names: tuple[str, ...], bits: int) -> float:
        after = r.quantized(names, bits)(r.images).argmax(dim=1) == r.labels
        before = logits.argmax(dim=1) == r.labels
        return float(after.double().mean() - before.double().mean())

    return {
        "ompq": (r.averaged(aligned), r.averaged(published)),
        "output_error": (r.harm(error), None),
        "relative_output_error": (r.harm(relative), None),
        "qe": (r.harm(entropy), None),
        "output_divergence": (r.per_entry(divergence), None),
        "loss_change": (r.per_entry(loss), None),
        "accuracy_change": (r.per_entry(accuracy), None),
    }


def weight_terms(r: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    energy = {n: float(w.double().square().sum()) for n, w in r.weight.items()}
    size = {n: float(s) for n, s in r.size.items()}

    def relative(names: tuple[str, ...], bits: int) -> float:
        return r.energy(names, bits) / sum(energy[n] for n in names)

    def spread(names: tuple[str, ...]) -> float:
        together = torch.cat([r.weight[n].reshape(-1) for n in names])
        return float(together.max() - together.min())

    # The mean of a softmax over an axis is one over its length.
    uniform = {n: torch.full_like(w, 1 / len(w)) for n, w in r.weight.items()}
    roots = {n: w.clamp(min=0).sqrt() for n, w in r.weight.items()}

    def emq(names: tuple[str, ...]) -> float:
        gradient = r.ones_gradients(magnitude=False)
        first = {n: gradient[n].abs().log().softmax(dim=0) for n in NAMES}
        return r.mean_of(first, names) * r.mean_of(roots, names)

    return {
        "relative_error": (r.per_entry(lambda ns, b: -relative(ns, b)), None),
        "sqnr": (r.per_entry(lambda ns, b: -math.log(relative(ns, b))), None),
        "mse": (r.per_entry(lambda ns, b: -r.energy(ns, b) / sum(size[n] for n in ns)), None),
        "range": (r.per_entry(lambda ns, b: spread(ns) * b), None),
        "emq": (
            r.per_entry(lambda ns, b: r.mean_of(uniform, ns) * r.mean_of(roots, ns) * b),
            r.per_entry(lambda ns, b: emq(ns) * b),
        ),
    }


def practice_terms(r: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    _, gradients = r.activations()
    count = len(r.images)

    def weighted(name: str, bits: int) -> float:
        before, after = r.output_change(name, bits)
        # The gradient of the mean loss is a count-th of that of an image's own loss.
        own = count * gradients[name].double()
        return float((own * (after - before).double()).square().sum()) / count

    single = [
        r.gradients(image, label)
        for image, label in zip(r.images.split(1), r.labels.split(1), strict=True)
    ]

    def block(names: tuple[str, ...], bits: int) -> float:
        along = [
            sum(float((one[n] * r.delta[n, bits]).double().sum()) for n in names) for one in single
        ]
        return -float(np.mean(np.square(along)))

    logits = r.model(r.images).detach().double()

    def divergence(model: nn.Module) -> Tensor:
        p, q = logits.softmax(dim=1), model(r.images).double().softmax(dim=1)
        return (p * (p / q).log()).sum(dim=1).mean()

    lowest = r.quantized(NAMES, BITS[0])
    weights = [lowest.get_parameter(f"{n}.weight") for n in NAMES]
    loss = functional.cross_entropy(lowest(r.images), r.labels)
    by_loss, by_divergence = (
        dict(zip(NAMES, torch.autograd.grad(value, weights), strict=True))
        for value in (loss, divergence(lowest))
    )

    def swap(names: tuple[str, ...], bits: int) -> float:
        others = tuple(n for n in NAMES if n not in names)
        model = r.quantized(others, BITS[0])
        for name in names:
            model.get_parameter(f"{name}.weight").data += r.delta[name, bits]
        return float((divergence(lowest) - divergence(model)).detach())

    return {
        "model_optimizer": (r.harm(weighted), None),
        "auto_round": (r.harm(lambda n, b: (by_loss[n] * r.delta[n, b]).abs().sum()), None),
        "kl_gradient": (
            r.harm(lambda n, b: (by_divergence[n] * r.delta[n, b]).double().sum()),
            None,
        ),
        "fisher_block": (r.per_entry(block), None),
        "swap_divergence": (r.per_entry(swap), None),
    }


TERMS = (
    size_terms,
    curvature_terms,
    gradient_terms,
    activation_terms,
    weight_terms,
    practice_terms,
)


@pytest.fixture(scope="module")
def expected(reference: Reference) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    return {name: tables for terms in TERMS for name, tables in terms(reference).items()}


@pytest.mark.parametrize("name", HANDCRAFTED)
def test_table_is_what_the_formula_says(
    reference: Reference, expected: dict[str, tuple[np.ndarray, np.ndarray | None]], name: str
) -> None:
    aligned, published = expected[name]
    proxy = handcrafted_proxy(name)
    found = proxy.table(reference.inputs)
    assert (found.dtype, found.shape) == (np.float64, (2, 3))
    np.testing.assert_allclose(found, aligned, rtol=2e-4, atol=1e-9)
    assert (proxy.as_published is None) == (published is None)
    found = proxy.form(AS_PUBLISHED).table(reference.inputs)
    np.testing.assert_allclose(
        found, aligned if published is None else published, rtol=2e-4, atol=1e-9
    )


@pytest.mark.parametrize(
    "name",
    ["mse", "relative_error", "sqnr", "sum_of_bits", "bparams", "bops", "range"],
)
def test_more_bits_are_never_predicted_to_harm(reference: Reference, name: str) -> None:
    table = handcrafted_proxy(name).table(reference.inputs)
    assert bool(np.all(np.diff(table, axis=1) > 0))


def test_signal_to_noise_relative_to_the_highest_width_ranks_as_signal_to_noise_does(
    reference: Reference,
) -> None:
    table = np.asarray(handcrafted_proxy("sqnr").table(reference.inputs))
    decibels = 10 / math.log(10) * table  # as of norms, 20·log₁₀
    relative = decibels - decibels[:, -1:]
    sums = [
        [values[0, first] + values[1, second] for first in range(3) for second in range(3)]
        for values in (table, relative)
    ]
    assert len(set(sums[0])) == 9
    assert np.argsort(sums[0]).tolist() == np.argsort(sums[1]).tolist()


def test_the_model_is_left_as_it_was(reference: Reference) -> None:
    before = {name: value.clone() for name, value in reference.model.state_dict().items()}
    for name in ("output_error", "loss_change"):
        handcrafted_proxy(name).table(reference.inputs)
    for name, value in reference.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(not module._forward_hooks for module in reference.model.modules())
    assert all(value.grad is None for value in reference.model.parameters())


def test_without_labels_the_loss_is_measured_on_the_networks_own_answers(
    reference: Reference,
) -> None:
    answers = reference.model(reference.images).argmax(dim=1)
    given, own = (
        handcrafted_proxy("loss_change").table(
            collect_statistics(reference.model, reference.images, labels, bits=BITS, ties=TIES)
        )
        for labels in (answers, None)
    )
    assert np.array_equal(given, own)


def test_every_seed_is_an_expression_of_the_language() -> None:
    seeds = seed_expressions()
    assert {"fit_diagonal", "snip", "snip-as-published", "emq-as-published"} <= set(seeds)
    for expression in seeds.values():
        assert len(parse_expression(expression, language())) >= 1


def test_every_proxy_says_what_it_is() -> None:
    for name, proxy in HANDCRAFTED.items():
        assert name == proxy.name
        assert proxy.description
        assert "\n" not in proxy.description
        assert proxy.formula
        assert proxy.source


def test_an_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(ExpressionError, match="unknown proxy 'hawk'; did you mean 'hawq'"):
        handcrafted_proxy("hawk")


def test_emq_is_defined_where_a_channel_has_no_gradient() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0] * 4, [2.0] * 4, [-1.0] * 4]))
        model[1].bias.zero_()
    images = torch.ones(2, 1, 2, 2)
    statistics = collect_statistics(model, images, bits=BITS, quantizer=WeightQuantizer())
    inputs = ProxyInputs(statistics)
    proxy = handcrafted_proxy("emq")
    assert not np.isfinite(proxy.form(AS_PUBLISHED).table(inputs)).all()
    weights = [model[1].weight.detach(), model[3].weight.detach()]
    # The mean of a softmax over an axis is one over its length.
    expected = [float(w.relu().sqrt().mean()) / len(w) for w in weights]
    found = proxy.table(inputs)
    np.testing.assert_allclose(found, np.outer(expected, BITS), rtol=1e-6)


def test_what_proxies_share_is_computed_once_and_its_seconds_are_told(
    reference: Reference,
) -> None:
    inputs = ProxyInputs(reference.inputs.statistics)
    runs = 0

    def count(_module: nn.Module, _inputs: object) -> None:
        nonlocal runs
        runs += 1

    handle = inputs.network.model.register_forward_pre_hook(count)
    for name in ("loss_change", "accuracy_change", "output_divergence"):
        handcrafted_proxy(name).table(inputs)
    handle.remove()
    # The float network and every width of every entry.
    assert runs == 1 + len(BITS) * len(ENTRIES)
    assert inputs.borrowed["one at a time"] > 0
