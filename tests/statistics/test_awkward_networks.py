"""Networks as people have them, each held to brute force on the network itself."""

import copy
import warnings

import numpy as np
import pytest
import torch
from random_networks import everything_of, same
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import gp_emq
from gp_emq.errors import DataError, NetworkError, StatisticsError
from gp_emq.proxies.handcrafted import HANDCRAFTED
from gp_emq.statistics import STATISTICS, Statistics, StatisticsSettings

BITS = (2, 4)
PROXIES = ("fit", "hawq_v2", "fisher", "ompq", "qe", "relative_output_error", "loss_change")


class Small(nn.Module):
    """A convolution and a product, with a place for something between them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def between(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self.conv(x)).relu().mean((2, 3)))


@pytest.fixture
def pictures() -> Tensor:
    return torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def answers() -> Tensor:
    return torch.arange(12) % 4


def made(kind: type[nn.Module], *arguments: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(*arguments).eval()


def collect(
    network: nn.Module, pictures: object, answers: object = None, **options: object
) -> Statistics:
    return gp_emq.collect_statistics(network, pictures, answers, bits=BITS, **options)


def tables(statistics: Statistics, names: tuple[str, ...] = PROXIES) -> list[list[float]]:
    return [gp_emq.load_proxy(name).table(statistics).ravel().tolist() for name in names]


def fisher(network: nn.Module, weight: Tensor, pictures: Tensor, answers: Tensor) -> Tensor:
    total = torch.zeros_like(weight)
    for image, label in zip(pictures.split(1), answers.split(1), strict=True):
        loss = functional.cross_entropy(network(image.clone()), label)
        total += torch.autograd.grad(loss, [weight], materialize_grads=True)[0].square()
    return total / len(pictures)


def views(statistics: Statistics, name: str) -> list[Tensor]:
    return statistics.layout("Weights").views(statistics.tensor(name))


class WithNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def test_a_network_in_training_mode_counts_as_in_eval_mode(pictures, answers) -> None:
    network = made(WithNorm).train()
    before = copy.deepcopy(network.state_dict())
    found = tables(collect(network, pictures, answers))
    assert found == tables(collect(copy.deepcopy(network).eval(), pictures, answers))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


class InPlace(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5).div_(0.25))


class OutOfPlace(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - 0.5) / 0.25)


def test_preprocessing_in_place_is_done_once_for_each_pass(pictures, answers) -> None:
    own = pictures.clone()
    found = tables(collect(made(InPlace), own, answers))
    assert found == tables(collect(made(OutOfPlace), pictures, answers))
    assert torch.equal(own, pictures)


class Keeps(Small):
    def between(self, x: Tensor) -> Tensor:
        self.features = x
        return x


def test_a_network_that_keeps_its_features_can_be_copied_afterwards(pictures) -> None:
    network = made(Keeps)
    tables(collect(network, pictures))
    assert not hasattr(network, "features")
    network(pictures)  # keeps a tensor that deepcopy refuses
    tables(collect(network, pictures))
    assert network.features.requires_grad


class Conditional(nn.Module):
    """Calls a layer on the batch if the batch is bright: other images, other layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.further = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv(x).relu()
        return self.head((self.further(hidden) if x.mean() > 0 else hidden).mean((2, 3)))


