"""Workloads and networks that are wrong, by name as commands take them."""

import torch
from torch import Tensor, nn

from gp_emq.networks import Metric, Workload

SAMPLES = 40
NUMBER = 3


def made() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def numbers() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, wanted outputs, and labels."""
    drawn = torch.Generator().manual_seed(0)
    inputs, wanted = (torch.randn(SAMPLES, size, generator=drawn) for size in (6, 3))
    return inputs, wanted, torch.randint(0, 3, (SAMPLES,), generator=drawn)


def squared(outputs: Tensor, wanted: Tensor) -> Tensor:
    return (outputs - wanted).square().mean(dim=1)


SQUARED = Metric("squared error", squared, higher_is_better=False)


def with_loss(loss: object) -> Workload:
    inputs, wanted, _ = numbers()
    return Workload(made(), (inputs, wanted), loss=loss, metric=SQUARED)


def with_metric(measure: object, **settings: bool) -> Workload:
    inputs, wanted, _ = numbers()
    metric = Metric("own", measure, **settings)
    return Workload(made(), (inputs, wanted), loss=squared, metric=metric)


def good() -> Workload:
    return with_loss(squared)


def failing_loss() -> Workload:
    return with_loss(lambda outputs, _: outputs.nothing)


def failing_metric() -> Workload:
    return with_metric(lambda outputs, _: outputs.nothing)


def no_number() -> Workload:
    return with_metric(lambda outputs, wanted: squared(outputs, wanted) * torch.nan)


def in_words() -> Workload:
    return with_metric(lambda _outputs, _wanted: "good")


def without_metric() -> Workload:
    inputs, wanted, _ = numbers()
    return Workload(made(), (inputs, wanted), loss=squared)


def far_labels() -> Workload:
    inputs, _, labels = numbers()
    return Workload(made(), inputs, labels + 2)


def failing() -> Workload:
    raise ZeroDivisionError("by\nzero")


def leaving() -> Workload:
    raise SystemExit(5)


def wants_more(_count: int) -> Workload:
    return good()


def nothing() -> None:
    return None


def picture_network() -> tuple[nn.Module, tuple[int, int, int]]:
    layers = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    return nn.Sequential(*layers), (3, 8, 8)


def flat_network() -> tuple[nn.Module, int]:
    return made(), 6