def test_images_that_see_each_other_are_taken_one_by_one(pictures, answers) -> None:
    network, images = made(Conditional), pictures - 1
    images[5] += 3
    statistics = collect(network, images, answers)
    assert [layer.name for layer in statistics.layers] == ["conv", "further", "head"]
    # One image of twelve goes through it: 36 positions, six times six channels.
    assert [layer.macs for layer in statistics.layers][1] == 36 * 36 / 12
    assert not statistics.images_are_independent
    weights = [network.conv.weight, network.further.weight, network.head.weight]
    for weight, found in zip(weights, views(statistics, "fisher_diagonal"), strict=True):
        torch.testing.assert_close(found, fisher(network, weight, images, answers))
    losses = [
        functional.cross_entropy(network(image), label)
        for image, label in zip(images.split(1), answers.split(1), strict=True)
    ]
    expected = torch.autograd.grad(torch.stack(losses).mean(), weights)
    for one, other in zip(views(statistics, "weight_gradient"), expected, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        before = network.further(network.conv(images[5:6]).relu())
        change = statistics.layout("WeightsPerBit").views(statistics.perturbation())[1]
        errors = [functional.conv2d(network.conv(images[5:6]).relu(), c) for c in change]
    relative = [-float(e.square().sum() / before.square().sum()) for e in errors]
    table = gp_emq.load_proxy("relative_output_error").table(statistics)
    np.testing.assert_allclose(table[1], relative, rtol=1e-5)
    other = collect(network, images, answers, settings=StatisticsSettings(chunk_images=5))
    assert other.content_sha256(["fisher_diagonal"]) == statistics.content_sha256(
        ["fisher_diagonal"]
    )
    assert np.isfinite(tables(statistics)).all()


class GhostNorm(Small):
    def between(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1).sqrt()


def test_a_norm_over_the_batch_is_noticed_even_where_it_hardly_shows(pictures, answers) -> None:
    class Faint(Small):
        def between(self, x: Tensor) -> Tensor:
            return x + 1e-3 * x.mean()

    for network in (made(GhostNorm), made(Faint)):
        assert not collect(network, pictures, answers).images_are_independent
    assert collect(made(Small), pictures, answers).images_are_independent


class Unused(Small):
    """Has a layer that only dark images go through, of which there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.dark = nn.Linear(6, 6)

    def between(self, x: Tensor) -> Tensor:
        if x.mean() < -50:
            return self.dark(x.movedim(1, -1)).movedim(-1, 1)
        return x


def test_a_layer_that_no_image_reaches_contributes_zeros(pictures, answers) -> None:
    network = made(Unused)
    layers = gp_emq.networks.find_layers(
        network,
        torch.cat([pictures[:1], pictures[:1] * 0 - 1000 * network.conv.weight.sum().sign()]),
    )
    network.conv.bias.data.fill_(0)
    if "dark" not in [layer.name for layer in layers]:
        pytest.skip("the dark image was not dark enough")
    statistics = collect(network, pictures, answers, layers=layers)
    place = [layer.name for layer in statistics.layers].index("dark")
    for name in ("weight_gradient", "fisher_diagonal", "hessian_gradient", "hessian_diagonal"):
        assert not views(statistics, name)[place].any()
    activation = statistics.layout("Activations").views(statistics.tensor("activation"))[place]
    assert (tuple(activation.shape), bool(activation.any())) == ((1, 6), False)
    assert gp_emq.load_proxy("output_error").table(statistics)[place].tolist() == [0, 0]
    assert np.isfinite(tables(statistics)).all()


class Pyramid(Small):
    """Calls one convolution on images of two sizes."""

    def forward(self, x: Tensor) -> Tensor:
        large, small = self.conv(x), self.conv(x[:, :, ::2, ::2])
        return self.head(large.relu().mean((2, 3)) + small.relu().mean((2, 3)))


def test_activations_cover_all_calls_even_of_several_sizes(pictures, answers) -> None:
    network = made(Pyramid)
    statistics = collect(network, pictures, answers)
    found = statistics.layout("Activations").views(statistics.tensor("activation"))[0]
    with torch.no_grad():
        large, small = network.conv(pictures), network.conv(pictures[:, :, ::2, ::2])
    torch.testing.assert_close(found, torch.cat([large.flatten(2), small.flatten(2)], dim=2))
    layout = statistics.layout("Activations")
    gradient = layout.views(statistics.tensor("activation_gradient"))[0]
    sums = (found * gradient).double().sum(dim=2).square().sum()
    head = layout.views(statistics.tensor("activation") * statistics.tensor("activation_gradient"))[
        1
    ]
    expected = [0.5 * float(sums), 0.5 * float(head.double().square().sum())]
    table = gp_emq.load_proxy("fisher").table(statistics)
    np.testing.assert_allclose(table[:, 0], [2 * value for value in expected], rtol=1e-6)


class Tokens(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.patches, self.inner = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "channels last":
            inner = self.inner(self.patches(x).permute(0, 2, 3, 1))
            return self.head(inner.tanh().mean((1, 2)))
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        if self.how == "sequence first":
            return self.head(self.inner(tokens.transpose(0, 1)).tanh().mean(0))
        if self.how == "windows":
            windows = self.inner(tokens.reshape(-1, 4, 8))
            return self.head(windows.reshape(len(x), 16, 8).tanh().mean(1))
        if self.how == "image by image":
            return torch.stack([self.head(self.inner(t).tanh().mean(0)) for t in tokens])
        return self.head(self.inner(tokens).tanh().mean(1))


@pytest.mark.parametrize("how", ["sequence first", "windows", "channels last", "image by image"])
def test_the_order_of_axes_changes_no_proxy(how: str, pictures, answers) -> None:
    expected = collect(made(Tokens, "batch first"), pictures, answers)
    found = collect(made(Tokens, how), pictures, answers)
    assert [layer.macs for layer in found.layers] == [16 * 8 * 12, 16 * 64, 32]
    for name in HANDCRAFTED:
        one, other = (gp_emq.load_proxy(name).table(value) for value in (found, expected))
        # A difference of two losses in float32 has their last digits in it.
        atol = 1e-7 if name == "loss_change" else 1e-9
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=atol, err_msg=name)


class ByKeyword(Small):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(input=self.conv(input=x)).relu().mean((2, 3)))


def test_layers_and_norms_may_be_called_by_keyword(pictures, answers) -> None:
    statistics = collect(made(ByKeyword), pictures, answers)
    assert statistics.layers[0].batch_norm_channels == 6
    assert np.isfinite(tables(statistics)).all()


class Scaled(nn.Conv2d):
    """Takes a factor beside its input."""

    def forward(self, factor: float, x: Tensor) -> Tensor:
        return factor * super().forward(x)


class Autocast(Small):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x).float()


def test_autocast_within_forward_is_taken(pictures, answers) -> None:
    network = made(Autocast)
    statistics = collect(network, pictures, answers)
    found = views(statistics, "fisher_diagonal")[0]
    expected = fisher(network, network.conv.weight, pictures, answers)
    assert float((found - expected).norm() / expected.norm()) < 2e-2
    assert np.isfinite(tables(statistics)).all()


class Casting(nn.Module):
    """Casts its input, as deployed networks in half precision do, and a part of itself again."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.inner = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 4)
        self.cast = lambda x: x

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.cast(self.conv(self.cast(x)).float().tanh())
        return self.head(self.cast(self.inner(hidden).float().mean((2, 3)))).float()


@pytest.mark.parametrize(
    ("dtype", "cast"),
    [
        (torch.float16, lambda x: x.half()),
        (torch.bfloat16, lambda x: x.bfloat16()),
        (torch.float16, lambda x: x.type("torch.HalfTensor")),
        (torch.bfloat16, lambda x: x.to(dtype=torch.bfloat16, copy=True)),
        (torch.float16, lambda x: x.type(torch.HalfTensor) + torch.zeros(1, dtype=torch.half)),
    ],
    ids=["half", "bfloat16", "by name", "by keyword", "of a kind"],
)
def test_casts_of_a_network_in_half_precision_cost_no_precision(
    dtype, cast, pictures, answers
) -> None:
    network = made(Casting).to(dtype)
    plain = copy.deepcopy(network).float()
    network.cast = cast
    before = everything_of(network)
    found, expected = (collect(one, pictures, answers) for one in (network, plain))
    for name in ("weight_gradient", "fisher_diagonal", "hessian_diagonal", "activation",
                 "activation_gradient", "hessian_gradient"):  # fmt: skip
        torch.testing.assert_close(found.tensor(name), expected.tensor(name))
    assert same(before, everything_of(network))


def test_gradients_of_a_network_in_half_precision_are_checked(pictures, answers) -> None:
    class Hidden(Casting):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.cast(x)) + self.conv(self.cast(x)).detach().sum().float()

    network = made(Hidden).half()
    network.cast = lambda x: x.half()
    with pytest.raises(StatisticsError, match="gradients are not what finite differences say"):
        collect(network, pictures, answers).tensor("weight_gradient")


def test_what_surrounds_a_call_changes_nothing(pictures, answers) -> None:
    expected = tables(collect(made(Small), pictures, answers))
    with torch.inference_mode():
        images = pictures.clone()
        assert tables(collect(made(Small), images, answers)) == expected
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert tables(collect(made(Small), images, answers)) == expected


@pytest.mark.parametrize("scale", [1e-5, 1e-7])
def test_small_weights_whose_scale_is_undone_later_change_no_ranking(
    scale: float, pictures, answers
) -> None:
    def network(factor: float) -> nn.Module:
        made_one = made(Small)
        made_one.conv.bias.data.zero_()
        made_one.conv.weight.data *= factor
        made_one.head.weight.data /= factor
        return made_one

    names = ("fit", "relative_error", "relative_output_error", "loss_change", "ompq")
    found = tables(collect(network(scale), pictures, answers), names)
    expected = tables(collect(network(1), pictures, answers), names)
    for name, one, other in zip(names, found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-9, err_msg=name)


def test_a_dead_layer_changes_nothing(pictures, answers) -> None:
    class Dead(Small):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(6, 6, 1, bias=False)
            self.inner.weight.data.zero_()

        def between(self, x: Tensor) -> Tensor:
            return self.inner(x)

    statistics = collect(made(Dead), pictures, answers)
    for name in HANDCRAFTED:
        table = gp_emq.load_proxy(name).table(statistics)
        assert np.isfinite(table).all(), name
    for name in ("relative_output_error", "relative_error", "qe", "loss_change"):
        assert gp_emq.load_proxy(name).table(statistics)[1].tolist() == [0, 0]


def test_one_logit_is_refused_where_a_loss_is_needed(pictures) -> None:
    class OneLogit(Small):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 1)

    statistics = collect(made(OneLogit), pictures)
    assert np.isfinite(gp_emq.load_proxy("relative_output_error").table(statistics)).all()
    for name in ("fit", "hawq_v2", "loss_change", "output_divergence", "accuracy_change"):
        with pytest.raises(StatisticsError, match=r"one number for each image.*two classes"):
            gp_emq.load_proxy(name).table(statistics)
    with pytest.raises(StatisticsError, match="one number for each image"):
        collect(made(OneLogit), pictures, torch.zeros(12).long())


def not_finite(kind: str, network: nn.Module, pictures: Tensor) -> None:
    if kind == "weight":
        network.body[0].weight.data[1, 0, 0, 0] = float("nan")
    elif kind == "buffer":
        network.body[1].running_var[2] = float("inf")
    else:
        pictures[7, 0, 0, 0] = float("inf")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("weight", r"body\.0\.weight holds nan at \[1, 0, 0, 0\]"),
        ("buffer", r"body\.1\.running_var holds inf at \[2\]"),
        ("image", "image 7 holds"),
    ],
)
def test_what_is_not_finite_is_named(kind: str, words: str, pictures) -> None:
    network = made(WithNorm)
    not_finite(kind, network, pictures)
    with pytest.raises((NetworkError, DataError), match=words):
        collect(network, pictures)


def test_an_output_that_is_not_finite_names_the_image(pictures) -> None:
    class Log(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / (x[:, :1, 0, 0] != 0)

    pictures[3, 0, 0, 0] = 0
    with pytest.raises(StatisticsError, match="output for image 3 is not finite"):
        collect(made(Log), pictures).tensor("weight_gradient")


class Noisy(Small):
    """Draws from a generator: that of torch, or one of its own."""

    numbers: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn(x.shape, generator=self.numbers))


def test_a_network_that_says_something_else_each_time_is_refused(pictures, answers) -> None:
    network = made(Noisy)
    first, again = (collect(network, pictures, answers).tensor("weight_gradient") for _ in "12")
    assert torch.equal(first, again)
    network.numbers = torch.Generator().manual_seed(0)
    with pytest.raises(StatisticsError, match="other outputs for the same image each time"):
        collect(network, pictures, answers)


class Straight(torch.autograd.Function):
    """Rounds, and says that it does not."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return (4 * x).round() / 4

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class Once(torch.autograd.Function):
    """A square whose derivative cannot be derived."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class Constant(torch.autograd.Function):
    """A square whose derivative counts as a constant in the second derivative."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.kept = x.detach()
        return x * x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return 2 * ctx.kept * gradient


class Rounded(Small):
    def between(self, x: Tensor) -> Tensor:
        return Straight.apply(x)


class Detached(Small):
    def between(self, x: Tensor) -> Tensor:
        return x + x.tanh().detach()


class WithoutGradients(Small):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


class SquaredOnce(Small):
    def between(self, x: Tensor) -> Tensor:
        return Once.apply(x)


class SquaredConstant(Small):
    def between(self, x: Tensor) -> Tensor:
        return Constant.apply(x)


class Checkpointed(Small):
    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda y: self.conv(y).tanh(), x, use_reentrant=False)
        return self.head(hidden.square().mean((2, 3)))


class Reentrant(Small):
    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda y: self.conv(y).tanh(), x, use_reentrant=True)
        return self.head(hidden.mean((2, 3)))


@pytest.mark.parametrize("kind", [Rounded, Detached, WithoutGradients, Reentrant])
def test_gradients_that_are_not_those_of_the_network_are_refused(kind, pictures, answers) -> None:
    statistics = collect(made(kind), pictures, answers)
    for name in ("weight_gradient", "fisher_diagonal", "hessian_diagonal"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(StatisticsError, match="gradients are not what") as caught:
                statistics.tensor(name)
        assert "\n" not in str(caught.value)
    assert np.isfinite(gp_emq.load_proxy("relative_output_error").table(statistics)).all()


@pytest.mark.parametrize("kind", [SquaredOnce, SquaredConstant])
def test_second_derivatives_that_are_not_those_of_the_network_are_refused(
    kind, pictures, answers
) -> None:
    network = made(kind)
    statistics = collect(network, pictures, answers)
    for name in ("hessian_diagonal", "hessian_gradient", "hessian_top_eigenvalue"):
        with pytest.raises(
            StatisticsError, match=r"(second derivatives are not|derived twice).* curvature"
        ):
            statistics.tensor(name)
    expected = torch.autograd.grad(
        functional.cross_entropy(network(pictures), answers), [network.conv.weight]
    )
    torch.testing.assert_close(views(statistics, "weight_gradient")[0], expected[0])


def test_what_is_computed_again_for_the_backward_pass_is_computed_right(pictures, answers) -> None:
    class Plain(Small):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).tanh().square().mean((2, 3)))

    found, expected = (collect(made(kind), pictures, answers) for kind in (Checkpointed, Plain))
    for name in ("weight_gradient", "fisher_diagonal", "hessian_diagonal", "hessian_gradient"):
        torch.testing.assert_close(found.tensor(name), expected.tensor(name))


@pytest.mark.parametrize("make", [nn.DataParallel, lambda n: torch.compile(n, backend="eager")])
def test_wrapped_networks_are_unwrapped(make, pictures, answers) -> None:
    expected = tables(collect(made(Small), pictures, answers))
    assert tables(collect(make(made(Small)), pictures, answers)) == expected


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(192, 4))), "scripted"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), "module is lazy"),
        (lambda: nn.Linear(8, 4), "itself a Linear.*Sequential"),
        (lambda: nn.Sequential(nn.Conv2d(5, 4, 3)), r"fails on images of shape \(1, 3, 8, 8\)"),
        (lambda: "resnet", "must be a torch.nn.Module"),
    ],
)
def test_networks_that_cannot_be_run_are_refused_in_one_line(make, words, pictures) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        collect(make(), pictures)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fold",
    [
        lambda module: nn.utils.prune.l1_unstructured(module, "weight", 0.5),
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        pytest.param(nn.utils.weight_norm, marks=pytest.mark.filterwarnings("ignore")),
        nn.utils.spectral_norm,
    ],
)
def test_weights_that_are_computed_count_as_what_they_are(fold, pictures, answers) -> None:
    network = made(Small)
    fold(network.conv)
    network.eval()(pictures)  # the older forms compute a weight when it is used
    plain = made(Small)
    plain.load_state_dict(
        {
            "conv.weight": network.conv.weight.detach().clone(),
            "conv.bias": network.conv.bias.detach().clone(),
            **{f"head.{name}": value for name, value in network.head.state_dict().items()},
        }
    )
    one, other = (tables(collect(value, pictures, answers)) for value in (network, plain))
    np.testing.assert_allclose(
        np.concatenate(list(map(np.ravel, one))), np.concatenate(list(map(np.ravel, other)))
    )


def test_the_order_of_numbers_in_memory_makes_no_difference(pictures, answers) -> None:
    last = {"memory_format": torch.channels_last}
    found = collect(made(Small).to(**last), pictures.contiguous(**last), answers)
    expected = collect(made(Small), pictures, answers)
    for name in STATISTICS:
        one, other = (
            of.perturbation() if name == "perturbation" else of.tensor(name)
            for of in (found, expected)
        )
        scale = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * scale)


def test_containers_of_images_make_no_difference(pictures, answers) -> None:
    expected = collect(made(Small), pictures, answers).fingerprint
    loader = DataLoader(TensorDataset(pictures, answers), 5)
    for images, labels in (
        (pictures.numpy(), answers.tolist()), (list(pictures), answers.numpy()), (loader, None),
    ):  # fmt: skip
        assert collect(made(Small), images, labels).fingerprint == expected


def test_a_hook_runs_once_for_each_evaluation(pictures, answers) -> None:
    network, seen = made(Small), []
    network.conv.register_forward_pre_hook(lambda _m, fed: seen.append(fed[0].shape))
    statistics = collect(network, pictures, answers)
    statistics.perturbation()
    assert statistics.images_are_independent
    assert statistics.kept_in_float == {}  # looked for by runs of its own
    seen.clear()
    gp_emq.load_proxy("output_error").table(statistics)
    # Once in the network, once for the float output alone, and once for each width.
    assert len(seen) == 2 + len(BITS)
